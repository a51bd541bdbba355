"""Line charts as geometry; the template draws them, with the same figures as a table beside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WIDTH, HEIGHT = 560, 132
SMALL_WIDTH, SMALL_HEIGHT = 160, 32
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 8, 20
KEPT = timedelta(minutes=5)
_STEP = timedelta(seconds=2)
_ROWS_EVERY = timedelta(minutes=1)

Samples = Sequence[tuple[datetime, float | None]]
Place = Callable[[datetime, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """`path` is SVG path data, in pieces where there was nothing to measure; `end` is its last point, if it is now."""

    name: str
    path: str
    end: tuple[float, float] | None
    now: float | None
    highest: float | None


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    lines: list[Line]
    ticks: list[Tick]
    minutes: list[Tick]
    rows: list[tuple[str, dict[str, float | None]]]


def chart(series: Mapping[str, Samples], *, now: datetime, clock: Callable[[datetime], str]) -> Chart:
    """The last five minutes of one figure, all lines on one scale."""
    steps = {name: _every_step(samples, now=now) for name, samples in series.items()}
    top = _nice(max((value for line in steps.values() for _, value in line if value is not None), default=0))
    inner = HEIGHT - TOP - BOTTOM

    def place(at: datetime, value: float) -> tuple[float, float]:
        share = 1 - (now - at) / KEPT
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1), round(TOP + inner * (1 - value / top), 1)

    return Chart(
        lines=[_line(name, line, place) for name, line in steps.items()],
        ticks=[Tick(TOP + inner * (1 - part / 2), _short(top * part / 2)) for part in (0, 1, 2)],
        minutes=[Tick(place(now - timedelta(minutes=ago), 0)[0], str(-ago)) for ago in (5, 4, 3, 2, 1, 0)],
        rows=_rows(series, now=now, clock=clock),
    )


def small(samples: Samples, *, now: datetime) -> Line:
    """The last five minutes of one figure on a strip without a scale."""
    steps = _every_step(samples, now=now)
    top = _nice(max((value for _, value in steps if value is not None), default=0))

    def place(at: datetime, value: float) -> tuple[float, float]:
        share = 1 - (now - at) / KEPT
        return round(share * (SMALL_WIDTH - 6), 1), round(3 + (SMALL_HEIGHT - 6) * (1 - value / top), 1)

    return _line("", steps, place)


def _every_step(samples: Samples, *, now: datetime) -> list[tuple[datetime, float | None]]:
    """The mean of each step, oldest first; steps are counted from the epoch, so a point never changes later."""
    steps: dict[int, list[float]] = {}
    for at, value in samples:
        if at <= now - KEPT:
            continue
        steps.setdefault(int(at.timestamp() // _STEP.total_seconds()), []).extend([] if value is None else [value])
    return [
        (
            min(now, datetime.fromtimestamp((step + 1) * _STEP.total_seconds(), now.tzinfo)),
            sum(values) / len(values) if values else None,
        )
        for step, values in sorted(steps.items())
    ]


def _line(name: str, series: Samples, place: Place) -> Line:
    path = ""
    drawing = False
    for at, value in series:
        if value is not None:
            x, y = place(at, value)
            path += f"{'L' if drawing else 'M'}{x} {y}"
        drawing = value is not None
    latest = series[-1][1] if series else None
    return Line(
        name,
        path,
        end=place(series[-1][0], latest) if latest is not None else None,
        now=latest,
        highest=max((value for _, value in series if value is not None), default=None),
    )


def _rows(
    series: Mapping[str, Samples], *, now: datetime, clock: Callable[[datetime], str]
) -> list[tuple[str, dict[str, float | None]]]:
    rows = []
    for ago in range(int(KEPT / _ROWS_EVERY)):
        end = now - ago * _ROWS_EVERY
        means: dict[str, float | None] = {}
        for name, samples in series.items():
            values = [value for at, value in samples if end - _ROWS_EVERY < at <= end and value is not None]
            means[name] = sum(values) / len(values) if values else None
        rows.append((f"{clock(end - _ROWS_EVERY)} – {clock(end)}", means))
    return rows


def _nice(highest: float) -> float:
    """A round top of the scale, so that it stays where it is while the figures move a little."""
    step = 1.0
    while True:
        for factor in (1, 2, 4, 10):
            if highest <= step * factor:
                return step * factor
        step *= 10


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:g}"
