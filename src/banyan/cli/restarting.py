"""`banyan restart|upgrade`."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.cli.options import Data, clear_errors, fail, settings
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state

if TYPE_CHECKING:
    from banyan.infra.supervisor.control import Wish

_LOADING = 120.0
_MIGRATING = 3600.0


def restart(
    processes: Annotated[list[str] | None, typer.Argument(help="Names from `banyan status`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every process; not Envoy, not the databases.")] = False,
    data: Data = None,
) -> None:
    """Restart processes one after the other; requests that come meanwhile wait and are answered."""
    if bool(processes) == everything:
        fail("Say which processes, or --all.", code=2)
    told = settings(data)
    with clear_errors(TimeoutError):
        for name in processes or _running(told):
            done = _ask(told, "restart", name=name, within=_patience(told))
            if not done["ready"]:
                fail(f"{name} was restarted and is not ready: {done['detail']}. Nothing else was restarted.")
            print(f"  ready    {name:<16} {done['version']}", flush=True)


def upgrade(
    to: Annotated[Path, typer.Option("--to", help="Virtual environment with another version of Banyan.")],
    data: Data = None,
) -> None:
    """Run every process by another installation, one after the other, without a failed request.

    The databases are brought to its version first. When a process is not ready in time, and at Ctrl-C, all go back.
    """
    told = settings(data)
    python = to.expanduser().absolute() / "bin" / "python"
    if not python.exists():
        fail(f"{to} is not a virtual environment: there is no {python}.", code=2)
    with clear_errors(TimeoutError):
        plan = _ask(told, "prepare-upgrade", python=str(python), within=_LOADING + _MIGRATING)
        for line in plan["migrated"]:
            print(f"  migrated {line}")
        begun: list[tuple[str, Wish]] = []
        failure = ""
        try:
            for name in plan["processes"]:
                begun.append((name, plan["was"][name]))
                outcome = _upgrade(told, name, str(python), plan["version"])
                if not outcome["ready"]:
                    begun.pop()  # it went back by itself
                    failure = _what_happened(name, plan["version"], outcome)
                    break
                print(f"  ready    {name:<16} {outcome['was']['version']} -> {plan['version']}", flush=True)
        except BaseException:  # Ctrl-C, too, whenever it comes: nothing is left half upgraded
            _put_back(told, begun)
            raise
        if failure:
            _put_back(told, begun)
            fail(failure)
    print(f"Every process runs {plan['version']}.")
    if plan["later"]:
        print(f"With the next start by {python} -m banyan up: {', '.join(plan['later'])}.")
    print(f"Start Banyan by {python} from now on.")


def _upgrade(told: Settings, name: str, python: str, version: str) -> "Wish":
    patience = told.upgrade_patience + _patience(told)
    return _ask(told, "upgrade", name=name, python=python, version=version, within=patience)


def _put_back(told: Settings, begun: list[tuple[str, "Wish"]]) -> None:
    for name, was in reversed(begun):
        outcome = _upgrade(told, name, was["python"], was["version"])
        print(f"  {'back    ' if outcome['ready'] else 'TROUBLE '} {name:<16} {was['version']}", flush=True)


def _what_happened(name: str, version: str, outcome: "Wish") -> str:
    was = outcome["was"]["version"]
    state_of = f"{name} runs {was} again" if outcome["back"] else f"{name} is not ready with {was} either"
    return f"{name} {version} was not ready ({outcome['detail']}). {state_of}, and so does what was upgraded before it."


def _running(told: Settings) -> list[str]:
    from banyan.infra.supervisor import control

    known = state.read_living(told)
    if known is None:
        raise control.NotSupervised
    return [child.name for child in known.processes if child.kind == "process"]


def _patience(told: Settings) -> float:
    return told.stop_timeout * 2 + told.ready_timeout + told.drain + 10


def _ask(told: Settings, wish: str, *, within: float, **details: object) -> "Wish":
    from banyan.infra.supervisor import control

    return asyncio.run(control.ask(told, wish, within=within, **details))
