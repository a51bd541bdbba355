"""Looks after the replicas of one data folder: starts them, asks how they stand, makes primaries wait as wished."""

import asyncio
import contextlib
import shutil
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from banyan.infra import databases, embedded
from banyan.infra.databases import Server
from banyan.infra.embedded import EmbeddedPostgresError, Privileges
from banyan.infra.postgres import LOST
from banyan.infra.replicas import folders, primary, promotion, refusals, standby
from banyan.infra.replicas.orders import Copying, Look, ServerNow
from banyan.infra.settings import Settings
from banyan.infra.supervisor.child import Spec
from banyan.infra.supervisor.supervisor import Supervisor

_LOOK_EVERY = 0.5
_STEP_SECONDS = 5.0
_SPARE = 1.2  # a copy needs what there is and the log written meanwhile

MakeSpec = Callable[[Settings, Server, Privileges], Spec]


class Keeper:
    """One for each supervisor. `primary_spec` is how a server is run as what it is without a replica."""

    def __init__(self, settings: Settings, supervisor: Supervisor, primary_spec: MakeSpec) -> None:
        self.settings = settings
        self.supervisor = supervisor
        self.servers: Sequence[Server] = ()
        self.looks: dict[str, Look] = {}
        self._primary_spec = primary_spec
        self._rights: Privileges | None = None
        self._busy: dict[str, str] = {}
        self._copies: dict[str, asyncio.Task[None]] = {}
        self._copying: dict[str, Copying] = {}
        self._clean: set[str] = set()
        self._away_since: dict[str, float] = {}
        self._looking: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def rights(self) -> Privileges:
        if self._rights is None:
            raise RuntimeError("begin() comes first")
        return self._rights

    def begin(self, servers: Sequence[Server], rights: Privileges) -> list[Server]:
        """Before any server runs: finish what was cut off, as far as that is files. Answers the servers whose folder
        may be made if it is not there; those that are lost have a replica, and an empty one would hide it."""
        self.servers, self._rights = servers, rights
        for server in servers:
            shutil.rmtree(folders.draft(self.settings, server), ignore_errors=True)
            order = folders.order(self.settings, server)
            if order is not None:
                promotion.without_supervisor(self.settings, server, rights, order)
        return [server for server in servers if not folders.is_lost(self.settings, server)]

    async def keep(self) -> None:
        """For ever, beside everything else."""
        children = [self.replica_spec(server) for server in self.servers if folders.exists(self.settings, server)]
        children += [self.spec(server) for server in self.servers if folders.is_lost(self.settings, server)]
        await asyncio.gather(
            self.supervisor.start(children, wait=self.settings.ready_timeout), *map(self._follow, self.servers)
        )

    def spec(self, server: Server) -> Spec:
        return self._primary_spec(self.settings, server, self.rights)

    def replica_spec(self, server: Server) -> Spec:
        standby.clear_sockets(self.settings, server)
        return Spec(
            name=child_name(server),
            kind="postgres",
            command=standby.command(self.settings, server, self.rights),
            environ=embedded.environ(),
            stop_signal=embedded.STOP_SIGNAL,
            version=self.spec(server).version,
            probe=standby.Following(self.settings, server, lambda: self._consequence(server)),
        )

    def server(self, name: str) -> Server:
        """Raises ServerUnknown, ServerElsewhere."""
        known = next((server for server in databases.SERVERS if server.name == name), None)
        if known is None:
            raise refusals.ServerUnknown(name)
        if known not in self.servers:
            raise refusals.ServerElsewhere(known)
        return known

    @contextmanager
    def alone(self, server: Server, what: str) -> Iterator[None]:
        """One change of a server at a time. Raises Busy."""
        if server.name in self._busy:
            raise refusals.Busy(server, self._busy[server.name])
        self._busy[server.name] = what
        try:
            yield
        finally:
            del self._busy[server.name]

    async def replicate(self, server: Server, *, synchronous: bool | None) -> None:
        """Begin to make a replica, or change the one there is. Raises AlreadyReplicated, NoRoom, Busy, PrimaryAway."""
        if folders.exists(self.settings, server):
            if synchronous is None or synchronous == folders.is_wished_synchronous(self.settings, server):
                raise refusals.AlreadyReplicated(server)
            folders.wish_synchronous(folders.of(self.settings, server), synchronous)
            return
        if server.name in self._busy:
            raise refusals.Busy(server, self._busy[server.name])
        await self._check_room(server)
        self._copying[server.name] = Copying("starting", 0, None)
        self._copies[server.name] = asyncio.create_task(self._copy(server, bool(synchronous)))

    async def unreplicate(self, server: Server) -> None:
        """Have no replica any more, and no commit that waits for one. Raises NoReplica, LastCopy, Busy."""
        copy = self._copies.get(server.name)
        if copy is not None and not copy.done():
            copy.cancel()
            await asyncio.gather(copy, return_exceptions=True)
            if not folders.exists(self.settings, server):
                return  # else it was whole already, and goes as a whole one does
        with self.alone(server, "loses its replica"):
            if not folders.exists(self.settings, server):
                self._copying.pop(server.name, None)  # of one that failed
                raise refusals.NoReplica(server)
            if folders.is_lost(self.settings, server):
                raise refusals.LastCopy(server)
            await self._tell(server, primary.be_alone)
            await self.remove_child(child_name(server))
            await asyncio.to_thread(folders.remove, self.settings, server)
            await self._tell(server, primary.forget)
            self.forget(server)

    async def _tell(self, server: Server, what: Callable[[primary.Connection], Awaitable[None]]) -> None:
        """Where the server is away, `_follow` tells it when it is back."""
        with contextlib.suppress(*LOST):
            connection = await primary.connect(self.settings, server)
            try:
                await what(connection)
            finally:
                connection.terminate()

    async def remove_child(self, name: str) -> None:
        if name in self.supervisor.children:
            await self.supervisor.remove(name)

    def forget(self, server: Server) -> None:
        """There was a replica, and there is none now."""
        self.looks.pop(server.name, None)
        self._copying.pop(server.name, None)
        self._away_since.pop(server.name, None)
        self._clean.discard(server.name)

    def now(self) -> list[ServerNow]:
        """Every server, as it was at the last look."""
        return [self._now(server) for server in databases.SERVERS]

    def _now(self, server: Server) -> ServerNow:
        child = self.supervisor.children.get(f"postgres-{server.name}")
        replica = self.supervisor.children.get(child_name(server))
        return ServerNow(
            name=server.name,
            databases=list(server.databases),
            ours=server in self.servers,
            state=child.state.state if child is not None else "stopped",
            replica=replica.state.state if replica is not None else None,
            detail=replica.state.detail if replica is not None else "",
            wished_synchronous=folders.is_wished_synchronous(self.settings, server),
            look=self.looks.get(server.name),
            copying=self._copying.get(server.name),
            busy=self._busy.get(server.name, ""),
        )

    async def _check_room(self, server: Server) -> None:
        try:
            connection = await primary.connect(self.settings, server)
        except LOST as fault:
            raise refusals.PrimaryAway(server) from fault
        try:
            size: int = await connection.fetchval("SELECT sum(pg_database_size(oid))::bigint FROM pg_database")
        finally:
            connection.terminate()
        place = folders.place(self.settings)
        place.mkdir(mode=0o711, parents=True, exist_ok=True)
        free = shutil.disk_usage(place).free
        if free < size * _SPARE:
            raise refusals.NoRoom(server, need=int(size * _SPARE), free=free)

    async def _copy(self, server: Server, synchronous: bool) -> None:
        with self.alone(server, "is being copied"):
            async with self._looking[server.name]:  # a look that is under way may be clearing up what we are to make
                self._clean.discard(server.name)
            watching: asyncio.Task[None] | None = None
            try:
                connection = await primary.connect(self.settings, server)
                await primary.prepare(self.settings, server, connection)
                watching = asyncio.create_task(self._watch_copy(server, connection))
                await standby.copy(self.settings, server, self.rights, synchronous=synchronous)
            except (EmbeddedPostgresError, *LOST) as fault:
                self._copying[server.name] = Copying("failed", 0, None, str(fault) or type(fault).__name__)
                return
            except asyncio.CancelledError:
                await asyncio.to_thread(folders.remove, self.settings, server)
                self._copying.pop(server.name, None)
                raise
            finally:
                if watching is not None:
                    watching.cancel()
                    connection.terminate()
            self._copying.pop(server.name, None)
        await self.supervisor.start([self.replica_spec(server)], wait=self.settings.ready_timeout)

    async def _watch_copy(self, server: Server, connection: primary.Connection) -> None:
        while True:
            with contextlib.suppress(*LOST):
                self._copying[server.name] = Copying(*await primary.copied(connection))
            await asyncio.sleep(_LOOK_EVERY / 2)

    async def _follow(self, server: Server) -> None:
        connection: primary.Connection | None = None
        while True:
            if server.name not in self._busy and (self._has_replica(server) or server.name not in self._clean):
                try:
                    async with self._looking[server.name], asyncio.timeout(_STEP_SECONDS):
                        connection = connection or await primary.connect(self.settings, server)
                        await self._look(server, connection)
                except LOST:
                    if connection is not None:
                        connection.terminate()
                    connection = None
            await asyncio.sleep(_LOOK_EVERY)

    async def _look(self, server: Server, connection: primary.Connection) -> None:
        if not self._has_replica(server):
            if folders.order(self.settings, server) is not None:
                await promotion.finish(self.settings, server)
            await primary.forget(connection)
            self._clean.add(server.name)
            return
        look = await primary.look(connection, now=datetime.now(UTC))
        self.looks[server.name] = look
        wanted = self._should_wait(server, look)
        if wanted != look.synchronous:
            await primary.set_synchronous(connection, wanted)
        child = self.supervisor.children.get(child_name(server))
        if child is not None:
            child.note(look.as_words())

    def _should_wait(self, server: Server, look: Look) -> bool:
        """Whether commits are to wait: as wished, from when the replica has caught up, until patience is over."""
        if not folders.is_wished_synchronous(self.settings, server):
            return False
        now = asyncio.get_running_loop().time()
        if look.streaming:
            self._away_since.pop(server.name, None)
            return True
        since = self._away_since.setdefault(server.name, now)
        patience = self.settings.replica_patience
        return look.synchronous and (not patience or now - since < patience)

    def _consequence(self, server: Server) -> str:
        look = self.looks.get(server.name)
        if look is None:
            return ""
        words = ""
        if look.lost:
            words = f"; it never can again: `banyan db unreplicate {server.name}`, then replicate anew"
        if look.synchronous:
            return f"{words}; writes wait for it"
        return f"{words}; writes go on without it" if folders.is_wished_synchronous(self.settings, server) else words

    def _has_replica(self, server: Server) -> bool:
        return folders.exists(self.settings, server)


def child_name(server: Server) -> str:
    return f"postgres-{server.name}-replica"
