"""The next process loads everything while the last one still serves, and takes over when it is its turn."""

import asyncio
import os
import socket
import sys

VARIABLE = "BANYAN_TURN_FD"


class NotLoaded(Exception):
    """A process ended, or took too long, before it had loaded what it needs; the one that serves was not touched."""


class Turn:
    """The supervisor's end of a line to a process that waits; `theirs` is the other, for it to inherit."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()
        self._ours.setblocking(False)

    async def loaded(self, *, within: float) -> None:
        """Raises NotLoaded."""
        self.theirs.close()
        try:
            said = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._ours, 1), within)
        except TimeoutError:
            raise NotLoaded(f"has not loaded within {within:.0f} s") from None
        except OSError as fault:
            raise NotLoaded(str(fault)) from fault
        if not said:
            raise NotLoaded("ended while it loaded")

    def give(self) -> None:
        self._ours.send(b".")
        self._ours.close()

    def close(self) -> None:
        self._ours.close()
        self.theirs.close()


def wait() -> None:
    """In a process that was started early: say that everything is loaded, and wait. Ends the process when nobody is
    there any more who could say that it is its turn."""
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is None:
        return
    with socket.socket(fileno=int(descriptor)) as line:
        line.sendall(b".")
        if not line.recv(1):
            sys.exit(0)
