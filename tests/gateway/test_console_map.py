"""The system map: always drawn in the same way, with nothing over anything else, and true to the figures."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banyan.contracts.monitor import Alert, Arrow
from banyan.gateway.http.console import map as drawing
from banyan.gateway.http.console import processes, scene
from banyan.gateway.http.console.map import Line
from tests.gateway import monitors
from tests.gateway.monitors import EVERYBODY

FUTURE = ("commerce", "exports", "search", "lake", "recorder", "shadow")
NAMES = st.lists(st.sampled_from(["browsers", *EVERYBODY, *FUTURE]), unique=True, max_size=16)
LINES = st.lists(
    st.builds(
        Line,
        st.sampled_from(["browsers", *EVERYBODY, *FUTURE]),
        st.sampled_from([*EVERYBODY, *FUTURE]),
        st.sampled_from(["request", "call", "sql", "queue"]),
        st.floats(0, 5000),
    ),
    unique_by=lambda line: (line.source, line.target, line.kind),
    max_size=40,
)


def crossing(one: drawing.Box, other: drawing.Box) -> bool:
    apart = one.x + one.width <= other.x or other.x + other.width <= one.x
    return not (apart or one.y + one.height <= other.y or other.y + other.height <= one.y)


@given(NAMES, LINES)
def test_no_box_lies_on_another_or_outside(names: list[str], lines: list[Line]) -> None:
    picture = drawing.drawn(names, lines)

    for one, other in itertools.combinations(picture.boxes, 2):
        assert not crossing(one, other), (one.name, other.name)
    for box in picture.boxes:
        assert box.x >= 0
        assert box.x + box.width <= drawing.WIDTH
        assert box.y >= 0
        assert box.y + box.height <= picture.height


@given(NAMES, LINES)
def test_no_figures_stand_on_other_figures(names: list[str], lines: list[Line]) -> None:
    picture = drawing.drawn(names, lines)

    assert all(arrow.labelled or arrow.points_left for arrow in picture.arrows)
    ends = [(arrow.x, arrow.y) for arrow in picture.arrows if not arrow.points_left]
    for (x, y), (other_x, other_y) in itertools.combinations(ends, 2):
        assert x != other_x or abs(y - other_y) >= drawing.LABEL_HEIGHT


@given(st.permutations(EVERYBODY), st.permutations(monitors.busy().now.arrows))
def test_the_same_system_is_drawn_the_same(names: Sequence[str], arrows: Sequence[Arrow]) -> None:
    def lines(found: Sequence[Arrow], factor: float) -> list[Line]:
        return [Line(arrow.source, arrow.target, arrow.kind, arrow.per_second * factor) for arrow in found]

    quiet, busy = drawing.drawn(EVERYBODY, lines(BUSY, 0)), drawing.drawn(names, lines(arrows_once(arrows), 3))

    assert [(box.name, box.x, box.y, box.height) for box in quiet.boxes] == [
        (box.name, box.x, box.y, box.height) for box in busy.boxes
    ]
    assert [(arrow.x, arrow.y) for arrow in quiet.arrows] == [(arrow.x, arrow.y) for arrow in busy.arrows]


def arrows_once(arrows: Sequence[Arrow]) -> list[Arrow]:
    return list({(arrow.source, arrow.target, arrow.kind): arrow for arrow in arrows}.values())


BUSY = arrows_once(monitors.busy().now.arrows)


def test_more_a_second_is_thicker_in_steps() -> None:
    widths = [drawing.thickness(rate) for rate in (0, 0.2, 1, 10, 100, 1000, 1e9)]

    assert widths == sorted(widths)
    assert widths[0] < widths[3] < widths[5] <= widths[6] == 6
    assert all(width * 2 == int(width * 2) for width in widths)
    assert drawing.thickness(-1) == widths[0]


def shown(*alerts: Alert) -> scene.Scene:
    found = monitors.busy()
    now = type(found.now)(**{name: getattr(found.now, name) for name in found.now.__slots__} | {"alerts": list(alerts)})
    return scene.scene(processes.rows(None, now), now.arrows, old_site=True)


def alert(rule: str, subject: str, state: str = "firing") -> Alert:
    return Alert(rule, subject, state, 9.0, datetime.now(UTC))  # type: ignore[arg-type]  # a test's states are those


def test_a_calm_system_points_nowhere() -> None:
    calm = shown(alert("process.cpu > 90% for 10s", "web", "waiting"), alert("queue.age > 10s for 0s", "live", "over"))

    assert {box.mood for box in calm.boxes} == {"well"}
    assert {link.mood for link in calm.links} <= {"well", "idle"}
    assert calm.asked == pytest.approx(132.4)


@pytest.mark.parametrize(
    ("rule", "subject", "boxes", "arrows"),
    [
        ("process.silent > 5s for 0s", "web", {"web"}, set()),
        ("sql.errors > 5% for 3s", "learning:learning", {"learning"}, {("learning", "postgres-core")}),
        ("pool.waiting > 0 for 5s", "iam:iam", {"iam"}, {("iam", "postgres-front")}),
        ("call.errors > 5% for 3s", "web:iam", {"web"}, {("web", "iam")}),
        ("queue.age > 10s for 0s", "live-from-learning", {"live"}, set()),
        ("outbox.age > 8s for 0s", "learning", {"relay"}, set()),
        ("disk.free < 1GB for 0s", "data", set(), set()),
        ("route.errors > 5% for 3s", "courses:new", set(), set()),
    ],
)
def test_an_alert_points_at_what_it_is_about(
    rule: str, subject: str, boxes: set[str], arrows: set[tuple[str, str]]
) -> None:
    pointing = shown(alert(rule, subject))

    assert {box.at.name for box in pointing.boxes if box.mood == "wrong"} == boxes
    wrong = {(link.arrow.source, link.arrow.target) for link in pointing.links if link.mood == "wrong"}
    assert wrong == arrows
