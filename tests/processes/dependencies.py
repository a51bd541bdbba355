"""Which journeys need which parts of Banyan. Whatever a journey does not name may break, and nobody on it notices."""

from dataclasses import dataclass

from banyan.infra import databases
from banyan.infra.faults import kinds
from banyan.infra.faults.kinds import Ailment, Kind
from banyan.processes import registry

NEEDS: dict[str, frozenset[str]] = {
    "old pages": frozenset({"envoy", "old-site"}),
    "new pages": frozenset({"envoy", "web", "learning", "postgres-core"}),
    "signed-in pages": frozenset({"envoy", "web", "learning", "postgres-core"}),
    "enrolling": frozenset({"envoy", "learning", "postgres-core"}),
    "live": frozenset({"envoy", "live", "postgres-aside"}),
}
SERVERS = tuple(f"postgres-{server.name}" for server in databases.SERVERS)
PARTS = (*(process.name for process in registry.PROCESSES), "envoy", *SERVERS)


@dataclass(frozen=True, slots=True)
class Cell:
    """A fault of a part."""

    part: str
    ailment: Ailment

    def __str__(self) -> str:
        return f"{self.part}-{self.ailment}"

    @property
    def struck(self) -> frozenset[str]:
        """The parts that it is about: a database that hangs is not its process's fault alone."""
        if self.ailment is Ailment.db_hang and self.part not in SERVERS:
            return frozenset({self.part, *_servers(self.part)})
        return frozenset({self.part})

    @property
    def impossible(self) -> str:
        """Why it makes no sense; empty where it does."""
        return kinds.impossible(self.part, _kind(self.part), _servers(self.part)).get(self.ailment, "")

    def may_be_felt_on(self, journey: str) -> bool:
        return bool(self.struck & NEEDS[journey])


def cells(*parts: str) -> list[Cell]:
    """Every fault that each of the parts can have. A server's `db-hang` is its `hang`."""
    every = [Cell(part, ailment) for part in parts for ailment in Ailment]
    return [
        cell for cell in every if not cell.impossible and not (cell.part in SERVERS and cell.ailment is Ailment.db_hang)
    ]


def _kind(part: str) -> Kind:
    return "envoy" if part == "envoy" else "postgres" if part in SERVERS else "process"


def _servers(part: str) -> list[str]:
    known = next((process for process in registry.PROCESSES if process.name == part), None)
    return [f"postgres-{databases.server_of(name).name}" for name in known.databases] if known else []
