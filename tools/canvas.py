"""A sheet to draw diagrams on: boxes, arrows and words as SVG that is light or dark like what stands around it."""

from html import escape

_COLOURS = {
    # name: light, dark; those of Banyan's own pages
    "ink": ("#1A1F1B", "#ECF0EA"),
    "muted": ("#566058", "#A5B0A6"),
    "line": ("#858C84", "#6F7A71"),
    "paper": ("#FFFFFF", "#181D19"),
    "sunken": ("#F1EFE8", "#1F2621"),
    "new": ("#0B6B4B", "#57C893"),
    "old": ("#A8480A", "#F3B35B"),
    "gateway": ("#1756C9", "#8FB6FF"),
}


def _style() -> str:
    def variables(which: int) -> str:
        return "".join(f"--{name}:var(--drawing-{name},{pair[which]});" for name, pair in _COLOURS.items())

    return (
        f".bn{{{variables(0)}font:13px system-ui,-apple-system,'Segoe UI','Noto Sans',sans-serif}}"
        f"@media(prefers-color-scheme:dark){{.bn{{{variables(1)}}}}}"
        ".bn text{fill:var(--ink)}.bn .m{fill:var(--muted);font-size:11.5px}.bn .t{font-weight:600}"
        ".bn .c{font-family:ui-monospace,'SF Mono','Cascadia Mono',monospace;font-size:11.5px}"
        ".bn rect{fill:var(--paper);stroke:var(--line);stroke-width:1.25}.bn .g{fill:var(--sunken);stroke:none}"
        ".bn .new{stroke:var(--new);stroke-width:1.75}.bn .old{stroke:var(--old);stroke-width:1.75}"
        ".bn .gateway{stroke:var(--gateway);stroke-width:1.75}"
        ".bn path{fill:none;stroke:var(--line);stroke-width:1.5}.bn .d{stroke-dasharray:4 4}"
        ".bn .h{fill:var(--line);stroke:none}.bn .hnew{fill:var(--new);stroke:none}"
        ".bn .hold{fill:var(--old);stroke:none}.bn .hgateway{fill:var(--gateway);stroke:none}"
    )


class Canvas:
    """`kind` is the side something belongs to: new, old, gateway, or empty."""

    def __init__(self, width: int, height: int, says: str) -> None:
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="bn" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img"><title>{escape(says)}</title><style>{_style()}</style>'
        )
        self._parts: list[str] = []

    def text(self, x: float, y: float, words: str, *, style: str = "", anchor: str = "middle") -> None:
        kind = f' class="{style}"' if style else ""
        self._parts.append(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{kind}>{escape(words)}</text>')

    def area(self, x: float, y: float, width: float, height: float, title: str) -> None:
        """What belongs together, behind what is drawn next."""
        self._parts.append(f'<rect class="g" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="14"/>')
        self.text(x + 14, y + 20, title, style="m", anchor="start")

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        title: str,
        *lines: str,
        kind: str = "",
        code: bool = False,
    ) -> None:
        """A title in the middle, with smaller lines below it; `code` says that they are names and not words."""
        self._parts.append(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8"/>')
        middle, step = x + width / 2, 16
        first = y + height / 2 + 4.5 - step * len(lines) / 2
        self.text(middle, first, title, style="t")
        for number, line in enumerate(lines, start=1):
            self.text(middle, first + step * number + 1, line, style="m c" if code else "m")

    def arrow(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        words: str = "",
        *,
        kind: str = "",
        dashed: bool = False,
        above: float = 7,
        upright: bool = False,
    ) -> None:
        """A curve that leaves and arrives along the longer way, or `upright`; straight where both ends are level."""
        (x1, y1), (x2, y2) = start, end
        flat = not upright and abs(x2 - x1) >= abs(y2 - y1)
        if flat:
            size = 6 if x2 > x1 else -6
            bend = (x1 + x2) / 2
            line = f"M{x1:g} {y1:g}C{bend:g} {y1:g} {bend:g} {y2:g} {x2 - size:g} {y2:g}"
            head = f"M{x2:g} {y2:g}l{-size * 1.4:g} -4.2v8.4z"
        else:
            size = 6 if y2 > y1 else -6
            bend = (y1 + y2) / 2
            line = f"M{x1:g} {y1:g}C{x1:g} {bend:g} {x2:g} {bend:g} {x2:g} {y2 - size:g}"
            head = f"M{x2:g} {y2:g}l-4.2 {-size * 1.4:g}h8.4z"
        self._parts.append(
            f'<path class="{kind}{" d" if dashed else ""}" d="{line}"/><path class="h{kind}" d="{head}"/>'
        )
        if words:
            self.text((x1 + x2) / 2, (y1 + y2) / 2 - above, words, style="m")

    def line(self, start: tuple[float, float], end: tuple[float, float], *, dashed: bool = False) -> None:
        kind = ' class="d"' if dashed else ""
        self._parts.append(f'<path{kind} d="M{start[0]:g} {start[1]:g}L{end[0]:g} {end[1]:g}"/>')

    def svg(self) -> str:
        return "".join([self._head, *self._parts, "</svg>\n"])
