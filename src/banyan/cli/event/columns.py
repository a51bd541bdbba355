"""Tables whose cells are copied into the next command: nothing is shortened to fit a window."""

import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def plain(text: str) -> str:
    """A line that was written by anybody, with whatever would not be seen, or would command the terminal, spelt out."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"\\u{ord(one):04x}" if unicodedata.category(one) in _UNSEEN else one for one in text)


def show(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """`right` are the heads of columns of figures."""
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    for row in (heads, *rows):
        cells = []
        for head, cell, width in zip(heads, row, widths, strict=True):
            space = " " * (width - cell_len(cell))
            cells.append(space + cell if head in right else cell + space)
        print("  ".join(cells).rstrip())
