"""Tables whose cells are copied into the next command: nothing is shortened to fit a window."""

from collections.abc import Sequence

from rich.cells import cell_len


def show(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """`right` are the heads of columns of figures."""
    widths = [max(cell_len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    for row in (heads, *rows):
        cells = []
        for head, cell, width in zip(heads, row, widths, strict=True):
            space = " " * (width - cell_len(cell))
            cells.append(space + cell if head in right else cell + space)
        print("  ".join(cells).rstrip())
