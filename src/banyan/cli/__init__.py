"""`banyan ...`: parses, calls, prints. Each noun has a file; what a command needs is imported when it runs."""

import io
import sys
from typing import Annotated

import typer

from banyan import __version__
from banyan.cli import backup, database, lifecycle, restarting
from banyan.cli.alert import app as alert
from banyan.cli.db import app as db
from banyan.cli.event import app as event
from banyan.cli.fault import app as fault
from banyan.cli.gateway import app as gateway
from banyan.cli.iam import app as iam
from banyan.cli.rebuild import app_of
from banyan.cli.route import app as route
from banyan.cli.status import status

app = typer.Typer(
    name="banyan",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(lifecycle.up)
app.command("stop")(lifecycle.stop)
app.command("status")(status)
app.command("run")(lifecycle.run)
app.command("restart")(restarting.restart)
app.command("upgrade")(restarting.upgrade)
app.command("migrate")(database.migrate)
app.command("seed")(database.seed)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.add_typer(route, name="route")
app.add_typer(alert, name="alert")
app.add_typer(gateway, name="gateway")
app.add_typer(iam, name="iam")
app.add_typer(db, name="db")
app.add_typer(event, name="event")
app.add_typer(fault, name="fault")
for context in ("learning", "live"):
    app.add_typer(app_of(context), name=context)


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print Banyan's version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """An online-course platform that grows around the site you already run."""


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # Korean course names on a terminal that knows no Hangul
    app(prog_name="banyan")
