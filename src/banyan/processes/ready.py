"""Whether a process of this data folder is ready, asked on its own socket: for schedulers that look by a command.

`python -m banyan.processes.ready NAME [--alive] [--within SECONDS]` loads little and ends with 0 or, after a line that
says why, with 1. `--alive` is content with any answer: a process that waits for its database is not to be killed.
Without a name it asks what `banyan up` knows of all.
"""

import argparse
import asyncio
import os
import sys
import time

from banyan.infra.settings import SettingError, Settings
from banyan.infra.supervisor import probe, state
from banyan.infra.supervisor.probe import NotReady

_ANSWER_SECONDS = 5.0
_LOOK_SECONDS = 0.1


async def check(settings: Settings, name: str, *, alive: bool = False) -> None:
    """Raises NotReady, or what else went wrong, where it is not so."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await _ask(settings, name)
    except NotReady:
        if not alive:
            raise


async def _ask(settings: Settings, name: str) -> None:
    if not name:
        _ask_all(settings)
    elif name == "envoy":
        from banyan.processes import envoy

        await envoy.ready(settings)
    elif name.startswith("postgres-"):
        from banyan.infra import embedded
        from banyan.processes import postgres

        await embedded.probe(settings, postgres.server_named(name))
    else:
        await probe.http_ready(settings.socket(name), "/ready")


def _ask_all(settings: Settings) -> None:
    known = state.read_living(settings)
    if known is None or not known.ready:
        raise NotReady("banyan up is not ready")
    away = [child.name for child in known.processes if child.state != "ready"]
    if away:
        raise NotReady(f"not ready: {', '.join(away)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m banyan.processes.ready", description=__doc__)
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--alive", action="store_true")
    parser.add_argument("--within", type=float, default=0.0)
    asked = parser.parse_args()
    deadline = time.monotonic() + asked.within
    while True:
        try:
            asyncio.run(check(Settings.read(os.environ), asked.name, alive=asked.alive))
            return
        except SettingError as fault:
            sys.exit(f"banyan: {fault}")
        except Exception as fault:  # whatever it is, the answer is no
            if time.monotonic() >= deadline:
                sys.exit(f"{asked.name or 'banyan'}: {fault or type(fault).__name__}")
        time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    main()
