"""Where the boxes and arrows of the system map are. The same system is always drawn in the same way, whatever it does
just now: browsers left, databases right, what carries events below.

Each arrow leaves a box on its right and enters another on its left, straight for the last stretch, where its figures
stand; so no two of them can cover each other. What crosses a column does so on a track of its own below its boxes.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from banyan.contracts.monitor import ArrowKind

Role = Literal["browsers", "old", "new", "gateway", "data"]

BROWSERS, DOOR, SITES, SERVICES, DATA = range(5)
WIDTH, LABEL_HEIGHT = 1380, 16
_BOX, _NARROW = 156, 104
_GAPS = (120, 166, 166, 166)
_EDGE = 8
_BEND = 56  # of a gap; the rest is for figures
_LABEL = 98  # the longest figures
_PORT, _TRACK, _BETWEEN, _LEAST = 21, 22, 30, 66
_COLUMN = {"browsers": BROWSERS, "envoy": DOOR, "gateway": DOOR, "monitor": DOOR, "old-site": SITES, "web": SITES}
_BELOW = {"relay": SITES}  # under the tracks of its column
_ORDER = ("envoy", "gateway", "monitor", "old-site", "web", "iam", "learning", "commerce", "live")
_DATA_ORDER = ("postgres-front", "postgres-core", "postgres-aside")


@dataclass(frozen=True, slots=True)
class Line:
    """What is to be drawn between two boxes; `per_second` decides how thick it is."""

    source: str
    target: str
    kind: ArrowKind
    per_second: float = 0.0


@dataclass(slots=True)
class Box:
    name: str
    role: Role
    column: int
    x: float = 0
    y: float = 0
    width: float = _BOX
    height: float = _LEAST
    left: list[Line] = field(default_factory=list)
    right: list[Line] = field(default_factory=list)

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    def port(self, line: Line, *, side: list[Line]) -> float:
        ports = self.ports(side)
        return self.middle + (ports.index(self._port_of(line)) - (len(ports) - 1) / 2) * _PORT

    def ports(self, side: list[Line]) -> list[Line | str]:
        """What comes from the right arrives at one port, so that all that is published is one stream."""
        return list(dict.fromkeys(self._port_of(line) for line in side))

    def _port_of(self, line: Line) -> Line | str:
        return "published" if line.target == self.name and line in self.right else line


@dataclass(frozen=True, slots=True)
class Drawn:
    """`path` and `head` are SVG; the figures end at (`x`, `y`), or begin there where the arrow points left."""

    line: Line
    path: str
    head: str
    width: float
    x: float
    y: float
    points_left: bool = False
    labelled: bool = True


@dataclass(frozen=True, slots=True)
class Picture:
    height: float
    boxes: list[Box]
    arrows: list[Drawn]


def role_of(name: str, kind: str = "process") -> Role:
    if name == "browsers":
        return "browsers"
    if kind == "postgres" or name.startswith("postgres"):
        return "data"
    if name == "old-site":
        return "old"
    return "gateway" if name in ("envoy", "gateway", "monitor") else "new"


def drawn(names: Iterable[str], lines: Sequence[Line]) -> Picture:
    """Boxes for these names and for the ends of all lines; a line from a box to itself is not drawn."""
    ends = {end for line in lines for end in (line.source, line.target)}
    boxes = {name: Box(name, role_of(name), _column(name)) for name in sorted({*names, *ends}, key=_rank)}
    shown = [line for line in sorted(lines, key=_identity) if _drawable(boxes[line.source], boxes[line.target])]
    for box in boxes.values():
        box.width = _NARROW if box.column == BROWSERS else _BOX
        box.x = _left(box.column)
    tracks = _tracks(boxes, shown)
    # Where a port is depends on where the boxes are, and how high a box is on how many ports it has.
    _join(boxes, shown)
    height = _place(boxes, tracks)
    _sort_ports(boxes)
    through = _through(boxes, tracks)
    return Picture(height, list(boxes.values()), _readable([_arrow(line, boxes, through) for line in shown]))


def _readable(arrows: Iterable[Drawn]) -> list[Drawn]:
    """Figures that would stand on others are left to the table: those of what points left, for the most part."""
    taken: set[tuple[float, float]] = set()
    found = []
    for arrow in sorted(arrows, key=lambda arrow: arrow.points_left):
        start = arrow.x if arrow.points_left else arrow.x - _LABEL
        free = all(abs(start - x) >= _LABEL or abs(arrow.y - y) >= LABEL_HEIGHT for x, y in taken)
        if free:
            taken.add((start, arrow.y))
        found.append(replace(arrow, labelled=free))
    return found


def _rank(name: str) -> tuple[int, int, str]:
    order = _DATA_ORDER if role_of(name) == "data" else _ORDER
    return _column(name), order.index(name) if name in order else len(order), name


def _identity(line: Line) -> tuple[str, ...]:
    return line.source, line.target, line.kind


def _column(name: str) -> int:
    if role_of(name) == "data":
        return DATA
    return _COLUMN.get(name, _BELOW.get(name, SERVICES))


def _drawable(source: Box, target: Box) -> bool:
    return source is not target and target.column - source.column >= -1


def _left(column: int) -> float:
    before = [_NARROW, *([_BOX] * 4)][:column]
    return _EDGE + sum(before) + sum(_GAPS[:column])


def _tracks(boxes: Mapping[str, Box], lines: Sequence[Line]) -> dict[int, list[Line]]:
    """The lines that pass each column without ending there."""
    return {
        column: [line for line in lines if boxes[line.source].column < column < boxes[line.target].column]
        for column in (DOOR, SITES, SERVICES)
    }


def _join(boxes: Mapping[str, Box], lines: Sequence[Line]) -> None:
    for line in lines:
        source, target = boxes[line.source], boxes[line.target]
        backwards = target.column < source.column
        (source.left if backwards else source.right).append(line)
        (target.right if target.column <= source.column else target.left).append(line)
    for box in boxes.values():
        box.height = max(_LEAST, max(len(box.ports(box.left)), len(box.ports(box.right))) * _PORT + 12)


def _place(boxes: Mapping[str, Box], tracks: Mapping[int, Sequence[Line]]) -> float:
    """Give every box its height above the ground; the height of them all."""
    columns = {column: [box for box in boxes.values() if box.column == column] for column in range(5)}
    heights = {column: _stack(found, len(tracks.get(column, ()))) for column, found in columns.items()}
    height = max([*heights.values(), 200.0]) + 2 * _EDGE
    for column in (SITES, SERVICES, DATA):
        top = (height - heights[column]) / 2
        for box in columns[column]:
            box.y += top
    _place_door(columns, height)
    return height


def _place_door(columns: Mapping[int, Sequence[Box]], height: float) -> None:
    """Envoy stands before the sites, what governs and watches it at the bottom, browsers before Envoy."""
    sites = [box for box in columns[SITES] if box.name not in _BELOW]
    level = sum(box.middle for box in sites) / len(sites) if sites else height / 2
    below = [box for box in columns[DOOR] if box.name != "envoy"]
    ground = height - _EDGE
    for box in reversed(below):
        box.y = ground - box.height
        ground = box.y - _BETWEEN
    for box in columns[DOOR]:
        if box.name == "envoy":
            box.y = max(_EDGE, min(level - box.height / 2, ground - box.height))
            level = box.middle
    for box in columns[BROWSERS]:
        box.y = level - box.height / 2


def _stack(boxes: Sequence[Box], tracks: int) -> float:
    """Put boxes under each other from zero, and leave room for the tracks; how high that is."""
    y = 0.0
    for below in (False, True):
        for box in boxes:
            if (box.name in _BELOW) == below:
                box.y = y
                y += box.height + _BETWEEN
        if not below and tracks:
            y += tracks * _TRACK + _BETWEEN / 2
    return y - _BETWEEN


def _through(boxes: Mapping[str, Box], tracks: Mapping[int, Sequence[Line]]) -> dict[tuple[int, Line], float]:
    """How high each line passes the columns between."""
    found = {}
    for column, lines in tracks.items():
        above = [box.y + box.height for box in boxes.values() if box.column == column and box.name not in _BELOW]
        top = max(above, default=0.0) + _BETWEEN / 2 + _TRACK / 2
        for number, line in enumerate(sorted(lines, key=lambda line: boxes[line.target].middle)):
            found[column, line] = top + number * _TRACK
    return found


def _sort_ports(boxes: Mapping[str, Box]) -> None:
    """Lines to higher boxes leave higher, so that fewer cross."""

    def other(box: Box) -> Mapping[Line, float]:
        ends = {line: line.target if line.source == box.name else line.source for line in box.left + box.right}
        return {line: boxes[end].middle for line, end in ends.items()}

    for box in boxes.values():
        heights = other(box)
        box.left.sort(key=lambda line: heights[line])
        box.right.sort(key=lambda line: heights[line])


def _arrow(line: Line, boxes: Mapping[str, Box], through: Mapping[tuple[int, Line], float]) -> Drawn:
    source, target = boxes[line.source], boxes[line.target]
    width = thickness(line.per_second)
    head = 5 + width
    if target.column == source.column:
        return _loop(line, source, target, width=width, head=head)
    if target.column < source.column:
        return _back(line, source, target, width=width, head=head)
    y = source.port(line, side=source.right)
    path = f"M{source.x + source.width:g} {y:g}"
    for column in range(source.column, target.column):
        start = _left(column) + (_NARROW if column == BROWSERS else _BOX)
        last = column + 1 == target.column
        end = target.port(line, side=target.left) if last else through[column + 1, line]
        path += f"H{start:g}" + _bend(start, y, end)
        y = end
    path += f"H{target.x - head + 1:g}"
    return Drawn(line, path, _head(target.x, y, head), width, target.x - 14, y - 5)


def _bend(start: float, y: float, end: float) -> str:
    if abs(end - y) < 0.5:
        return ""
    return f"C{start + _BEND * 0.7:g} {y:g} {start + _BEND * 0.3:g} {end:g} {start + _BEND:g} {end:g}"


def _loop(line: Line, source: Box, target: Box, *, width: float, head: float) -> Drawn:
    x = source.x + source.width
    start, end = source.port(line, side=source.right), target.port(line, side=target.right)
    path = f"M{x:g} {start:g}C{x + 44:g} {start:g} {x + 44:g} {end:g} {x + head - 1:g} {end:g}"
    return Drawn(line, path, _head(x, end, -head), width, x + 14, end - 5, points_left=True)


def _back(line: Line, source: Box, target: Box, *, width: float, head: float) -> Drawn:
    x, end = target.x + target.width, target.port(line, side=target.right)
    start = source.port(line, side=source.left)
    middle = (x + source.x) / 2
    path = f"M{source.x:g} {start:g}C{middle:g} {start:g} {middle:g} {end:g} {x + head - 1:g} {end:g}"
    return Drawn(line, path, _head(x, end, -head), width, x + 14, end - 5, points_left=True)


def _head(x: float, y: float, length: float) -> str:
    half = abs(length) * 0.55
    return f"M{x:g} {y:g}L{x - length:g} {y - half:g}L{x - length:g} {y + half:g}Z"


def thickness(per_second: float) -> float:
    """In steps, so that a line does not tremble with its rate."""
    return round(2 * min(6.0, 1.25 + 1.1 * math.log10(1 + 2 * max(0.0, per_second)))) / 2
