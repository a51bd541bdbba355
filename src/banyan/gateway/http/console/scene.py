"""The system map with what each box and arrow stands for."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from banyan.contracts.monitor import Arrow, ArrowKind
from banyan.gateway.http.console import alarms
from banyan.gateway.http.console import map as drawing
from banyan.gateway.http.console.processes import Row

_ERRORS = 0.05  # per second: less is a single one, now and then
_SHARE = 0.01
_SLOW_MS = 1000.0
_OF_NOBODY = ("monitor",)  # who looks on is not in the picture
_LOOKS = (("gateway", "learning"), ("gateway", "live"))  # nor that this console asks them of their events


@dataclass(frozen=True, slots=True)
class Box:
    at: drawing.Box
    row: Row | None
    """None for who is no process of ours: browsers, and an old site that runs elsewhere."""

    @property
    def mood(self) -> str:
        return self.row.mood if self.row else "well"


@dataclass(frozen=True, slots=True)
class Link:
    """`mood` is `well`, `idle`, `slow` or `wrong`; `side` whose answers these are, where browsers see them."""

    at: drawing.Drawn | None
    arrow: Arrow
    side: drawing.Role | None
    mood: str


@dataclass(frozen=True, slots=True)
class Scene:
    height: float
    boxes: list[Box]
    links: list[Link]
    single: list[Link]
    """The links before they were drawn as one line for each pair: for the table."""

    @property
    def asked(self) -> float:
        return sum(link.arrow.per_second for link in self.links if link.arrow.source == "browsers")


def scene(rows: Sequence[Row], arrows: Sequence[Arrow], *, old_site: bool) -> Scene:
    """`old_site`: there is one, whether or not it is a process of ours."""
    told = [
        arrow
        for arrow in arrows
        if not {arrow.source, arrow.target} & set(_OF_NOBODY) and (arrow.source, arrow.target) not in _LOOKS
    ]
    blamed = {(alarms.process(alert), alarms.other_end(alert)) for row in rows for alert in row.alerts}
    single = [Link(None, arrow, _side(arrow), _mood(arrow, blamed)) for arrow in sorted(told, key=_key)]
    merged = _merged(told)
    lines = {key: drawing.Line(*key, per_second=arrow.per_second) for key, arrow in merged.items()}
    names = ["browsers", *(["old-site"] if old_site else []), *(row.now.name for row in rows)]
    picture = drawing.drawn(names, list(lines.values()))
    by_name = {row.now.name: row for row in rows}
    at = {drawn.line: drawn for drawn in picture.arrows}
    return Scene(
        height=picture.height,
        boxes=[Box(box, by_name.get(box.name)) for box in picture.boxes],
        links=[
            Link(at.get(lines[key]), arrow, _side(arrow), _worst(single, key)) for key, arrow in sorted(merged.items())
        ],
        single=single,
    )


def _merged(arrows: Iterable[Arrow]) -> Mapping[tuple[str, str, ArrowKind], Arrow]:
    """One for each pair and kind: rates add up, and the slowest speaks for all."""
    merged: dict[tuple[str, str, ArrowKind], Arrow] = {}
    for arrow in arrows:
        key: tuple[str, str, ArrowKind] = (arrow.source, arrow.target, arrow.kind)
        other = merged.get(key)
        if other is None:
            merged[key] = arrow
            continue
        merged[key] = Arrow(
            arrow.source,
            arrow.target,
            arrow.kind,
            "",
            other.per_second + arrow.per_second,
            other.errors_per_second + arrow.errors_per_second,
            _slower(other.p50_ms, arrow.p50_ms),
            _slower(other.p99_ms, arrow.p99_ms),
        )
    return merged


def _slower(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _mood(arrow: Arrow, blamed: Set[tuple[str, str]]) -> str:
    """`blamed` are the pairs that an alert is about: who asks, and the service or database that is asked."""
    if (arrow.source, arrow.label if arrow.kind == "sql" else arrow.target) in blamed:
        return "wrong"
    if arrow.errors_per_second >= _ERRORS and arrow.errors_per_second >= _SHARE * arrow.per_second:
        return "wrong"
    if arrow.p99_ms is not None and arrow.p99_ms >= _SLOW_MS and arrow.kind != "queue":
        return "slow"
    return "idle" if arrow.per_second <= 0 else "well"


def _worst(single: Sequence[Link], key: tuple[str, str, ArrowKind]) -> str:
    moods = {link.mood for link in single if (link.arrow.source, link.arrow.target, link.arrow.kind) == key}
    return next(mood for mood in ("wrong", "slow", "well", "idle") if mood in moods)


def _side(arrow: Arrow) -> drawing.Role | None:
    if arrow.kind != "request" or arrow.source != "envoy":
        return None
    return drawing.role_of(arrow.target)


def _key(arrow: Arrow) -> tuple[str, ...]:
    return arrow.source, arrow.target, arrow.kind, arrow.label
