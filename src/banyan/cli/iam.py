"""`banyan iam ...`: what nobody can do in a browser before there is an operator."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer

from banyan.cli.options import Data, Json, clear_errors, settings
from banyan.contracts.identity import RESET_PATH, Role
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state

if TYPE_CHECKING:
    from banyan.contracts.iam import ErasureList
    from banyan.processes.iam import Iam

T = TypeVar("T")

app = typer.Typer(help="Accounts and keys.", no_args_is_help=True)


@app.command("create-operator")
def create_operator(email: str, data: Data = None) -> None:
    """Make this account an operator's, and print a link that sets its password, once."""
    told = settings(data)

    async def invite(iam: "Iam") -> str:
        return await iam.accounts.invite_operator(email=email, now=datetime.now(UTC))

    token = _run(told, invite)
    running = state.read_living(told)
    print(f"{running.url if running else told.url}{RESET_PATH}{token}")


@app.command("set-roles")
def set_roles(email: str, roles: Annotated[list[Role], typer.Argument()], data: Data = None) -> None:
    """Give an account exactly these roles; its sessions end, so that it signs in with them."""

    async def give(iam: "Iam") -> None:
        await iam.accounts.set_roles(email=email, roles=roles, now=datetime.now(UTC))

    _run(settings(data), give)
    print(f"{email}: {', '.join(sorted(set(roles)))}")


@app.command("rotate-keys")
def rotate_keys(data: Data = None) -> None:
    """Publish a new signing key; it signs once everybody knows it, and the old one is believed until its tokens end."""

    async def rotate(iam: "Iam") -> datetime:
        return (await iam.signing.rotate(now=datetime.now(UTC))).signs_from

    signs_from = _run(settings(data), rotate)
    print(f"A new key is published; it signs from {signs_from:%H:%M:%S} UTC.")


@app.command("erase")
def erase(
    accounts: Annotated[
        list[str], typer.Argument(help="E-mail addresses or account ids; - reads a list from `erased`.")
    ],
    data: Data = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase accounts for good: nothing personal is left of them, and what was told of them opens to nobody."""
    named = _read_accounts(accounts)
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Nothing brings back {len(named)} account(s). Erase?", abort=True, err=True)
    told = settings(data)

    async def erase_all(iam: "Iam") -> None:
        for who in named:
            found = await iam.accounts.erase_for(who, now=lambda: datetime.now(UTC))
            print(f"{found}: erased" if found else f"{who}: nobody of that id, or erased before")

    _run(told, erase_all, started=True)


@app.command("erased")
def list_erased(data: Data = None, as_json: Json = False) -> None:
    """List who was erased and when, by id: keep it, so that a restore of an older backup can erase them again."""
    told = settings(data)

    async def ask(iam: "Iam") -> "ErasureList":
        return await iam.erasures()

    found = _run(told, ask, started=True)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    for one in found.items:
        print(f"{one.account_id}  {one.erased_at:%F %T} UTC")


def _read_accounts(given: list[str]) -> list[str]:
    lines = [line.split()[:1] for line in sys.stdin] if given == ["-"] else [[who] for who in given]
    return [who for line in lines for who in line]


def _run(told: Settings, act: "Callable[[Iam], Awaitable[T]]", *, started: bool = False) -> T:
    """`started`: where Banyan does not run, its databases are started for this."""
    from banyan.infra.migrations import MigrationError

    async def with_database() -> T:
        from banyan.infra import migrations, postgres
        from banyan.processes.iam import Iam

        database = postgres.database(told, "iam", size=2)
        iam = Iam(told, database)
        try:
            await migrations.migrate(database, "iam")
            return await act(iam)
        finally:
            iam.passwords.close()
            await database.close()

    async def with_servers() -> T:
        from banyan.processes.backup import servers_running

        async with servers_running(told, lambda line: print(line, file=sys.stderr)):
            return await with_database()

    with clear_errors(MigrationError):
        return asyncio.run(with_servers() if started else with_database())
