"""Everything is kept while people enrol, and restored elsewhere; nothing that was answered before is missing.
What docs/guides/restore.md says of kills, other machines and moments is tried here."""

import json
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from banyan.infra.backup import dumps, manifest, snapshots
from banyan.infra.settings import Settings
from banyan.messaging import republishing
from banyan.processes.backup import servers_running
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes.keeping import (
    LEARNERS,
    WATCHED,
    Past,
    asked,
    banyan,
    eventually,
    killed_when,
    live_through,
    mentioned,
    mix,
    secrets_of,
    telling,
    without_outbox,
)
from tests.processes.people import Learner

pytestmark = pytest.mark.timeout(600)  # of them most for what was there before, which all tests share


@pytest.fixture(scope="module")
def past() -> Iterator[Past]:
    with tempfile.TemporaryDirectory(prefix="by-", dir="/tmp", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        archiving = {"BANYAN_WAL_ARCHIVE": str(folder / "wal"), "BANYAN_WAL_ARCHIVE_SECONDS": "20"}
        with banyan_up("--demo", environ=archiving) as door:
            lived = live_through(door, folder)
        yield lived


async def test_a_restore_that_was_killed_is_run_again_and_has_every_row_and_every_session(
    past: Past, tmp_path: Path
) -> None:
    data = tmp_path / "elsewhere"
    first = past.kept("first")

    killed_when("restored learning", "restore", str(first), "--data", str(data))
    half = banyan("up", "--no-legacy", "--data", str(data))
    assert half.returncode == 1
    assert "Run `banyan restore` again" in half.stderr

    done = banyan("restore", str(first), "--data", str(data), "--digest", past.first_digest)
    assert done.returncode == 0, done.stderr
    settings = Settings.read({"BANYAN_DATA": str(data)})
    kept = manifest.decode((first / manifest.PLAIN).read_bytes(), "")
    async with servers_running(settings, print):
        for dump in kept.dumps:
            found = await snapshots.tables_of(dumps.superuser_url(settings, dump.database))
            assert without_outbox(found) == without_outbox(dump.tables)
        learners = await asked(settings, "learning", "SELECT person_id FROM enrolment")
        accounts = await asked(settings, "iam", "SELECT id, email FROM account")
    emails = {email for person, email in accounts if (person,) in learners}
    answered = [email for at, email, _ in past.crowd.answered if at < kept.dumps[0].at]
    assert len(answered) >= 3
    assert set(answered) <= emails

    with banyan_up("--demo", "--data", str(data)) as door:
        moved = FrontDoor(door.url, data)
        early = Learner(moved)
        assert early.sign_in(answered[-1]) == 204
        assert "on" in moved.banyan("gateway", "kill-switch", "on")
        with urllib.request.urlopen(f"{door.url}/courses") as page:
            assert page.headers["x-banyan-side"] == "old"


async def test_a_stopped_banyan_is_kept_too_and_a_killed_backup_leaves_nothing_that_counts(
    past: Past, tmp_path: Path
) -> None:
    data, again = tmp_path / "data", tmp_path / "again"
    passphrase = {"BANYAN_BACKUP_PASSPHRASE": "a horse, a battery"}
    assert banyan("restore", str(past.kept("third")), "--data", str(data)).returncode == 0
    assert not mentioned(data, str(past.crowd.door.data), apart="postgres")

    killed_when("kept     bus", "backup", str(again), "--data", str(data))
    assert not again.exists()
    assert "is whole" in banyan("restore", str(past.kept("third")), "--check").stdout
    kept = banyan("backup", str(again), "--encrypt", "--json", "--data", str(data), environ=passphrase)
    assert kept.returncode == 0, kept.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "data"]
    before = manifest.decode((past.kept("third") / manifest.PLAIN).read_bytes(), "")
    tables = {dump["database"]: dump["tables"] for dump in json.loads(kept.stdout)["manifest"]["dumps"]}
    for dump in before.dumps:
        expected = {name: {"rows": t.rows, "checksum": t.checksum} for name, t in dump.tables.items()}
        assert without_outbox(tables[dump.database]) == without_outbox(expected)
    assert not [secret for secret in secrets_of(data) if mentioned(again, secret)]

    wrong = banyan("restore", str(again), "--data", str(tmp_path / "x"), environ={"BANYAN_BACKUP_PASSPHRASE": "a cow"})
    assert wrong.returncode == 1
    assert "Nothing was restored" in wrong.stderr
    assert not (tmp_path / "x").exists()


async def test_contexts_whose_snapshots_differ_agree_again(past: Past, tmp_path: Path) -> None:
    mixed, data = tmp_path / "mixed", tmp_path / "data"
    first = {name: past.kept("first") for name in ("bus", "live")}
    mix(mixed, {**first, "learning": past.kept("second"), "iam": past.kept("third")})

    done = banyan("restore", str(mixed), "--data", str(data), "--json")
    assert done.returncode == 0, done.stderr
    settings = Settings.read({"BANYAN_DATA": str(data)})
    async with servers_running(settings, print):
        accounts = await asked(settings, "iam", "SELECT id, name FROM account")
        learners = await asked(settings, "learning", LEARNERS)
        assert set(accounts) - set(await asked(settings, "learning", "SELECT id, name FROM person"))
        assert learners != await asked(settings, "live", WATCHED)

        async with telling(settings):
            await eventually(settings, "learning", "SELECT id, name FROM person", set(accounts))
            await eventually(settings, "live", WATCHED, set(learners))
            await eventually(settings, "learning", "SELECT count(*) FROM outbox", {(0,)})
        # Whatever came twice had its effect once.
        twice = "SELECT course_id FROM journal GROUP BY course_id, learners HAVING count(*) > 1"
        assert await asked(settings, "live", twice) == []


def test_the_bus_is_kept_first_and_whoever_tells_after_whoever_hears() -> None:
    assert republishing.keeping_order(["bus", "gateway", "iam", "learning", "live"]) == [
        "bus",
        "gateway",
        "live",
        "learning",
        "iam",
    ]


async def test_a_moment_has_what_was_before_it_and_nothing_after(past: Past, tmp_path: Path) -> None:
    data = tmp_path / "then"

    def restored_to(moment: datetime, wal: str = str(past.archive)) -> "subprocess.CompletedProcess[str]":
        korean = moment.astimezone(timezone(timedelta(hours=9))).isoformat()
        kept = str(past.kept("physical"))
        return banyan("restore", kept, "--to-time", korean, "--data", str(data), environ={"BANYAN_WAL_ARCHIVE": wal})

    assert "is not there or cannot be read" in restored_to(past.moment, wal=str(tmp_path)).stderr
    too_late = restored_to(past.moment + timedelta(hours=1))
    assert too_late.returncode == 1
    assert "It reaches to" in too_late.stderr
    too_early = restored_to(past.moment - timedelta(hours=1))
    assert "before the end of this backup" in too_early.stderr
    assert not data.exists()

    done = restored_to(past.moment)
    assert done.returncode == 0, done.stderr
    settings = Settings.read({"BANYAN_DATA": str(data)})
    async with servers_running(settings, print):
        emails = dict(await asked(settings, "iam", "SELECT email, id FROM account WHERE email LIKE 'more-%'"))
        learners = {person for (person,) in await asked(settings, "learning", "SELECT person_id FROM enrolment")}
    assert list(emails) == [past.before]
    assert emails[past.before] in learners
