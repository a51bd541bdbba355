"""How a child is started, and where its output goes."""

import asyncio
import socket
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping

from banyan.infra.supervisor import turns
from banyan.infra.supervisor.logs import RotatingLog
from banyan.infra.supervisor.turns import Turn

_LONGEST_LINE = 65536


async def spawn(
    command: list[str], environ: Mapping[str, str], *, listener: socket.socket | None, turn: Turn | None
) -> Process:
    """Start a process in a group of its own; it inherits `listener`, and its end of `turn`, and is told where."""
    told = dict(environ)
    descriptors = []
    if listener is not None:
        descriptors.append(listener.fileno())
        told["BANYAN_LISTEN_FD"] = str(listener.fileno())
    if turn is not None:
        descriptors.append(turn.theirs.fileno())
        told[turns.VARIABLE] = str(turn.theirs.fileno())
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env=told,
        pass_fds=descriptors,
        start_new_session=True,
        restore_signals=False,  # SIGXFSZ stays ignored: a file that may not grow is an error, not a death
        limit=_LONGEST_LINE,
    )


async def pump(process: Process, log: RotatingLog) -> None:
    """Write what the process says into its log, until it has ended."""
    stream = process.stdout
    if stream is None:
        return
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit: what was buffered is dropped, the rest is a line of its own
            continue
        if not line:
            return
        log.write(line)
