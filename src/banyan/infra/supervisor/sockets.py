"""Who runs here where no supervisor says so: whoever has a socket in the run folder."""

import asyncio
import re
from pathlib import Path

from banyan.infra.settings import Settings
from banyan.infra.supervisor import probe

_ENVOY_ADMIN = "envoy-admin"
_NO_PROCESS = re.compile(r"internal|supervisor|.*-faults")


def processes_with_sockets(settings: Settings) -> dict[str, Path]:
    """Names and sockets, Envoy's by its admin socket; each answers `/ready`. One that ended leaves its socket and so
    stays expected."""
    names = sorted(path.stem for path in settings.run.glob("*.sock"))
    return {
        "envoy" if name == _ENVOY_ADMIN else name: settings.socket(name)
        for name in names
        if not _NO_PROCESS.fullmatch(name)
    }


async def are_ready(settings: Settings, *, within: float) -> dict[str, bool]:
    """Whether each of them says within so many seconds that it is ready."""
    sockets = processes_with_sockets(settings)
    ready = await asyncio.gather(*(_is_ready(path, within) for path in sockets.values()))
    return dict(zip(sockets, ready, strict=True))


async def _is_ready(path: Path, within: float) -> bool:
    try:
        await asyncio.wait_for(probe.http_ready(path, "/ready"), within)
    except (OSError, TimeoutError, probe.NotReady):
        return False
    return True
