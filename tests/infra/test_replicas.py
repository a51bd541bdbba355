"""A replica of an embedded server, on real servers under a real supervisor."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from banyan.infra import databases, postgres
from banyan.infra.replicas import folders
from banyan.infra.replicas.folders import ROLE
from banyan.infra.supervisor import control
from tests.infra.followed import CORE, Followed

TABLE = "CREATE TABLE enrolled (position bigint GENERATED ALWAYS AS IDENTITY, slug text)"
ONE = "INSERT INTO enrolled (slug) VALUES ('one') RETURNING position"

Start = Callable[..., Followed]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    begun: list[Followed] = []

    def starting(**environ: str) -> Followed:
        core = Followed(tmp_path / "data", **environ)
        begun.append(core)
        core.start()
        core.run(TABLE)
        return core

    yield starting
    for core in begun:
        core.end()


def test_a_replica_has_what_its_primary_has_and_survives_a_restart_and_kills(start: Start) -> None:
    core = start()
    core.run(ONE)
    assert databases.replica_url(core.settings, "learning") is None

    core.replicate()
    core.run(ONE)

    core.until(lambda: core.run("SELECT count(*) FROM enrolled", on_replica=True) == 2)
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        core.run(ONE, on_replica=True)
    core.signal_replica(signal.SIGKILL)
    core.kill_primary()
    core.run(ONE)
    core.until(lambda: core.follows(synchronous=False))
    core.end()
    core.start()
    core.run(ONE)
    core.until(lambda: core.run("SELECT count(*) FROM enrolled", on_replica=True) == 4)


def test_a_reader_of_a_replica_has_the_rights_of_its_role_and_the_replicas_own_role_has_none(start: Start) -> None:
    core = start()
    core.run("GRANT SELECT ON enrolled TO learning")
    core.replicate()

    async def count(url: str) -> int:
        connection = await asyncpg.connect(url)
        try:
            found: int = await connection.fetchval("SELECT count(*) FROM enrolled")
            return found
        finally:
            await connection.close()

    url = databases.replica_url(core.settings, "learning")
    assert url is not None
    core.until(lambda: core.run("SELECT to_regclass('enrolled') IS NOT NULL", on_replica=True))
    assert asyncio.run(count(url)) == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(count(url.replace("/learning?", "/commerce?")))
    secret = folders.password(core.settings, CORE)
    for name in ("learning", "postgres"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            asyncio.run(count(databases.embedded_url(core.settings, CORE, name, ROLE, secret)))


@pytest.mark.parametrize("moment", ["standby.copy", "standby._put_into_place"])
def test_a_copy_that_is_cut_off_leaves_nothing_that_counts(start: Start, moment: str) -> None:
    core = start()
    core.end()
    core.start(BREAK_AT=moment)
    core.ask("replicate")
    core.wait_until_killed()
    core.end()

    core.start()

    core.until(lambda: core.run("SELECT count(*) FROM pg_replication_slots") == 0)
    assert core.now()["replica"] is None
    assert sorted(path.name for path in (core.settings.data / "postgres").iterdir() if path.is_dir()) == ["core"]
    core.replicate()


def test_a_copy_can_be_cut_off_by_hand(start: Start) -> None:
    core = start()
    core.run("INSERT INTO enrolled (slug) SELECT repeat('x', 500) FROM generate_series(1, 200000)")
    core.ask("replicate")

    core.ask("unreplicate")

    core.until(lambda: core.run("SELECT count(*) FROM pg_replication_slots") == 0)
    assert core.now()["copying"] is None
    assert not folders.exists(core.settings, CORE)
    with pytest.raises(control.WishRefused, match="no replica"):
        core.ask("unreplicate")


def test_with_a_synchronous_replica_away_writes_wait_until_it_is_back(start: Start) -> None:
    core = start()
    core.replicate(synchronous=True)
    core.signal_replica(signal.SIGSTOP)

    with pytest.raises(TimeoutError):
        core.run(ONE)

    core.run("SELECT 1")  # reading goes on
    core.signal_replica(signal.SIGKILL)
    core.until(lambda: core.follows(synchronous=True))
    core.run(ONE)
    assert core.run("SELECT count(*) FROM enrolled", on_replica=True) >= 1


def test_a_caller_is_never_told_of_a_commit_that_a_synchronous_replica_does_not_have(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = start()
    core.run("GRANT INSERT ON enrolled TO learning")
    core.replicate(synchronous=True)
    core.signal_replica(signal.SIGSTOP)
    monkeypatch.setattr(postgres, "STATEMENT_TIMEOUT", 1.0)

    async def enrol() -> None:
        database = postgres.database(core.settings, "learning")
        try:
            async with database.transaction() as tx:
                await tx.execute("INSERT INTO enrolled (slug) VALUES ('one')")
        finally:
            await database.close()

    with pytest.raises(postgres.DatabaseAway):
        asyncio.run(enrol())
    core.signal_replica(signal.SIGKILL)


def test_writes_go_on_after_a_stated_patience_and_wait_again_when_the_replica_is_back(start: Start) -> None:
    core = start(BANYAN_REPLICA_PATIENCE_SECONDS="4")
    core.replicate(synchronous=True)
    core.run(f"ALTER ROLE {ROLE} NOLOGIN")
    core.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots")

    core.until(lambda: "writes wait for it" in core.now()["detail"])
    core.until(lambda: "writes go on without it" in core.now()["detail"])
    core.run(ONE)

    core.run(f"ALTER ROLE {ROLE} LOGIN")
    core.until(lambda: core.follows(synchronous=True))
    assert core.run("SELECT count(*) FROM enrolled", on_replica=True) == 1


def test_a_replica_may_be_made_synchronous_and_asynchronous_later(start: Start) -> None:
    core = start()
    core.replicate()
    with pytest.raises(control.WishRefused, match="--synchronous or --asynchronous"):
        core.ask("replicate")

    core.replicate(synchronous=True)
    core.replicate(synchronous=False)
    core.ask("unreplicate")

    core.run(ONE)
    assert core.run("SELECT count(*) FROM pg_replication_slots") == 0
    assert not folders.exists(core.settings, CORE)


def test_a_replica_that_is_away_for_too_long_does_not_fill_the_disk(start: Start) -> None:
    core = start(BANYAN_REPLICA_LOG_BYTES=str(32 * 1_048_576))
    core.replicate()
    core.run(f"ALTER ROLE {ROLE} NOLOGIN")
    core.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots")

    oldest = core.run("SELECT min(name) FROM pg_ls_waldir()")
    for _ in range(6):
        core.run("SELECT pg_switch_wal()")
        core.run(ONE)
    core.run("CHECKPOINT")

    core.until(lambda: "it never can again" in core.now()["detail"])
    assert core.run("SELECT min(name) FROM pg_ls_waldir()") > oldest
    core.lose_primary()
    with pytest.raises(control.WishRefused, match="--accept-loss"):
        core.ask("promote")


def test_what_cannot_be_is_refused_with_what_to_do(start: Start) -> None:
    core = start()
    with pytest.raises(control.WishRefused, match=r"There is no server 'elsewhere'\. There are: front"):
        asyncio.run(control.ask(core.settings, "replicate", server="elsewhere"))
    with pytest.raises(control.WishRefused, match="BANYAN_GATEWAY_DATABASE_URL"):
        asyncio.run(control.ask(core.settings, "replicate", server="front"))
    with pytest.raises(control.WishRefused, match="has no replica"):
        core.ask("promote")
    core.end()
    with pytest.raises(control.NotSupervised):
        core.ask("promote")
