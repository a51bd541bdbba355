"""Changes of the route table: one transaction each, then served or put back, and a log that only grows."""

import asyncio

import asyncpg
import pytest

from banyan.gateway import queries
from banyan.gateway.domain.routes import NoOldSite, Route, RouteExists, RouteUnknown, SnapshotRefused
from banyan.gateway.operations.routes import Routes, StillStarting
from banyan.infra.postgres import Database, DatabaseAway
from tests.fakes.front_door import RecordingFrontDoor
from tests.gateway.conftest import DEFAULTS

REVIEWS = Route(name="reviews", path="/courses/{slug}/reviews", service="web")


async def log(database: Database) -> list[tuple[str, str, str, str]]:
    changes = await queries.route_changes(database, limit=100)
    return [(change.action, change.route, change.detail, change.outcome) for change in reversed(changes.items)]


async def names(routes: Routes) -> set[str]:
    return {route.name for route in (await routes.table()).routes}


async def test_the_first_start_gives_the_default_routes_and_serves_them(
    routes: Routes, front_door: RecordingFrontDoor, gateway_database: Database
) -> None:
    assert front_door.sides() == {"courses": "new", "course": "new", "api": "new"}
    assert [action for action, *_ in await log(gateway_database)] == ["seed"] * 3


async def test_a_default_route_that_was_removed_does_not_come_back(
    routes: Routes, front_door: RecordingFrontDoor, gateway_database: Database
) -> None:
    for route in DEFAULTS:
        await routes.remove(route.name)

    restarted = Routes(gateway_database, front_door, defaults=DEFAULTS)
    await restarted.reconcile()

    assert await names(restarted) == set()
    assert front_door.sides() == {}


async def test_a_route_moves_there_and_back(
    routes: Routes, front_door: RecordingFrontDoor, gateway_database: Database
) -> None:
    await routes.move("course", side="old")
    assert front_door.sides()["course"] == "old"

    await routes.move("course", side="new")
    assert front_door.sides()["course"] == "new"
    assert (await log(gateway_database))[-2:] == [
        ("move", "course", "/courses/{slug}: new → old", "saved"),
        ("move", "course", "/courses/{slug}: old → new", "saved"),
    ]


async def test_moving_to_the_side_it_has_changes_nothing(routes: Routes, gateway_database: Database) -> None:
    before, lines = await routes.table(), await log(gateway_database)

    await routes.move("course", side="new")

    assert await routes.table() == before
    assert await log(gateway_database) == lines


async def test_a_route_is_added_and_removed(routes: Routes, front_door: RecordingFrontDoor) -> None:
    await routes.add(REVIEWS)
    assert front_door.sides()["reviews"] == "old"

    await routes.remove("reviews")
    assert "reviews" not in front_door.sides()


@pytest.mark.parametrize("change", ["move", "add", "remove"])
async def test_what_envoy_would_refuse_is_never_written(
    routes: Routes, front_door: RecordingFrontDoor, gateway_database: Database, change: str
) -> None:
    before, served = await routes.table(), front_door.sides()
    front_door.refuse_validate = "no such cluster"

    with pytest.raises(SnapshotRefused, match="no such cluster"):
        await make(change, routes)

    assert await routes.table() == before
    assert front_door.sides() == served
    assert (await log(gateway_database))[-1][3] == "refused: no such cluster"


@pytest.mark.parametrize("change", ["move", "add", "remove"])
async def test_what_envoy_does_refuse_is_put_back(
    routes: Routes, front_door: RecordingFrontDoor, gateway_database: Database, change: str
) -> None:
    before, served = await routes.table(), front_door.sides()
    front_door.refuse_apply = "listener is busy"

    with pytest.raises(SnapshotRefused, match="listener is busy"):
        await make(change, routes)

    front_door.refuse_apply = ""
    await routes.reconcile()
    after = await routes.table()
    assert set(after.routes) == set(before.routes)
    assert front_door.sides() == served
    outcomes = [outcome for *_, outcome in await log(gateway_database)]
    assert outcomes[-2:] == ["saved", "put back, Envoy refused it: listener is busy"]


async def make(change: str, routes: Routes) -> None:
    if change == "move":
        await routes.move("course", side="old")
    elif change == "add":
        await routes.add(REVIEWS)
    else:
        await routes.remove("course")


async def test_a_refused_rule_leaves_no_trace(routes: Routes, gateway_database: Database) -> None:
    before, lines = await routes.table(), await log(gateway_database)

    with pytest.raises(RouteUnknown):
        await routes.move("coursse", side="old")
    with pytest.raises(NoOldSite):
        await routes.move("api", side="old")
    with pytest.raises(RouteExists):
        await routes.add(Route(name="course", path="/elsewhere", service="web"))

    assert await routes.table() == before
    assert await log(gateway_database) == lines


async def test_changes_at_once_are_made_one_after_the_other(
    routes: Routes, front_door: RecordingFrontDoor, gateway_database: Database
) -> None:
    first = (await routes.table()).revision

    await asyncio.gather(
        *(routes.add(Route(name=f"r{number}", path=f"/{number}", service="web")) for number in range(20)),
        *(routes.move("course", side="new" if number % 2 else "old") for number in range(10)),
    )

    table = await routes.table()
    assert len(table.routes) == 23
    assert table.revision == first + 20 + 10
    assert front_door.sides() == {route.name: route.side for route in table.routes}


async def test_a_new_envoy_is_given_the_table_again(routes: Routes, front_door: RecordingFrontDoor) -> None:
    front_door.forget()

    await routes.reconcile()

    assert front_door.sides() == {"courses": "new", "course": "new", "api": "new"}


async def test_nothing_is_applied_while_nothing_changes(routes: Routes, front_door: RecordingFrontDoor) -> None:
    applied = front_door.applied

    for _ in range(3):
        await routes.reconcile()

    assert front_door.applied == applied


async def test_an_envoy_that_was_away_is_not_told_twice(routes: Routes, front_door: RecordingFrontDoor) -> None:
    front_door.away = True
    assert (await routes.move("course", side="old")).pending
    applied = front_door.applied

    await routes.reconcile()
    assert routes.applied is not None
    assert routes.applied.pending

    front_door.away = False
    await routes.reconcile()
    assert not routes.applied.pending
    assert front_door.applied == applied


async def test_what_another_process_committed_is_served(
    routes: Routes, front_door: RecordingFrontDoor, gateway_database: Database
) -> None:
    other = Routes(gateway_database, RecordingFrontDoor(), defaults=())
    await other.reconcile()
    await other.move("course", side="old")

    await routes.reconcile()

    assert front_door.sides()["course"] == "old"


async def test_a_table_that_may_not_have_been_made_yet_is_asked_for_again(gateway_database: Database) -> None:
    routes = Routes(gateway_database, RecordingFrontDoor(), defaults=())

    with pytest.raises(StillStarting):
        await routes.table()
    await routes.reconcile()
    await routes.table()


async def test_the_kill_switch_of_the_command_line_is_seen(routes: Routes, front_door: RecordingFrontDoor) -> None:
    applied = front_door.applied
    front_door.switched = True

    await routes.reconcile()

    assert front_door.applied == applied + 1


async def test_a_table_that_envoy_refuses_at_start_is_reported_until_it_is_taken(
    gateway_database: Database, front_door: RecordingFrontDoor
) -> None:
    routes = Routes(gateway_database, front_door, defaults=DEFAULTS)
    front_door.refuse_apply = "too many routes"

    await routes.reconcile()
    assert routes.refused == "too many routes"

    front_door.refuse_apply = ""
    await routes.reconcile()
    assert routes.refused is None


async def test_without_postgres_the_last_table_is_served_and_changes_are_refused(
    routes: Routes, front_door: RecordingFrontDoor, gateway_database: Database
) -> None:
    away = Routes(Database("postgresql://nobody@/x?host=/nonexistent"), front_door, defaults=DEFAULTS)
    with pytest.raises(StillStarting):
        await away.ready()

    await away.reconcile()

    await away.ready()
    assert away.locked is not None
    assert away.known is None
    with pytest.raises(DatabaseAway):
        await away.move("course", side="old")
    assert front_door.sides()["course"] == "new"


async def test_history_cannot_be_rewritten(routes: Routes, gateway_database: Database) -> None:
    lines = await log(gateway_database)

    for sql in ("UPDATE route_change SET outcome = ''", "DELETE FROM route_change", "TRUNCATE route_change"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever added"):
            await gateway_database.fetch(sql)

    assert await log(gateway_database) == lines


async def test_the_database_itself_refuses_what_would_hurt(routes: Routes, gateway_database: Database) -> None:
    for row in (
        "('x', '/x', 'old', false, 'web')",
        "('x', '/x', 'new', true, NULL)",
        "('X', '/x', 'old', true, NULL)",
        "('x', 'x', 'old', true, NULL)",
        "('x', '/_banyan/x', 'old', true, NULL)",
        "('x', '/강의', 'old', true, NULL)",
        "('x', '/courses', 'old', true, NULL)",
        "('x', '/x', 'both', true, NULL)",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await gateway_database.fetch(f"INSERT INTO route (name, path, side, old_twin, service) VALUES {row}")


async def test_the_log_is_read_in_pages_newest_first(routes: Routes, gateway_database: Database) -> None:
    for side in ("old", "new", "old"):
        await routes.move("course", side=side)

    first = await queries.route_changes(gateway_database, limit=2)
    second = await queries.route_changes(gateway_database, limit=2, after=first.next)
    third = await queries.route_changes(gateway_database, limit=2, after=second.next)

    assert [change.action for page in (first, second, third) for change in page.items] == ["move"] * 3 + ["seed"] * 3
    assert third.next is None
