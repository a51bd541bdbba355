"""From a route table to an Envoy that serves it, or to the reason why it does not."""

from collections.abc import Iterable, Sequence

from banyan.contracts.gateway import Applied, Plan
from banyan.gateway.adapters import envoy, worlds
from banyan.gateway.adapters.admin import Admin, EnvoyAway, UpdateRejected
from banyan.gateway.adapters.files import Files, Served
from banyan.gateway.adapters.trust import Trust
from banyan.gateway.domain import plans, snapshot
from banyan.gateway.domain.bootstraps import ADMIN_SOCKET
from banyan.gateway.domain.routes import Route, SnapshotRefused
from banyan.gateway.domain.snapshot import Snapshot
from banyan.gateway.domain.world import Config, World
from banyan.infra.settings import Settings

_EMERGENCY_PATIENCE = 3.0
_VALIDATED_KEPT = 100


class NothingServed(SnapshotRefused):
    """This data folder has no gateway files yet; start it once with `banyan up`."""


class DataPlane:
    """Envoy of one data folder. Works without control plane and PostgreSQL."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = envoy.folder(settings)
        self._files = Files(self._folder)
        self.admin = Admin(settings.run / ADMIN_SOCKET)
        self._validated: set[str] = set()

    async def prepare(self) -> str:
        """Write all files for an Envoy that is about to start, from what was served last or the default routes, for
        the world as it is now. Returns the version. Raises SettingError, SnapshotRefused."""
        world = worlds.world(self._settings)
        async with self._files.locked():
            self._files.remove_leavings()
            served = self._files.load()
            table = served.routes if served else worlds.defaults(self._settings)
            made = snapshot.render(table, world, kill_switch=self._files.kill_switch_is_on())
            await self._check(made, world)
            await Trust(self._settings).prepare()
            self._files.write_bootstrap(made.bootstrap)
            self._write(made, table, world)
            return made.version

    async def validate(self, table: Sequence[Route]) -> None:
        """Whether Envoy would take this table, asked without changing anything. Raises SnapshotRefused."""
        self._files.make_folders()
        world = worlds.world(self._settings)
        await self._check(snapshot.render(table, world, kill_switch=self._files.kill_switch_is_on()), world)

    async def apply(self, table: Sequence[Route], *, kill_switch: bool | None = None) -> Applied:
        """Have Envoy serve this table. Raises SnapshotRefused, with everything as it was before."""
        world = worlds.world(self._settings)
        async with self._files.locked():
            return await self._switch(table, world, kill_switch)

    async def kill_switch(self, on: bool) -> Applied:
        """Send what has an old twin to the old site, or no longer; from what is served now, asking nobody else.
        Raises NothingServed, SnapshotRefused."""
        async with self._files.locked(patience=_EMERGENCY_PATIENCE, force=True):
            served = self._files.load()
            if served is None:
                raise NothingServed
            return await self._switch(served.routes, served.world, on)

    def kill_switch_is_on(self) -> bool:
        return self._files.kill_switch_is_on()

    async def serving(self) -> str | None:
        """The version Envoy serves; None when it is away."""
        return await self.admin.serving()

    async def plan(self, table: Sequence[Route]) -> Plan:
        """What `apply` would change."""
        kill_switch = self._files.kill_switch_is_on()
        world = worlds.world(self._settings)
        served = self._files.load()
        wanted = snapshot.render(table, world, kill_switch=kill_switch)
        wanted.check()
        now = snapshot.render(served.routes, served.world, kill_switch=kill_switch) if served else None
        return Plan(
            version=wanted.version,
            serving=await self.serving(),
            kill_switch=kill_switch,
            changes=plans.changes(now, wanted),
        )

    async def _switch(self, table: Sequence[Route], world: World, kill_switch: bool | None) -> Applied:
        was_on = self._files.kill_switch_is_on()
        on = was_on if kill_switch is None else kill_switch
        made = snapshot.render(table, world, kill_switch=on)
        if kill_switch is None:
            await self._check(made, world)
        else:
            made.check()  # a switch for emergencies waits for no second opinion: Envoy confirms it below
        if on != was_on:
            self._files.set_kill_switch(on)
        try:
            pending = not await self._serve(made, table, world)
        except BaseException:
            if on != was_on:
                self._files.set_kill_switch(was_on)
            raise
        return Applied(
            version=made.version, pending=pending, kill_switch=on, notes=_notes(table, world, on=on, pending=pending)
        )

    async def _check(self, made: Snapshot, world: World) -> None:
        made.check()
        if made.version in self._validated:
            return
        await envoy.validate(snapshot.static(made, world), self._folder)
        if len(self._validated) >= _VALIDATED_KEPT:
            self._validated.clear()
        self._validated.add(made.version)

    async def _serve(self, made: Snapshot, table: Sequence[Route], world: World) -> bool:
        """Whether Envoy confirmed; False when it is away and finds the files when it is back."""
        clusters, routes = self._files.copy()
        try:
            before = await self.admin.counters()
            await self._hand_over(made, before)
        except EnvoyAway:
            self._write(made, table, world)
            return False
        except UpdateRejected as rejected:
            self._files.restore_routes(routes)
            self._files.restore_clusters(clusters)
            raise SnapshotRefused(f"{rejected}, so nothing was changed: {await self._why(made, world)}") from rejected
        except BaseException:
            self._files.restore_routes(routes)
            self._files.restore_clusters(clusters)
            raise
        self._files.save(Served(version=made.version, routes=tuple(table), world=world))
        return True

    async def _hand_over(self, made: Snapshot, before: dict[str, int | str]) -> None:
        """First the clusters that are new, then the routes, then without the clusters that nobody needs any more:
        a route is refused while its cluster is unknown, and a refused file is not read again by itself."""
        known = self._files.clusters()
        both = _merged(known, made.clusters)
        if both != known:
            await self.admin.confirm("clusters", self._files.write_clusters(both), before=before)
        await self.admin.confirm("routes", self._files.write_routes(made), before=before)
        if len(both) != len(made.clusters):
            await self.admin.confirm("clusters", self._files.write_clusters(made.clusters), before=before)

    def _write(self, made: Snapshot, table: Sequence[Route], world: World) -> None:
        self._files.write_clusters(made.clusters)
        self._files.write_routes(made)
        self._files.save(Served(version=made.version, routes=tuple(table), world=world))

    async def _why(self, made: Snapshot, world: World) -> str:
        try:
            await envoy.validate(snapshot.static(made, world), self._folder)
        except SnapshotRefused as refusal:
            return refusal.detail
        return "the same configuration is valid by itself; see Envoy's log."


def _merged(known: Iterable[Config], wanted: Iterable[Config]) -> list[Config]:
    by_name = {str(cluster["name"]): cluster for cluster in (*known, *wanted)}
    return [by_name[name] for name in sorted(by_name)]


def _notes(table: Sequence[Route], world: World, *, on: bool, pending: bool) -> list[str]:
    notes = []
    if pending:
        notes.append("Envoy is away just now; it takes this when it is back.")
    if on:
        staying = sorted(route.name for route in table if not route.old_twin)
        notes.append("The kill switch is on: every route with an old twin goes to the old site.")
        if staying:
            notes.append(f"These exist on the new side only and stay there: {', '.join(staying)}.")
        if world.old_site is None:
            notes.append("There is no old site, so the kill switch changes nothing.")
    return notes
