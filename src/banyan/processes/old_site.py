"""The demo's old site: an untyped WSGI application from `old_site/`, served by waitress."""

import asyncio
import importlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable
from typing import Any

from waitress.server import create_server

from banyan.infra import http
from banyan.infra.settings import Settings
from banyan.infra.supervisor import reload

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_THREADS = 8
_LAST_REQUESTS_SECONDS = 5.0
_LOOK_SECONDS = 0.02
_THREADS_END_SECONDS = 0.6


async def run(settings: Settings) -> None:
    listener = http.inherited_or_own_socket(settings, "old-site")
    server = create_server(
        _perhaps_faulty(settings, with_ready(old_application(settings))),
        sockets=[listener],
        threads=_THREADS,
        connection_limit=1000,
        asyncore_use_poll=True,
        # The old site reads X-Forwarded-Host and -Proto by itself; the gateway has already replaced what clients sent.
        clear_untrusted_proxy_headers=False,
    )
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line for each request that waits is no news
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def serve() -> None:
        try:
            server.run()
        finally:
            loop.call_soon_threadsafe(stop.set)

    # A daemon, so that a request which never ends cannot keep the process from ending.
    threading.Thread(target=serve, name="old-site", daemon=True).start()
    await stop.wait()
    server.accepting = False  # later connections wait in the backlog of the supervisor's socket
    for _ in range(round(_LAST_REQUESTS_SECONDS / _LOOK_SECONDS)):
        if _let_go(server):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    await asyncio.to_thread(server.task_dispatcher.shutdown, True, _THREADS_END_SECONDS)


def _let_go(server: Any) -> bool:
    """Close every connection on which nothing is asked and nothing is left to send; whether none is open any more."""
    for channel in list(server.active_channels.values()):
        if not channel.requests and not channel.total_outbufs_len:
            channel.will_close = True
    server.pull_trigger()
    return not server.active_channels


def old_application(settings: Settings) -> Wsgi:
    """The old site with its own database file, filled on the first start."""
    os.environ["OLD_SITE_DB"] = str(settings.data / "old-site" / "old.sqlite")
    os.environ.setdefault("OLD_SITE_TRUST_BANYAN", "1")
    application: Wsgi = importlib.import_module("old_site.app").app
    reload.note_modules(settings, "old-site")  # again: it is imported only now
    return application


def _perhaps_faulty(settings: Settings, application: Wsgi) -> Wsgi:
    if not settings.demo:
        return application
    from banyan.infra.faults import agent  # no process outside the demo loads it

    return agent.faulty_wsgi(application)


def with_ready(application: Wsgi) -> Wsgi:
    """`/ready` is answered before the old site sees it: it would answer anything with 200."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/ready":
            start_response("204 No Content", [])
            return []
        return application(environ, start_response)

    return answer
