"""`banyan up|stop|run`."""

import asyncio
from typing import Annotated

import typer

from banyan.cli.options import Data, clear_errors, fail, settings, unusable
from banyan.infra.settings import Settings
from banyan.infra.supervisor import supervisor as supervising
from banyan.kit.errors import Refusal

DEMO_LOGINS = "learner@, instructor@, admin@ and operator@banyan.test, password banyan-demo"


def up(
    demo: Annotated[bool, typer.Option("--demo", help="With a small old site and seed data. Loopback only.")] = False,
    legacy: Annotated[str | None, typer.Option("--legacy", help="The old site: http(s)://host[:port].")] = None,
    no_legacy: Annotated[bool, typer.Option("--no-legacy", help="There is no old site.")] = False,
    host: Annotated[str | None, typer.Option(help="Address of the front door.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the front door.", show_default="8000")] = None,
    data: Data = None,
    reload: Annotated[bool, typer.Option("--reload", help="Restart a process whose files are edited.")] = False,
) -> None:
    """Start everything on this machine; Ctrl-C stops it cleanly."""
    from banyan.infra.embedded import EmbeddedPostgresError
    from banyan.infra.settings import SettingError
    from banyan.infra.supervisor.state import AlreadyRunning
    from banyan.processes import up as process

    told = settings(
        data,
        BANYAN_DEMO="1" if demo else None,
        BANYAN_LEGACY_URL=legacy,
        BANYAN_NO_LEGACY="1" if no_legacy else None,
        BANYAN_HOST=host,
        BANYAN_PORT=port,
        BANYAN_RELOAD="1" if reload else None,
    )
    if not (told.demo or told.legacy_url or told.no_legacy):
        fail("Say what stands behind the gateway: --legacy URL (your site), --no-legacy, or --demo.", code=2)
    try:
        asyncio.run(process.up(told, _Console(told)))
    except (AlreadyRunning, process.PortTaken, EmbeddedPostgresError, SettingError, Refusal) as fault:
        fail(str(fault))
    except OSError as fault:
        fail(unusable(fault))


def stop(data: Data = None) -> None:
    """Stop the Banyan that runs on this data folder."""
    told = settings(data)
    with clear_errors(supervising.StillRunning):
        if not supervising.stop(told, tell=print):
            print(f"Banyan does not run on {told.data}.")


def run(process: Annotated[str, typer.Argument(help="A name from `banyan status`.")], data: Data = None) -> None:
    """Run one process in the foreground, for any scheduler."""
    from banyan.infra.embedded import EmbeddedPostgresError
    from banyan.infra.supervisor.state import AlreadyRunning
    from banyan.processes import run as running

    try:
        running.run(process, settings(data))
    except running.UnknownProcess as fault:
        fail(str(fault), code=2)
    except (EmbeddedPostgresError, AlreadyRunning) as fault:
        fail(str(fault))
    except OSError as fault:
        fail(unusable(fault))


class _Console:
    """Progress as plain lines, so that it reads the same in a terminal and in a log."""

    def __init__(self, told: Settings) -> None:
        self._told = told

    def ready(self, name: str, seconds: float) -> None:
        print(f"  ready    {name:<16} {seconds:5.1f} s", flush=True)

    def trouble(self, name: str, detail: str) -> None:
        print(f"  TROUBLE  {name:<16} {detail}", flush=True)

    def say(self, text: str) -> None:
        print(text, flush=True)
        if text.startswith("Banyan is ready") and self._told.demo:
            print(f"Demo log-ins: {DEMO_LOGINS}", flush=True)
            print(f"Console: {self._told.url}/_banyan/console", flush=True)
