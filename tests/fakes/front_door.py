"""A front door that remembers what it was given, and refuses when it is told to."""

from collections.abc import Sequence

from banyan.contracts.gateway import Applied, Plan
from banyan.gateway.domain.routes import Route, SnapshotRefused


class RecordingFrontDoor:
    """`refuse_validate` and `refuse_apply` are reasons; while one is set, that call refuses with it."""

    def __init__(self) -> None:
        self.served: tuple[Route, ...] | None = None
        self.applied = 0
        self.switched = False
        self.refuse_validate = ""
        self.refuse_apply = ""
        self.away = False

    async def apply(self, table: Sequence[Route], *, kill_switch: bool | None = None) -> Applied:
        if self.refuse_apply:
            raise SnapshotRefused(self.refuse_apply)
        self.served = tuple(sorted(table, key=lambda route: route.name))
        self.applied += 1
        return Applied(version=self._version(), pending=self.away)

    async def validate(self, table: Sequence[Route]) -> None:
        if self.refuse_validate:
            raise SnapshotRefused(self.refuse_validate)

    async def plan(self, table: Sequence[Route]) -> Plan:
        return Plan(version="wanted", serving=await self.serving(), kill_switch=self.switched, changes=[])

    async def serving(self) -> str | None:
        return None if self.away or self.served is None else self._version()

    async def kill_switch(self, on: bool) -> Applied:
        self.switched = on
        return Applied(version=self._version(), pending=False)

    def kill_switch_is_on(self) -> bool:
        return self.switched

    def forget(self) -> None:
        """As a new Envoy that knows nothing yet."""
        self.served = None

    def sides(self) -> dict[str, str]:
        return {route.name: route.side for route in self.served or ()}

    def _version(self) -> str:
        return f"{hash((self.served, self.switched)) & 0xFFFFFFFF:08x}"
