"""Who runs here where no supervisor says so: whoever has a socket in the run folder."""

import re
from pathlib import Path

from banyan.infra.settings import Settings

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
