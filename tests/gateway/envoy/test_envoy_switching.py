"""Moving routes under load, what Envoy refuses, and the switch for emergencies."""

import asyncio
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from banyan.gateway.adapters import worlds
from banyan.gateway.adapters.data_plane import DataPlane, NothingServed
from banyan.gateway.adapters.files import FilesLocked
from banyan.gateway.domain.routes import Route, Side, SnapshotRefused
from banyan.infra.settings import Settings
from tests.gateway.envoy.certificates import authority
from tests.gateway.envoy.fronts import Front, front, read_answer
from tests.gateway.envoy.loads import under_load

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_fifty_flips_under_load_fail_no_request() -> None:
    async with front(legacy="demo") as door, under_load(door, "/courses") as load:
        for number in range(50):
            side: Side = "old" if number % 2 == 0 else "new"
            applied = await door.plane.apply(moved(door, courses=side))
            assert (applied.pending, await door.plane.serving()) == (False, applied.version)
            assert (await door.get("/courses")).side == side

    assert load.sides["old"] > 50
    assert load.sides["new"] > 50
    assert load.failed == []
    assert load.connections == 8


async def test_routes_come_and_go_under_load() -> None:
    async with front(legacy="demo") as door:
        table = worlds.defaults(door.settings)
        async with under_load(door, "/extra/1") as load:
            for _ in range(10):
                await door.plane.apply([*table, Route(name="extra", path="/extra/{id}", side="new", service="web")])
                assert (await door.get("/extra/1")).side == "new"
                await door.plane.apply(table)
                assert (await door.get("/extra/1")).side == "old"
        clusters = await door.plane.admin.stats(r"^cluster\.new~extra\.")

    assert load.failed == []
    assert clusters == {}


async def test_a_table_that_envoy_would_refuse_is_never_written(tmp_path: Path) -> None:
    authorities = authority(tmp_path).path
    async with front(legacy="https://127.0.0.1:1", BANYAN_LEGACY_CA=str(authorities)) as door:
        before, version = written(door), await door.plane.serving()
        authorities.write_text("no certificate")

        with pytest.raises(SnapshotRefused, match=r"(?s)Envoy refuses.*ca\.pem"):
            await door.plane.apply(moved(door, courses="new"))

        assert written(door) == before
        assert await door.plane.serving() == version
        assert (await door.get("/courses")).status == 502


async def test_what_envoy_rejects_after_all_is_taken_back_with_its_reason(tmp_path: Path) -> None:
    authorities = authority(tmp_path).path
    async with front(legacy="https://127.0.0.1:1", BANYAN_LEGACY_CA=str(authorities)) as door:
        await door.plane.apply(moved(door, courses="new"))
        before, version = written(door), await door.plane.serving()
        authorities.write_text("no certificate")

        # With `kill_switch` no second opinion is asked, so it is the running Envoy that rejects the added cluster.
        table = [*moved(door, courses="new"), Route(name="added", path="/added")]
        with pytest.raises(SnapshotRefused, match=r"(?s)rejected the clusters.*nothing was changed.*ca\.pem"):
            await door.plane.apply(table, kill_switch=True)

        assert written(door) == before
        assert not door.plane.kill_switch_is_on()
        assert await door.plane.serving() == version
        assert (await door.get("/courses")).side == "new"


async def test_the_kill_switch_needs_neither_control_plane_nor_settings() -> None:
    async with front(legacy="demo") as door:
        # As the command line has it: the data folder, and nothing of what `up` was told.
        bare = DataPlane(Settings.read({"BANYAN_DATA": str(door.settings.data)}))
        started = time.monotonic()
        applied = await bare.kill_switch(True)
        seconds = time.monotonic() - started
        killed = [(await door.get(path)).side for path in ("/courses", "/courses/a", "/api/v1/courses")]
        again = await bare.kill_switch(True)
        await bare.kill_switch(False)
        back = [(await door.get(path)).side for path in ("/courses", "/courses/a", "/api/v1/courses")]

    assert killed == ["old", "old", "new"]
    assert back == ["new", "new", "new"]
    assert again.version == applied.version
    assert any("api" in note for note in applied.notes)
    assert seconds < 5


HOLDER = """
import fcntl, sys, time
fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


async def test_the_kill_switch_waits_for_no_control_plane_that_hangs() -> None:
    async with front(legacy="demo") as door:
        lock = door.settings.data / "envoy" / "lock"
        hung = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, lock, stdout=asyncio.subprocess.PIPE)
        assert hung.stdout is not None
        await hung.stdout.readline()
        await door.plane.kill_switch(True)
        killed = (await door.get("/courses")).side
        applied = await door.plane.apply(moved(door, courses="new"))
        hung.kill()
        await hung.wait()

    assert killed == "old"
    assert not applied.pending


async def test_a_writer_that_wakes_up_after_the_kill_switch_undoes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with front(legacy="demo") as door:
        asleep, awake = asyncio.Event(), asyncio.Event()
        frozen = DataPlane(door.settings)
        counters = frozen.admin.counters

        async def sleeping() -> dict[str, int | str]:
            asleep.set()
            await awake.wait()
            return await counters()

        monkeypatch.setattr(frozen.admin, "counters", sleeping)
        change = asyncio.create_task(frozen.apply(moved(door, courses="new")))
        await asleep.wait()  # it holds the lock and has rendered with the kill switch off
        await door.plane.kill_switch(True)
        awake.set()
        with pytest.raises(FilesLocked):
            await change

        assert door.plane.kill_switch_is_on()
        assert (await door.get("/courses")).side == "old"
        await door.plane.kill_switch(False)
        assert (await door.get("/courses/a")).side == "new"


async def test_the_kill_switch_survives_restarts_and_changes_of_the_table() -> None:
    async with front(legacy="demo") as door:
        await door.plane.kill_switch(True)
        await door.plane.apply(moved(door, courses="new"))
        while_on = (await door.get("/courses")).side
        await door.stop(signal.SIGKILL)
        await door.start()
        after_restart = (await door.get("/courses")).side
        await door.plane.kill_switch(False)
        off = (await door.get("/courses")).side

    assert (while_on, after_restart, off) == ("old", "old", "new")


async def test_services_still_reach_each_other_while_the_kill_switch_is_on() -> None:
    async with front(legacy="demo") as door:
        await door.plane.kill_switch(True)
        reader, writer = await asyncio.open_unix_connection(door.settings.socket("internal"))
        writer.write(b"GET /api/v1/courses HTTP/1.1\r\nHost: learning\r\n\r\n")
        answer = await read_answer(reader)
        writer.close()

    assert (answer.status, answer.body) == (200, b"learning")


async def test_a_table_given_while_envoy_is_away_waits_for_it() -> None:
    async with front(legacy="demo") as door:
        await door.stop(signal.SIGKILL)
        applied = await door.plane.apply(moved(door, courses="old"))
        switched = await door.plane.kill_switch(True)
        await door.plane.kill_switch(False)
        serving_meanwhile = await door.plane.serving()
        await door.start()
        version, answer = await door.plane.serving(), await door.get("/courses")

    assert applied.pending
    assert switched.pending
    assert serving_meanwhile is None
    assert (version, answer.side) == (applied.version, "old")


async def test_the_last_table_meets_a_changed_world_at_the_next_start() -> None:
    async with front(legacy="demo") as door:
        await door.plane.apply(moved(door, courses="old"))
        await door.stop()
        changed = dataclasses.replace(door.settings, legacy_url="http://127.0.0.1:1")
        door.plane = DataPlane(changed)
        await door.start()
        answer = await door.get("/courses")

    assert (answer.status, answer.side) == (502, "gateway")


@pytest.mark.parametrize("damage", ["", "{", '{"version":"x"}', "\x00" * 100])
async def test_damaged_files_are_made_anew(damage: str) -> None:
    async with front(legacy="demo") as door:
        await door.stop(signal.SIGKILL)
        for file in (door.settings.data / "envoy").rglob("*.json"):
            file.write_text(damage)
        await door.start()

        assert (await door.get("/courses")).side == "new"


async def test_the_kill_switch_of_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NothingServed, match="banyan up"):
        await DataPlane(Settings.read({"BANYAN_DATA": str(tmp_path)})).kill_switch(True)


async def test_two_writers_take_turns() -> None:
    async with front(legacy="demo") as door:
        other = DataPlane(door.settings)

        async def flip(plane: DataPlane) -> None:
            for number in range(8):
                await plane.apply(moved(door, courses="old" if number % 2 else "new"))

        async with under_load(door, "/courses") as load:
            await asyncio.gather(flip(door.plane), flip(other), other.kill_switch(False))
        applied = await other.apply(moved(door, courses="new"))

        assert load.failed == []
        assert await door.plane.serving() == applied.version
        assert (await door.get("/courses")).side == "new"


FLIPPER = """
import asyncio, dataclasses, os, sys
from banyan.gateway.adapters import worlds
from banyan.gateway.adapters.files import FilesLocked
from banyan.gateway.adapters.data_plane import DataPlane
from banyan.infra.settings import Settings
async def main():
    settings = Settings.read(os.environ)
    plane, table = DataPlane(settings), worlds.defaults(settings)
    while True:
        for side in ("old", "new"):
            await plane.apply([dataclasses.replace(row, side=side) if row.old_twin else row for row in table])
            print(side, flush=True)
asyncio.run(main())
"""


async def test_a_writer_killed_at_any_moment_leaves_a_gateway_that_works() -> None:
    async with front(legacy="demo") as door, under_load(door, "/courses") as load:
        for number in range(5):
            environ = {**os.environ, **door.settings.environ()}
            writer = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", FLIPPER), env=environ, stdout=asyncio.subprocess.PIPE
            )
            assert writer.stdout is not None
            await writer.stdout.readline()
            await asyncio.sleep(0.013 * number)
            writer.kill()
            await writer.wait()
            applied = await door.plane.apply(moved(door, courses="new"))
            assert await door.plane.serving() == applied.version

    assert load.failed == []


async def test_a_plan_says_what_would_change() -> None:
    async with front(legacy="demo") as door:
        version = await door.plane.serving()
        nothing = await door.plane.plan(worlds.defaults(door.settings))
        added = Route(name="added", path="/added", service="web")
        plan = await door.plane.plan([*moved(door, courses="old"), added])

    assert (nothing.changes, nothing.version, nothing.serving) == ([], version, version)
    assert [(change.action, change.kind, change.name) for change in plan.changes] == [
        ("add", "cluster", "new~added"),
        ("add", "cluster", "old~added"),
        ("add", "route", "added"),
        ("change", "route", "courses"),
    ]
    assert [change.detail for change in plan.changes[2:]] == ["old~added", "new~courses -> old~courses"]


async def test_a_thousand_routes_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Route(name=f"r{number}", path=f"/r{number}/{{id}}", side="new" if number % 2 else "old", service="web")
        for number in range(1000)
    ]
    async with front(legacy="demo") as door:
        started = time.monotonic()
        await door.plane.validate(rows)
        validated = time.monotonic()
        applied = await door.plane.apply(rows)
        done = time.monotonic()
        flipped = [dataclasses.replace(row, side="old") if row.name == "r501" else row for row in rows]
        await door.plane.apply(flipped)
        flip = time.monotonic()
        sides = [(await door.get(path)).side for path in ("/r1/a", "/r2/a", "/r999/a", "/r501/a", "/r1000/a")]

    with capsys.disabled():
        seconds = (validated - started, done - validated, flip - done)
        print("\n1000 routes: validate {:.2f} s, apply {:.2f} s, one flip {:.2f} s".format(*seconds))
    assert not applied.pending
    assert sides == ["new", "old", "new", "old", "old"]


def moved(door: Front, *, courses: Side) -> Sequence[Route]:
    """The default table with `courses` on that side."""
    rows = worlds.defaults(door.settings)
    return [dataclasses.replace(row, side=courses) if row.name == "courses" else row for row in rows]


def written(door: Front) -> dict[str, bytes]:
    folder = door.settings.data / "envoy"
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
