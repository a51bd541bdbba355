"""The snapshot is a pure function of table and world, and contradicts itself nowhere."""

import dataclasses
import json
import random
from pathlib import Path

import pytest

from banyan.gateway.adapters import worlds
from banyan.gateway.domain import defaults, snapshot
from banyan.gateway.domain.routes import Route, SnapshotRefused
from banyan.gateway.domain.snapshot import Snapshot, SnapshotInvalid
from banyan.gateway.domain.world import World
from banyan.infra.settings import Settings

ROWS = [
    Route(name=f"row-{number}", path=f"/{chr(97 + number)}/{{id}}", side=side, old_twin=twin, service="web")
    for number, (side, twin) in enumerate([("old", True), ("new", True), ("new", False)] * 3)
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return worlds.world(Settings.read({"BANYAN_DATA": str(tmp_path), "BANYAN_DEMO": "1"}))


@pytest.fixture
def made(world: World) -> Snapshot:
    return snapshot.render(ROWS, world, kill_switch=False)


def test_the_order_in_which_rows_were_added_changes_nothing(world: World, made: Snapshot) -> None:
    for seed in range(5):
        shuffled = random.Random(seed).sample(ROWS, len(ROWS))
        assert snapshot.render(shuffled, world, kill_switch=False).version == made.version


def test_whatever_changes_gives_another_version(world: World, made: Snapshot) -> None:
    others = [
        snapshot.render(ROWS[1:], world, kill_switch=False),
        snapshot.render(ROWS, world, kill_switch=True),
        snapshot.render(ROWS, dataclasses.replace(world, port=1), kill_switch=False),
        snapshot.render(ROWS, dataclasses.replace(world, legacy_timeout=1), kill_switch=False),
    ]

    versions = {made.version, *(other.version for other in others)}
    assert len(versions) == 5
    assert all(len(version) == 16 for version in versions)


def test_each_row_and_side_has_a_cluster_of_its_own(made: Snapshot) -> None:
    names = {str(cluster["name"]) for cluster in made.clusters if "row-" in str(cluster["name"])}

    assert names == {f"new~{row.name}" for row in ROWS} | {f"old~{row.name}" for row in ROWS if row.old_twin}
    made.check()


def test_a_move_and_the_kill_switch_change_no_cluster(world: World, made: Snapshot) -> None:
    moved = [dataclasses.replace(row, side="old") if row.old_twin else row for row in ROWS]

    assert snapshot.render(moved, world, kill_switch=False).clusters == made.clusters
    assert snapshot.render(ROWS, world, kill_switch=True).clusters == made.clusters


def test_a_service_that_does_not_exist_is_refused_by_name(world: World) -> None:
    with pytest.raises(SnapshotRefused, match=r"'x' names the service 'shop'; there are gateway, learning, web"):
        snapshot.render([Route(name="x", path="/x", service="shop")], world, kill_switch=False)


def test_the_kill_switch_moves_what_has_a_twin_and_nothing_else(world: World) -> None:
    killed = snapshot.render(ROWS, world, kill_switch=True)

    leads = {name: cluster.split("~")[0] for name, _, cluster in killed.leads() if name.startswith("row-")}
    assert leads == {row.name: "old" if row.old_twin else "new" for row in ROWS}


def test_without_an_old_site_the_kill_switch_changes_nothing(world: World) -> None:
    alone = dataclasses.replace(world, old_site=None)

    on, off = (snapshot.render(ROWS, alone, kill_switch=switch) for switch in (True, False))
    assert on.version == off.version
    assert not any("old~" in str(cluster["name"]) for cluster in on.clusters)


def test_a_snapshot_that_contradicts_itself_is_refused(made: Snapshot) -> None:
    first, *others = made.clusters
    broken = {
        "two clusters have one name": dataclasses.replace(made, clusters=(first, *made.clusters)),
        "clusters that do not exist": dataclasses.replace(made, clusters=tuple(others)),
        "is none": dataclasses.replace(made, routes={**made.routes, "regex": "(unclosed"}),
    }
    for reason, snapshot_ in broken.items():
        with pytest.raises(SnapshotInvalid, match=f"(?i){reason}"):
            snapshot_.check()


def test_nothing_of_the_table_is_in_what_envoy_reads_only_once(world: World, made: Snapshot) -> None:
    assert snapshot.render([], world, kill_switch=True).bootstrap == made.bootstrap
    assert "row-" not in json.dumps(made.bootstrap)


@pytest.mark.parametrize(
    ("demo", "other", "expected"),
    [
        (True, False, {"courses": ("new", True), "course": ("new", True), "api": ("new", False)}),
        (False, False, {"courses": ("new", False), "course": ("new", False), "api": ("new", False)}),
        (False, True, {"courses": ("old", True), "course": ("old", True), "api": ("old", True)}),
        (True, True, {"courses": ("old", True), "course": ("old", True), "api": ("old", True)}),
    ],
)
def test_a_companys_own_site_keeps_everything_at_first(
    demo: bool, other: bool, expected: dict[str, tuple[str, bool]]
) -> None:
    rows = defaults.default_routes(demo=demo, other_old_site=other)

    found = {row.name: (row.side, row.old_twin) for row in rows}
    twins, others = ("login", "signup"), ("logout", "enrolment", "learn", "me", "account", "reset", "reset-link")
    assert found == {
        **expected,
        **dict.fromkeys(twins, expected["course"]),
        **dict.fromkeys(others, expected["api"]),
    }
