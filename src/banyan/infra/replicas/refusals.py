"""What is refused about replicas, and what to do instead."""

from banyan.infra import databases
from banyan.infra.databases import Server
from banyan.infra.replicas.orders import sized
from banyan.kit.errors import Conflict, NotFound, Refused, Unavailable


class ServerUnknown(NotFound):
    """There is no such server."""

    def __init__(self, name: str) -> None:
        known = ", ".join(f"{server.name} ({', '.join(server.databases)})" for server in databases.SERVERS)
        super().__init__(f"There is no server '{name[:40]}'. There are: {known}.")


class ServerElsewhere(Refused):
    """Somebody else runs that server."""

    def __init__(self, server: Server) -> None:
        names = ", ".join(f"BANYAN_{name.upper()}_DATABASE_URL" for name in server.databases)
        super().__init__(
            f"All databases of {server.name} are run by somebody else ({names}); replicas of them are made there."
        )


class Busy(Conflict):
    """Something else is done with that server just now."""

    def __init__(self, server: Server, what: str) -> None:
        super().__init__(f"{server.name} {what} just now; `banyan db ls` shows how far that is.")


class AlreadyReplicated(Conflict):
    """The server has a replica."""

    def __init__(self, server: Server) -> None:
        super().__init__(
            f"{server.name} has a replica of that kind already. Change it with --synchronous or --asynchronous, or "
            f"remove it: banyan db unreplicate {server.name}"
        )


class NoReplica(Conflict):
    """The server has no replica."""

    def __init__(self, server: Server) -> None:
        super().__init__(f"{server.name} has no replica. Make one: banyan db replicate {server.name}")


class LastCopy(Conflict):
    """The server's own folder is gone."""

    def __init__(self, server: Server) -> None:
        super().__init__(
            f"The folder of {server.name} is gone, and its replica is all there is. banyan db promote {server.name}"
        )


class NoRoom(Refused):
    """The disk is too full for a copy."""

    def __init__(self, server: Server, *, need: int, free: int) -> None:
        super().__init__(f"A copy of {server.name} needs {sized(need)}, and {sized(free)} are free.")


class PrimaryAway(Unavailable):
    """The server to copy does not answer."""

    def __init__(self, server: Server) -> None:
        super().__init__(f"{server.name} does not answer; only a running server can be copied.")


class ReplicaAway(Unavailable):
    """The replica does not answer."""

    def __init__(self, server: Server) -> None:
        super().__init__(
            f"The replica of {server.name} does not answer, so it cannot take its place. Nothing was changed; "
            f"`banyan status` shows why."
        )


class TooFarBehind(Conflict):
    """The replica lacks more than a moment."""

    def __init__(self, server: Server, why: str) -> None:
        super().__init__(
            f"The replica of {server.name} {why}, and what it lacks cannot be read from the primary's folder. Nothing "
            f"was changed. To lose that for good: banyan db promote {server.name} --accept-loss"
        )


class Mounted(Refused):
    """The primary's folder cannot be renamed."""

    def __init__(self, server: Server, folder: str) -> None:
        super().__init__(
            f"{folder} is a mount point and cannot be put aside. Unmount it (stop Banyan first), then promote "
            f"{server.name} again."
        )


class Unfinished(Unavailable):
    """The promotion is not finished."""

    def __init__(self, server: Server, why: str) -> None:
        super().__init__(
            f"The promotion of {server.name} is not finished: {why}. It goes on with the next "
            f"`banyan db promote {server.name}` or `banyan up`."
        )
