"""A replica takes its primary's place: whatever became of that one, and whatever is killed in the middle of it."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from banyan.infra import embedded
from banyan.infra.replicas import folders, orders, promotion, wal
from banyan.infra.supervisor import control, state
from tests.infra.followed import CORE, Followed

TABLE = "CREATE TABLE enrolled (position bigint GENERATED ALWAYS AS IDENTITY, slug text)"
ONE = "INSERT INTO enrolled (slug) VALUES ('one') RETURNING position"
COUNT = "SELECT count(*) FROM enrolled"
STEPS = [
    "folders.give_order:after",
    "promotion.fence",
    "promotion.fence:after",
    "promotion.rescue:after",
    "promotion.move:after",
    "promotion.finish",
    "folders.end_order",
]

Start = Callable[..., Followed]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    begun: list[Followed] = []

    def starting(*, synchronous: bool = False, **environ: str) -> Followed:
        core = Followed(tmp_path / "data", **environ)
        begun.append(core)
        core.start()
        core.run(TABLE)
        core.replicate(synchronous=synchronous)
        return core

    yield starting
    for core in begun:
        core.end()


def is_the_only_primary(core: Followed) -> bool:
    """One server, under the primary's name, that takes writes and waits for nobody."""
    known = state.read(core.settings)
    assert known is not None
    assert [child.name for child in known.processes] == ["postgres-core"]
    assert core.run("SELECT NOT pg_is_in_recovery()")
    assert core.run("SHOW synchronous_standby_names") == ""
    assert core.run("SHOW restart_after_crash") == "on"
    assert core.run("SHOW restore_command") == ""
    assert core.run("SELECT count(*) FROM pg_replication_slots") == 0
    names = sorted(path.name.partition("-")[0] for path in (core.settings.data / "postgres").iterdir())
    return set(names) <= {"core", "core.fenced", "core.gone"}


def test_a_running_server_is_switched_without_loss_and_its_folder_starts_no_more(start: Start) -> None:
    core = start()
    for _ in range(20):
        core.run(ONE)

    outcome = core.ask("promote")

    assert core.run(COUNT) == 20
    assert core.run(ONE) > 20  # positions of the log may be skipped, never given again
    assert (outcome["rescued"], outcome["lost"], outcome["timeline"]) == (0, 0, 2)
    assert is_the_only_primary(core)
    with pytest.raises(control.WishRefused, match="has no replica"):
        core.ask("promote")
    rights = embedded.privileges(core.settings)
    server = [*rights.prefix, str(embedded.binary("postgres")), "-D", outcome["fenced"]]
    tried = subprocess.run(server, capture_output=True, text=True, timeout=20, check=False)
    assert "is not a valid data directory" in tried.stderr


def test_of_a_killed_server_with_its_folder_nothing_is_lost_even_if_the_replica_was_behind(start: Start) -> None:
    core = start()
    core.signal_replica(signal.SIGSTOP, only="walreceiver")
    for _ in range(20):
        core.run(ONE)
    core.kill_primary()

    outcome = core.ask("promote")

    assert outcome["rescued"] >= 20
    assert core.run(COUNT) == 20
    assert core.run(ONE) > 20
    assert is_the_only_primary(core)


def test_a_commit_of_which_the_replica_has_half_is_read_from_the_old_folder(start: Start) -> None:
    core = start()
    before = orders.from_text(core.run("SELECT pg_current_wal_insert_lsn()::text"))
    for _ in range(3):
        core.run(ONE)
    core.kill_primary()
    folder, rights = embedded.data_folder(core.settings, CORE), embedded.privileges(core.settings)

    found = wal.after(rights, folder, before, 1)
    assert found is not None
    assert found.commits == 3
    assert found.end > before
    assert wal.after(rights, folder, found.end + 10, 1) == wal.Found(found.end, 1)
    assert wal.after(rights, folder, found.end + 4096, 1) == wal.Found(found.end + 4096, 0)


def test_a_server_without_its_disk_loses_nothing_that_was_confirmed_if_its_replica_was_synchronous(
    start: Start,
) -> None:
    core = start(synchronous=True)
    for _ in range(20):
        core.run(ONE)
    core.lose_primary()

    outcome = core.ask("promote")

    assert (outcome["rescued"], outcome["synchronous"]) == (None, True)
    assert core.run(COUNT) == 20
    assert is_the_only_primary(core)


def test_a_replica_may_be_on_another_disk_and_stays_there_when_it_is_the_server(start: Start, tmp_path: Path) -> None:
    core = start(synchronous=True, BANYAN_REPLICA_FOLDER=str(tmp_path / "disk"))
    core.run(ONE)
    core.lose_primary()

    core.ask("promote")
    core.end()
    core.start()
    core.replicate()

    assert core.run(COUNT) == 1
    assert embedded.data_folder(core.settings, CORE).resolve().parent == tmp_path / "disk"
    core.ask("unreplicate")
    assert [path.name for path in (tmp_path / "disk").iterdir()] == [
        embedded.data_folder(core.settings, CORE).resolve().name
    ]


def test_what_an_asynchronous_replica_had_not_received_is_lost_and_said(start: Start) -> None:
    core = start()
    core.run(ONE)
    core.until(lambda: core.run(COUNT, on_replica=True) == 1)
    core.signal_replica(signal.SIGSTOP, only="walreceiver")
    for _ in range(20):
        core.run(ONE)
    core.until_seen()
    core.lose_primary()

    outcome = core.ask("promote")

    assert outcome["rescued"] is None
    assert outcome["lost"] > 20 * 100
    assert core.run(COUNT) == 1
    assert core.run(ONE) > 1


def test_a_replica_that_had_stopped_following_is_promoted_only_on_demand(start: Start) -> None:
    core = start()
    core.run(f"ALTER ROLE {folders.ROLE} NOLOGIN")
    core.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots")
    core.until(lambda: not core.now()["look"]["streaming"])
    core.run(ONE)
    core.until_seen()
    core.lose_primary()

    with pytest.raises(control.WishRefused, match=r"had stopped following .* --accept-loss"):
        core.ask("promote")
    assert core.ask("promote", accept_loss=True)["lost"] > 100

    assert core.run(COUNT) == 0


def test_a_hung_server_is_not_waited_for(start: Start) -> None:
    core = start(synchronous=True)
    core.run(ONE)
    folder = embedded.data_folder(core.settings, CORE)
    for pid in promotion.working_in(folder):
        os.kill(pid, signal.SIGSTOP)

    outcome = core.ask("promote")

    assert outcome["seconds"] < 5
    assert core.run(COUNT) == 1
    assert is_the_only_primary(core)


def test_a_lost_server_is_not_replaced_by_an_empty_one_when_everything_is_started_anew(start: Start) -> None:
    core = start(synchronous=True)
    core.run(ONE)
    core.end()
    folder = embedded.data_folder(core.settings, CORE)
    folder.rename(folder.with_name("core.gone"))

    core.start()

    assert not folder.exists()
    with pytest.raises(embedded.EmbeddedPostgresError, match="banyan db promote core"):
        embedded.initialise(core.settings, CORE, embedded.privileges(core.settings))
    with pytest.raises(control.WishRefused, match="all there is"):
        core.ask("unreplicate")
    core.until(lambda: core.run(COUNT, on_replica=True) == 1)
    core.ask("promote", accept_loss=True)
    assert core.run(COUNT) == 1


@pytest.mark.parametrize("step", STEPS)
def test_a_promotion_is_finished_when_the_supervisor_was_killed_in_the_middle_of_it(start: Start, step: str) -> None:
    core = start(synchronous=True)
    for _ in range(5):
        core.run(ONE)
    core.end()
    core.start(BREAK_AT=step)
    core.until(lambda: core.follows(synchronous=True))
    with pytest.raises(control.NotSupervised):
        core.ask("promote")
    core.wait_until_killed()
    core.end()

    core.start()

    core.until(lambda: folders.order(core.settings, CORE) is None)
    assert core.run(COUNT) == 5
    assert core.run(ONE) > 5
    assert is_the_only_primary(core)


def test_a_promotion_that_failed_halfway_is_finished_by_the_next_one(start: Start) -> None:
    core = start(synchronous=True)
    core.run(ONE)
    core.end()
    core.start(FAIL_ONCE_AT="promotion.move")
    core.until(lambda: core.follows(synchronous=True))

    with pytest.raises(control.WishRefused, match=r"not finished: no such luck.* goes on with the next"):
        core.ask("promote")
    core.ask("promote")

    assert core.run(COUNT) == 1
    assert is_the_only_primary(core)
