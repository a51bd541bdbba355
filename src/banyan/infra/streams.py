"""Answers that have no end: the connection's buffer is kept small, and a client that reads nothing can be cut off."""

import asyncio
import socket
from collections.abc import Callable

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_CUT = "banyan.cut"
_KERNEL_BUFFER = 16_384


class StreamProtocol(HttpToolsProtocol):
    """uvicorn's own, where `send` waits as soon as the client falls behind, and `cut` drops the connection.

    Without, 64 KiB of ours and 200 KiB of the kernel's would fill up before anybody noticed; and uvicorn can only
    close a connection in order, which waits for the very client that reads nothing.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BUFFER)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_CUT: {"abort": self.transport.abort}}


def cut(scope: Scope) -> Callable[[], None]:
    """What ends a request's connection at once, whatever is still to be sent."""
    abort: Callable[[], None] = scope["extensions"][_CUT]["abort"]
    return abort
