"""The `iam` process: accounts, sessions, keys, and the mails about them."""

import asyncio
import dataclasses
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta

from fastapi import FastAPI

from banyan.contracts.iam import ErasureList
from banyan.iam import jobs, queries
from banyan.iam.adapters.passwords import Passwords
from banyan.iam.adapters.person_keys import KeyVault
from banyan.iam.adapters.tokens import Vault
from banyan.iam.domain import Lifetimes, Limit
from banyan.iam.http import accounts as accounts_api
from banyan.iam.http import internal, mailbox, unmasking
from banyan.iam.http import sessions as sessions_api
from banyan.iam.http.browsers import Cookies
from banyan.iam.operations.accounts import Accounts
from banyan.iam.operations.guarding import Guard, Limits
from banyan.iam.operations.housekeeping import Housekeeping
from banyan.iam.operations.mails import Mails
from banyan.iam.operations.person_keys import PersonKeys
from banyan.iam.operations.sessions import Sessions
from banyan.iam.operations.signing import Signing
from banyan.infra import http, migrations, postgres
from banyan.infra.identity import Verifier
from banyan.infra.mail import Mailbox, mailer
from banyan.infra.postgres import Database
from banyan.infra.preparation import Preparation
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from banyan.messaging.store.reading import Store
from banyan.processes.events import Events, make_days

LARGEST_BODY = 16_384  # nothing that is taken here is longer


class Iam:
    """All of iam but its faces; for the process, the command line and the tests."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self.lifetimes = lifetimes(settings)
        self.passwords = Passwords(threads=settings.hash_threads, waiting=settings.hash_waiting)
        self.signing = Signing(
            database,
            Vault(lambda: secret(settings.secrets, "iam-signing-keys")),
            lifetimes=self.lifetimes,
            notice=timedelta(seconds=settings.key_notice),
            key_life=timedelta(seconds=settings.key_life),
        )
        guard = Guard(limits(settings), device_life=self.lifetimes.device)
        self.sessions = Sessions(database, self.passwords, self.signing, guard, self.lifetimes)
        vault = KeyVault(lambda: secret(settings.secrets, "iam-person-keys"))
        self.person_keys = PersonKeys(database, vault, Store(settings, "iam", database))
        self.accounts = Accounts(
            database, self.passwords, self.signing, self.sessions, guard, self.person_keys, self.lifetimes
        )
        self.mails = Mails(database, mailer(settings))
        self.housekeeping = Housekeeping(database, self.signing, self.lifetimes)

    async def erasures(self) -> ErasureList:
        return await queries.erasures(self._database)


async def run(settings: Settings) -> None:
    database = postgres.database(settings, "iam")
    iam = Iam(settings, database)
    prepared = asyncio.Event()

    async def step() -> None:
        await prepare(database, iam.signing, demo=settings.demo)
        prepared.set()

    async def once_prepared(job: Coroutine[object, object, None]) -> None:
        await prepared.wait()
        await job

    preparation = Preparation(step)
    events = Events(settings, "iam", database, erased=iam.person_keys.erased)
    app = application(settings, database, iam, events=events, checks=[preparation.check, database.ready])
    listener = http.inherited_or_own_socket(settings, "iam")
    async with asyncio.TaskGroup() as tasks:
        beside = [
            tasks.create_task(once_prepared(jobs.send_mails(iam.mails, pause=settings.mail_poll))),
            tasks.create_task(once_prepared(jobs.keep_house(iam.housekeeping))),
            tasks.create_task(once_prepared(jobs.seal_old_events(iam.person_keys))),
        ]
        async with events.running(after=preparation.check):
            await preparation.beside(http.serve(preparation.guard(app), listener))
        for task in beside:
            task.cancel()
    iam.passwords.close()
    await database.close()


def application(
    settings: Settings,
    database: Database,
    iam: Iam,
    *,
    verifier: Verifier | None = None,
    events: Events | None = None,
    checks: Sequence[http.Check] = (),
) -> FastAPI:
    verifier = verifier or Verifier(iam.signing, settings)
    cookies = Cookies(settings, iam.lifetimes)
    routers = [
        accounts_api.router(database, iam.accounts, verifier, cookies, settings),
        sessions_api.router(database, iam.sessions, verifier, cookies, settings),
        internal.router(database, iam.signing, iam.sessions, iam.person_keys, cookies, iam.lifetimes, settings),
        unmasking.router(iam.person_keys),
    ]
    if events is not None:
        routers.append(events.router)
    if settings.demo:
        routers.append(mailbox.router(Mailbox(settings)))
    bounded = dataclasses.replace(settings, max_body=min(settings.max_body, LARGEST_BODY))
    return http.application("iam", routers, settings=bounded, checks=checks)


async def prepare(database: Database, signing: Signing, *, demo: bool) -> None:
    """Bring the database to what this version needs, with a key to sign with; in the demo with its people."""
    await migrations.migrate(database, "iam")
    await make_days(database)
    await signing.keep(now=datetime.now(UTC))
    if demo and await queries.is_empty(database):
        from banyan.demo import catalogue
        from banyan.iam.operations import seed

        await seed.fill(database, catalogue.people())


def lifetimes(settings: Settings) -> Lifetimes:
    return Lifetimes(
        token=timedelta(seconds=settings.token_life),
        fresh=timedelta(seconds=settings.token_fresh),
        session=timedelta(seconds=settings.session_life),
        skew=timedelta(seconds=settings.clock_skew),
        grace=timedelta(seconds=settings.renew_grace),
        device=timedelta(seconds=settings.device_life),
        reset=timedelta(seconds=settings.reset_life),
        invitation=timedelta(seconds=settings.invitation_life),
    )


def limits(settings: Settings) -> Limits:
    wait = timedelta(seconds=settings.attempts_wait)
    longest = timedelta(seconds=settings.attempts_wait_most)
    shorter = timedelta(seconds=settings.attempts_address_wait_most)
    forget = timedelta(seconds=settings.attempts_forget)
    return Limits(
        account=Limit(free=settings.attempts_account, wait=wait, longest=longest, forget=forget),
        address=Limit(free=settings.attempts_address, wait=wait, longest=shorter, forget=forget),
        resets=Limit(free=settings.resets_account, wait=wait, longest=longest, forget=forget),
    )
