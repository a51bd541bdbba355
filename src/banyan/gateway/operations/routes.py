"""Changes of the route table. Each is one transaction, then Envoy serves it, or the row is put back."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from banyan.contracts.gateway import Applied, Plan
from banyan.gateway import store
from banyan.gateway.domain import routes, tables
from banyan.gateway.domain.routes import Route, Side, SnapshotRefused
from banyan.gateway.domain.tables import Table
from banyan.infra import migrations
from banyan.infra.migrations import MigrationError
from banyan.infra.postgres import Database, DatabaseAway
from banyan.kit.errors import Unavailable

log = structlog.get_logger()


_PATIENCE_SECONDS = 2.0  # a hung server is not waited for longer: who looks at the console wants to know


class FrontDoor(Protocol):
    """What serves a route table: Envoy, or in tests a recorder that can be told to refuse."""

    async def apply(self, table: Sequence[Route], *, kill_switch: bool | None = None) -> Applied: ...
    async def validate(self, table: Sequence[Route]) -> None: ...
    async def plan(self, table: Sequence[Route]) -> Plan: ...
    async def serving(self) -> str | None: ...
    async def kill_switch(self, on: bool) -> Applied: ...
    def kill_switch_is_on(self) -> bool: ...


class StillStarting(Unavailable):
    """The route table was not read yet."""


class Routes:
    """The only writer of the route table; one change at a time, and `reconcile` between them.

    `known` is the table as last read, kept so that the console can show it while PostgreSQL is away. `locked` is why
    the table cannot be changed just now, `refused` says why Envoy does not serve it.
    """

    def __init__(self, database: Database, front_door: FrontDoor, *, defaults: Sequence[Route]) -> None:
        self._database = database
        self._front_door = front_door
        self._defaults = defaults
        self._changing = asyncio.Lock()
        self._prepared = False
        self._applied_for: tuple[int, bool] | None = None
        self.known: Table | None = None
        self.applied: Applied | None = None
        self.locked: DatabaseAway | MigrationError | None = None
        self.refused: str | None = None

    async def move(self, name: str, *, side: Side) -> Applied:
        """Have a side answer a route. Nothing changes if it does already. Raises RouteUnknown, NoOldSite, NoNewSide,
        SnapshotRefused, DatabaseAway."""
        return await self._change("move", name, lambda table: tables.with_moved(table, name, side))

    async def add(self, route: Route) -> Applied:
        """Add a route. Raises what `tables.with_added` raises, SnapshotRefused, DatabaseAway."""
        return await self._change("add", route.name, lambda table: tables.with_added(table, route))

    async def remove(self, name: str) -> Applied:
        """Remove a route. Raises RouteUnknown, SnapshotRefused, DatabaseAway."""
        return await self._change("remove", name, lambda table: tables.without(table, name))

    async def switch(self, *, on: bool) -> Applied:
        """Set the kill switch, at once: it waits for no change and no database. The table stays as it is; only what
        Envoy is told differs. Raises SnapshotRefused."""
        self.applied = await self._front_door.kill_switch(on)
        self._applied_for = None
        return self.applied

    def kill_switch_is_on(self) -> bool:
        return self._front_door.kill_switch_is_on()

    async def ready(self) -> None:
        """Raises StillStarting until the table was tried once; with PostgreSQL away we are as ready as can be."""
        if self.known is None and self.locked is None:
            raise StillStarting

    async def table(self) -> Table:
        """The table as it is now. Raises DatabaseAway, and StillStarting where it may not have been made yet."""
        if not self._prepared and self.locked is None:
            raise StillStarting
        async with self._database.connection() as connection:
            return await store.load_table(connection)

    async def plan(self) -> Plan:
        """What Envoy would be told that it does not serve yet. Raises DatabaseAway."""
        return await self._front_door.plan((await self.table()).routes)

    async def reconcile(self) -> None:
        """Make Envoy serve the table, whatever happened to either; the first time, migrate and seed it."""
        async with self._changing:
            try:
                await self._read()
            except TimeoutError:
                self.locked = DatabaseAway()
            except (DatabaseAway, MigrationError) as fault:
                self.locked = fault
            else:
                self.locked = None
            if self.known is not None:
                await self._serve(self.known)

    async def _change(self, action: str, name: str, alter: Callable[[Sequence[Route]], tuple[Route, ...]]) -> Applied:
        async with self._changing:
            try:
                before, after, detail = await self._commit(action, name, alter)
            except SnapshotRefused as refusal:
                await self._note(action, name, detail="", outcome=f"refused: {refusal.detail}")
                raise
            try:
                self.applied = await self._front_door.apply(after.routes)
            except Exception as fault:
                await self._put_back(action, name, detail, before=before, after=after, reason=str(fault))
                raise
            self.known, self.refused = after, None
            self._applied_for = (after.revision, self.applied.kill_switch)
            return self.applied

    async def _commit(
        self, action: str, name: str, alter: Callable[[Sequence[Route]], tuple[Route, ...]]
    ) -> tuple[Table, Table, str]:
        """Check, render, validate and save a change; answers the table before and after, and what changed in words."""
        while True:
            before = await self.table()
            altered = alter(before.routes)
            if altered == before.routes:
                return before, before, ""
            # Not inside the transaction: Envoy may take its time, and a lock on the table would wait with it.
            await self._front_door.validate(altered)
            detail = _in_words(before.routes, altered)
            async with self._database.transaction() as tx:
                if (await store.lock_table(tx)).revision != before.revision:
                    continue
                revision = await store.save_table(tx, before=before.routes, after=altered)
                await store.add_change(tx, route=name, action=action, detail=detail, outcome="saved")
            return before, Table(revision, altered), detail

    async def _put_back(self, action: str, name: str, detail: str, *, before: Table, after: Table, reason: str) -> None:
        async with self._database.transaction() as tx:
            await store.lock_table(tx)
            revision = await store.save_table(tx, before=after.routes, after=before.routes)
            await store.add_change(
                tx, route=name, action=action, detail=detail, outcome=f"put back, Envoy refused it: {reason}"
            )
        self.known = Table(revision, before.routes)
        self._applied_for = None

    async def _note(self, action: str, name: str, *, detail: str, outcome: str) -> None:
        async with self._database.transaction() as tx:
            await store.add_change(tx, route=name, action=action, detail=detail, outcome=outcome)

    async def _read(self) -> None:
        if not self._prepared:
            await migrations.migrate(self._database, "gateway")
            await self._seed()
            self._prepared = True
        async with asyncio.timeout(_PATIENCE_SECONDS), self._database.connection() as connection:
            if self.known is None or self.known.revision != await store.load_revision(connection):
                self.known = await store.load_table(connection)

    async def _seed(self) -> None:
        async with self._database.transaction() as tx:
            table = await store.lock_table(tx)
            if table.seeded:
                return
            if not table.routes:
                given = tuple(routes.checked(route) for route in self._defaults)
                await store.save_table(tx, before=(), after=given)
                for route in routes.in_order(given):
                    await store.add_change(
                        tx, route=route.name, action="seed", detail=_row_in_words(route), outcome="saved"
                    )
            await store.mark_seeded(tx)

    async def _serve(self, table: Table) -> None:
        wanted = (table.revision, self._front_door.kill_switch_is_on())
        if wanted == self._applied_for and await self._is_served():
            return
        try:
            self.applied = await self._front_door.apply(table.routes)
        except SnapshotRefused as refusal:
            self.refused = refusal.detail
            return
        self.refused = None
        served = (table.revision, self.applied.kill_switch)
        if served != self._applied_for:
            log.info("serving", revision=table.revision, version=self.applied.version, kill_switch=served[1])
        self._applied_for = served

    async def _is_served(self) -> bool:
        if self.applied is None:
            return False
        serving = await self._front_door.serving()
        if serving == self.applied.version:
            self.applied = dataclasses.replace(self.applied, pending=False)
            return True
        # The files are written; an Envoy that is away reads them when it is back.
        return serving is None and self.applied.pending


def _in_words(before: Sequence[Route], after: Sequence[Route]) -> str:
    """What differs, for the log: one row in all but the moves, which say from where to where."""
    gone = [route for route in before if route not in after]
    come = [route for route in after if route not in before]
    if gone and come:
        return f"{routes.described(gone[0])}: {gone[0].side} → {come[0].side}"
    return ", ".join(_row_in_words(route) for route in gone + come)


def _row_in_words(route: Route) -> str:
    return f"{routes.described(route)} ({route.side})"
