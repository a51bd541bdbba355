"""The processes there are. A new one is a line here and a file beside this one with `async def run(settings)`."""

from dataclasses import dataclass

from banyan.infra import databases


@dataclass(frozen=True, slots=True)
class Process:
    """A deployable: `module` holds its `run`, `databases` are the contexts whose database it opens, `hang_timeout` how
    long it may be silent, where that differs from the others."""

    name: str
    module: str
    databases: tuple[str, ...] = ()
    demo_only: bool = False
    hang_timeout: float | None = None

    def reaches(self) -> frozenset[str]:
        """The databases that it opens, as their owner or as a guest."""
        roles = {self.name, *self.databases}
        guests = (database for database, known in databases.GUESTS.items() if roles & set(known))
        return frozenset({*self.databases, *guests})


PROCESSES = (
    Process("old-site", "banyan.processes.old_site", demo_only=True),
    Process("monitor", "banyan.processes.monitor", hang_timeout=4.0),  # while it hangs, nobody is told of anything
    Process("gateway", "banyan.processes.gateway", ("gateway",)),
    Process("iam", "banyan.processes.iam", ("iam",)),
    Process("learning", "banyan.processes.learning", ("learning",)),
    Process("live", "banyan.processes.live", ("live",)),
    Process("relay", "banyan.processes.relay", ("bus",)),
    Process("web", "banyan.processes.web"),
)

# What else `banyan run` starts, where there is no `banyan up`.
SERVERS = tuple(Process(f"postgres-{server.name}", "banyan.processes.postgres") for server in databases.SERVERS)
ENVOY = Process("envoy", "banyan.processes.envoy")
