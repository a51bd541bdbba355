"""`banyan upgrade` under load, as docs/guides/upgrade.md says: one process after the other by another installation, and
nobody notices."""

import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from banyan.infra.supervisor import control
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.shipping.installing import ROOT, Installed
from tests.shipping.upgrading import (
    NEW,
    OLD,
    add_a_subtitle,
    begin_run_of,
    built,
    edit,
    enrolling,
    failures,
    get,
    next_number,
    processes,
    run_by,
    squeezed,
    text,
    upgrade,
    versions,
    visited,
    watching,
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="by-", dir="/tmp", ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def old(folder: Path) -> Installed:
    return built(folder, OLD)


@pytest.fixture(scope="module")
def new(folder: Path) -> Installed:
    """The next version: its API answers more, its pages ask for that, and its schema has a column more."""
    return built(folder, NEW, add_a_subtitle)


@pytest.fixture(scope="module")
def running(old: Installed) -> Iterator[FrontDoor]:
    # The test of a version that hangs waits for the first; the second is longer than that on a slow machine, too.
    environ = {
        "BANYAN_UPGRADE_SECONDS": "15",
        "BANYAN_NEW_TIMEOUT_SECONDS": "90",
        "BANYAN_CALL_TIMEOUT_SECONDS": "80",
    }
    with banyan_up("--demo", environ=environ, python=old.python, cwd=old.elsewhere) as door:
        yield door


@pytest.fixture
def door(running: FrontDoor, old: Installed) -> FrontDoor:
    """The old version runs, whatever the test before has left."""
    if set(versions(running).values()) != {OLD}:
        upgrade(running, old)
    return running


def test_a_whole_upgrade_under_load_fails_no_request_and_loses_no_enrolment(door: FrontDoor, new: Installed) -> None:
    with visited(door) as visits, enrolling(door) as enrolled, watching(door, enrolled.slugs[0]) as watched:
        said = upgrade(door, new)

    assert failures(visits) == {}
    assert enrolled.failures == []
    assert enrolled.kept()
    assert watched == ["told to come again", "ended", "came again"]
    assert [f"{name} {OLD} -> {NEW}" for name in versions(door)] == re.findall(r"ready +(.+? -> .+)", squeezed(said))
    assert "learning: 0004_subtitles" in said.replace(f"{next_number(ROOT):04}", "0004")
    assert f"the supervisor ({OLD} -> {NEW})" in said
    assert set(versions(door).values()) == {NEW}
    assert get(door, "/_banyan/api/v1/courses?limit=1")["subtitle"] == "a subtitle"


def test_old_and_new_work_together_either_way_round(door: FrontDoor, old: Installed, new: Installed) -> None:
    with visited(door) as visits, enrolling(door) as enrolled:
        run_by(door, "web", new)
        assert f"web {NEW}" in text(door, "/courses")
        run_by(door, "web", old)
        for name in ("iam", "learning", "live", "relay"):
            run_by(door, name, new)
        assert f"web {NEW}" not in text(door, "/courses")
        assert get(door, "/_banyan/api/v1/courses?limit=1")["subtitle"] == "a subtitle"
        run_by(door, "learning", old)  # the older code, on the newer schema

    assert failures(visits) == {}
    assert enrolled.failures == []
    assert enrolled.kept()


@pytest.mark.parametrize(
    ("process", "line", "says"),
    [
        ("learning", 'raise RuntimeError("broken")', "learning 0.3.0 was not ready (ended with exit code 1)"),
        ("web", "await __import__('asyncio').sleep(3600)", "web 0.3.0 was not ready (not ready within 15 s"),
    ],
    ids=["dies", "hangs"],
)
def test_a_version_that_does_not_become_ready_is_put_back_and_nobody_notices(
    process: str, line: str, says: str, door: FrontDoor, folder: Path
) -> None:
    broken = built(folder, "0.3.0", begin_run_of(process, line))
    with visited(door) as visits, enrolling(door) as enrolled, pytest.raises(AssertionError) as refused:
        upgrade(door, broken)

    assert says in str(refused.value)
    assert failures(visits) == {}
    assert enrolled.failures == []
    assert enrolled.kept()
    assert set(versions(door).values()) == {OLD}
    assert all(child.state == "ready" for child in processes(door))


def test_a_version_that_cannot_be_loaded_stops_nothing(door: FrontDoor, folder: Path) -> None:
    half = built(
        folder, "0.4.0", lambda tree: edit(tree / "src/banyan/web/pages/__init__.py", r"\A", "import nothing\n")
    )
    before = {child.name: child.pid for child in processes(door)}

    with pytest.raises(AssertionError) as refused:
        upgrade(door, half)

    assert "No module named 'nothing'" in str(refused.value)
    assert {child.name: child.pid for child in processes(door)} == before


def test_an_upgrade_that_is_interrupted_goes_back(door: FrontDoor, new: Installed) -> None:
    command = [door.python, "-m", "banyan", "upgrade", "--to", str(new.folder), "--data", str(door.data)]
    with (
        visited(door) as visits,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/", start_new_session=True) as upgrading,
    ):
        assert upgrading.stdout is not None
        done = next(line for line in upgrading.stdout if line.strip().startswith("ready")).split()[1]
        upgrading.send_signal(signal.SIGINT)
        said = squeezed(upgrading.stdout.read())
        assert upgrading.wait(120) != 0

    assert f"back {done} {OLD}" in said
    assert failures(visits) == {}
    assert set(versions(door).values()) == {OLD}
    assert all(child.state == "ready" for child in processes(door))


def test_only_processes_are_run_by_another_installation(door: FrontDoor, new: Installed) -> None:
    with pytest.raises(control.WishRefused, match="need a full restart"):
        run_by(door, "envoy", new)
