"""Asking the contexts' processes of their events, each on its own socket; one that is away hides no other's answer."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NoReturn, TypeVar

import msgspec
import typer

from banyan.cli.options import clear_errors, fail
from banyan.clients.messaging import MessagingClient
from banyan.infra.http_client import ServiceAway
from banyan.infra.settings import Settings
from banyan.messaging.relay import OWNERS
from banyan.messaging.subscriptions import SUBSCRIPTIONS

T = TypeVar("T")

TELLING = OWNERS
HEARING = tuple(sorted({one.role for one in SUBSCRIPTIONS}))
CONTEXTS = tuple(dict.fromkeys((*TELLING, *HEARING)))


@dataclass(frozen=True, slots=True)
class Answers(Generic[T]):
    """By context. `away` are those that did not answer."""

    by: dict[str, T] = field(default_factory=dict)
    away: list[str] = field(default_factory=list)

    def tell_away(self) -> None:
        """Says who was not heard, and ends the command with 1 where that is anybody."""
        if self.away:
            print(f"banyan: {says_nothing(self.away)}", file=sys.stderr)
            raise typer.Exit(1)


def ask(told: Settings, contexts: Sequence[str], question: Callable[[MessagingClient], Awaitable[T]]) -> Answers[T]:
    """Ask each. Refusals end the command with their reason."""

    async def one(context: str) -> T | None:
        client = MessagingClient(told, context)
        try:
            return await question(client)
        except ServiceAway:
            return None
        finally:
            await client.close()

    async def each() -> list[T | None]:
        return await asyncio.gather(*(one(context) for context in contexts))

    with clear_errors():
        found = dict(zip(contexts, asyncio.run(each()), strict=True))
    return Answers(
        {context: answer for context, answer in found.items() if answer is not None},
        [context for context, answer in found.items() if answer is None],
    )


def ask_one(told: Settings, context: str, question: Callable[[MessagingClient], Awaitable[T]]) -> T:
    answers = ask(told, [context], question)
    if answers.away:
        away([context])
    return answers.by[context]


async def done(asked: Awaitable[None]) -> bool:
    """For questions that are answered by no refusal."""
    await asked
    return True


def away(contexts: Sequence[str]) -> NoReturn:
    fail(says_nothing(contexts))


def says_nothing(contexts: Sequence[str]) -> str:
    """Why nobody answers, as far as one can tell from here."""
    who = " and ".join(filter(None, (", ".join(contexts[:-1]), contexts[-1])))
    does = "does" if len(contexts) == 1 else "do"
    return f"{who} {does} not answer here: see `banyan status`, and if nothing runs, `banyan up`."


def context_of(consumer: str) -> str:
    """The context in whose process it runs. Ends the command where nobody knows it."""
    role = next((one.role for one in SUBSCRIPTIONS if one.consumer == consumer), None)
    if role is None:
        fail(f"There is no consumer '{consumer}'. There are {', '.join(one.consumer for one in SUBSCRIPTIONS)}.")
    return role


def checked_source(source: str | None) -> Sequence[str]:
    """The contexts whose events are meant."""
    if source is None:
        return TELLING
    if source not in TELLING:
        fail(f"'{source}' tells of no events. There are {', '.join(TELLING)}.")
    return (source,)


def as_json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode()
