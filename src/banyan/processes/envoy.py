"""Envoy: the front door and the private listener, from the files of the data folder. Alone it is `banyan run envoy`."""

import asyncio
import contextlib
import os
import signal
import sys

from banyan.gateway.adapters import envoy
from banyan.gateway.adapters.admin import EnvoyAway
from banyan.gateway.adapters.data_plane import DataPlane
from banyan.infra import http
from banyan.infra.settings import Settings
from banyan.infra.supervisor import logs, probe
from banyan.infra.supervisor.child import dies_with_parent

_LOOK_AT_ACCESS_LOG = 5.0
_LOOK_AT_REQUESTS = 0.02


async def run(settings: Settings) -> None:
    """Run Envoy until SIGTERM, then let nobody new in, finish what is in flight and end it. Ends with Envoy."""
    plane = DataPlane(settings)
    await plane.prepare()
    process = await asyncio.create_subprocess_exec(
        *dies_with_parent(signal.SIGTERM), *command(settings), env=environ(), stdin=asyncio.subprocess.DEVNULL
    )
    rotating = asyncio.create_task(rotate_access_log(settings, plane))
    ended = asyncio.create_task(process.wait())
    stop = asyncio.create_task(http.stop_signal().wait())
    await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
    rotating.cancel()
    if ended.done():
        sys.exit(f"banyan: Envoy ended with {ended.result()}")
    with contextlib.suppress(EnvoyAway):
        await drain(settings, plane)
    process.terminate()
    try:
        await asyncio.wait_for(ended, settings.stop_timeout)
    except TimeoutError:
        process.kill()


def command(settings: Settings) -> list[str]:
    return envoy.envoy_command(settings)


def environ() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "")}


async def ready(settings: Settings) -> None:
    """Raises NotReady, OSError."""
    await probe.http_ready(settings.socket("envoy-admin"), "/ready")
    # Ready it is even when the listener was refused.
    await probe.tcp_open(_loopback_for(settings.host), settings.port)


def _loopback_for(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # not to listen there, but to ask


async def drain(settings: Settings, plane: DataPlane) -> None:
    """Let nobody new in and give requests in flight their time; SIGTERM alone ends Envoy in the middle of them."""
    await plane.admin.drain()
    for _ in range(round(settings.drain / _LOOK_AT_REQUESTS)):
        if not await plane.admin.active_requests():
            return
        await asyncio.sleep(_LOOK_AT_REQUESTS)


async def rotate_access_log(settings: Settings, plane: DataPlane) -> None:
    """Envoy writes its access log itself, for speed; here it is only cut into files."""
    path = settings.logs / "access.log"
    while True:
        await asyncio.sleep(_LOOK_AT_ACCESS_LOG)
        with contextlib.suppress(OSError, EnvoyAway):
            if path.stat().st_size > settings.log_bytes:
                logs.rotate(path, settings.log_files)
                await plane.admin.reopen_logs()
