"""A program for the tests: supervises the children that its argument describes, as `banyan up` does.

Argument: a JSON list of {"name", "code"}: each child is `python -c code` with PORT_SOCKET as its probe: a child is
ready when the file at $READY exists.
"""

import asyncio
import json
import os
import signal
import sys

from banyan.infra.settings import Settings
from banyan.infra.supervisor.child import Spec
from banyan.infra.supervisor.probe import NotReady
from banyan.infra.supervisor.state import AlreadyRunning
from banyan.infra.supervisor.supervisor import Supervisor


class Printing:
    def ready(self, name: str, seconds: float) -> None:
        print(f"ready {name}", flush=True)

    def trouble(self, name: str, detail: str) -> None:
        print(f"trouble {name}: {detail}", flush=True)

    def say(self, text: str) -> None:
        print(text, flush=True)


def spec(settings: Settings, child: dict[str, str]) -> Spec:
    ready = settings.run / f"{child['name']}.ready"
    ready.unlink(missing_ok=True)

    async def probe() -> None:
        if not ready.exists():
            raise RuntimeError("no ready file")
        if why := ready.read_text():
            raise NotReady(why)

    return Spec(
        name=child["name"],
        kind="process",
        command=[sys.executable, "-c", child["code"]],
        environ={**os.environ, "READY": str(ready)},
        probe=probe,
        stop_signal=signal.SIGTERM,
    )


async def main() -> None:
    settings = Settings.read(os.environ)
    settings.make_folders()
    async with Supervisor(settings, Printing()) as supervisor:
        specs = [spec(settings, child) for child in json.loads(sys.argv[1])]
        await supervisor.start(specs, wait=float(os.environ.get("WAIT", "10")))
        supervisor.announce_ready()
        print("all started", flush=True)
        await supervisor.wait_for_stop()
    print("stopped", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except AlreadyRunning as fault:
        sys.exit(str(fault))
