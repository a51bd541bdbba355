"""`banyan iam ...`: what nobody can do in a browser before there is an operator."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from banyan.cli.options import Data, clear_errors, settings
from banyan.contracts.identity import RESET_PATH, Role
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state

if TYPE_CHECKING:
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


def _run(told: Settings, act: "Callable[[Iam], Awaitable[T]]") -> T:
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

    with clear_errors(MigrationError):
        return asyncio.run(with_database())
