"""Signing in and out, and renewing what a browser holds."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from banyan.contracts.events import SessionRevoked
from banyan.iam import domain
from banyan.iam.adapters.passwords import Passwords
from banyan.iam.domain import (
    Account,
    AccountId,
    AccountUnknown,
    EmailNotUsable,
    Issued,
    Lifetimes,
    SessionId,
    SessionUnknown,
    Visit,
    WrongCredentials,
)
from banyan.iam.operations import guarding
from banyan.iam.operations.guarding import Guard
from banyan.iam.operations.signing import Signing
from banyan.iam.store import accounts, audit
from banyan.iam.store import sessions as store
from banyan.infra.postgres import Connection, Database
from banyan.kit import ids
from banyan.messaging import outbox

_TRIES = 3
_NOBODY = ""  # what is tried under no usable e-mail address counts and costs like any other


@dataclass(slots=True)
class _Renewal:
    until: float
    task: "asyncio.Task[Issued | None]"


class Sessions:
    def __init__(
        self, database: Database, passwords: Passwords, signing: Signing, guard: Guard, lifetimes: Lifetimes
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._signing = signing
        self._guard = guard
        self._lifetimes = lifetimes
        self._renewals: dict[bytes, _Renewal] = {}
        self.renewals = 0

    async def sign_in(self, *, email: str, password: str, visit: Visit, now: Callable[[], datetime]) -> Issued:
        """A new session, whatever the browser had before. Raises WrongCredentials, TooManyAttempts, TooBusy.

        `now` is asked again where time has passed with waiting and hashing.
        """
        try:
            email = domain.usable_email(email)
        except EmailNotUsable:
            email = _NOBODY
        await self._signing.refresh(now=now())
        async with self._database.connection() as connection:
            counters = await self._guard.counters(connection, email, visit, now=now())
        async with self._guard.turn(counters[0]):
            async with self._database.connection() as connection:
                await guarding.check(connection, counters, now=now())
                account = await accounts.find(connection, email)
            for _ in range(_TRIES):
                fits, new_hash = await self._passwords.verify(password, account.password_hash if account else None)
                async with self._database.transaction() as tx:
                    if account is None or not fits:
                        await self._guard.failed(tx, counters, now=now())
                        break
                    verified, account = account, await _locked(tx, account.id)
                    if account is None or account.password_hash != verified.password_hash:
                        continue  # somebody signed in or changed the password while this one was hashed
                    if new_hash is not None:
                        await accounts.save(tx, replace(account, password_hash=new_hash))
                    await self._guard.succeeded(tx, counters)
                    return await self.open(tx, account, visit, now=now())
        raise WrongCredentials

    async def open(self, tx: Connection, account: Account, visit: Visit, *, now: datetime) -> Issued:
        """A session of an account that the transaction has locked; the one that this browser had before ends."""
        session_id = SessionId(ids.uuid7())
        reference = secrets.token_urlsafe(32)
        token = self._signing.sign(account, session_id, now=now)
        if visit.reference is not None:
            await self._end_former(tx, visit.reference, account, now=now)
        device = await self._device(tx, visit, now=now)
        await store.remember_device(tx, account.id, domain.digest(device), now=now)
        await store.insert(
            tx,
            session_id=session_id,
            account_id=account.id,
            reference=domain.digest(reference),
            visit=visit,
            now=now,
            life=self._lifetimes.session,
        )
        await audit.record(
            tx, action="signed-in", actor=account.id, subject=account.id, detail=str(session_id), now=now
        )
        return Issued(session_id=session_id, token=token, reference=reference, device=device)

    async def renew(self, *, reference: str, visit: Visit) -> Issued | None:
        """A new token for a session that is alive, else None. Requests that come together share one renewal."""
        key, loop = domain.digest(reference), asyncio.get_running_loop()
        known = self._renewals.get(key)
        if known is None or loop.time() >= known.until:
            self._drop_old(loop.time())
            known = _Renewal(float("inf"), loop.create_task(self._renew(key, visit)))
            self._renewals[key] = known
            known.task.add_done_callback(lambda task: self._renewed(key, task))
        return await asyncio.shield(known.task)

    def reissue(self, account: Account, session_id: SessionId, *, now: datetime) -> Issued:
        """The same session with what has changed of its account."""
        return Issued(session_id=session_id, token=self._signing.sign(account, session_id, now=now))

    async def sign_out(
        self, *, reference: str | None, session: tuple[SessionId, AccountId] | None, now: datetime
    ) -> None:
        """End the session that the browser's reference or token names. Doing it twice is fine."""
        async with self._database.transaction() as tx:
            if reference is not None:
                ended = await store.end_by_reference(tx, domain.digest(reference), now=now)
                if ended is not None:
                    await self._ended(tx, ended[1], [ended[0]], now=now)
            if session is not None and await store.end_one(tx, *session, now=now):
                await self._ended(tx, session[1], [session[0]], now=now)
        self._forget_renewals()

    async def end(self, *, session_id: SessionId, account_id: AccountId, now: datetime) -> None:
        """Raises SessionUnknown where it is not alive or not of this account."""
        async with self._database.transaction() as tx:
            await accounts.lock(tx, account_id)
            if not await store.end_one(tx, session_id, account_id, now=now):
                raise SessionUnknown
            await self._ended(tx, account_id, [session_id], now=now)
        self._forget_renewals()

    async def end_others(self, *, account_id: AccountId, but: SessionId, now: datetime) -> None:
        async with self._database.transaction() as tx:
            await accounts.lock(tx, account_id)
            await self.end_all(tx, account_id, but=but, now=now)
            await audit.record(tx, action="sessions-ended", actor=account_id, subject=account_id, now=now)
        self._forget_renewals()

    async def end_all(
        self, tx: Connection, account_id: AccountId, *, but: SessionId | None = None, now: datetime
    ) -> None:
        """Inside an operation that changes the account."""
        ended = await store.end_all(tx, account_id, but=but, now=now)
        await _tell(tx, account_id, ended, now=now)
        self._forget_renewals()

    async def _ended(self, tx: Connection, account_id: AccountId, ended: list[SessionId], *, now: datetime) -> None:
        await _tell(tx, account_id, ended, now=now)
        for session_id in ended:
            await audit.record(
                tx, action="session-ended", actor=account_id, subject=account_id, detail=str(session_id), now=now
            )

    async def _end_former(self, tx: Connection, reference: str, account: Account, *, now: datetime) -> None:
        ended = await store.end_by_reference(tx, domain.digest(reference), now=now)
        if ended is not None:
            await self._ended(tx, ended[1], [ended[0]], now=now)
            self._forget_renewals()

    async def _device(self, tx: Connection, visit: Visit, *, now: datetime) -> str:
        """The browser's own if some account knows it, else a new one: nobody is given a device that others know."""
        since = now - self._lifetimes.device
        if visit.device is not None and await store.device_known(tx, domain.digest(visit.device), since=since):
            return visit.device
        return secrets.token_urlsafe(32)

    async def _renew(self, reference: bytes, visit: Visit) -> Issued | None:
        now = datetime.now(UTC)
        await self._signing.refresh(now=now)
        async with self._database.transaction() as tx:
            found = await store.touch(tx, reference, visit=visit, now=now, life=self._lifetimes.session)
        if found is None:
            return None
        session_id, account = found
        self.renewals += 1
        return Issued(session_id=session_id, token=self._signing.sign(account, session_id, now=now))

    def _renewed(self, key: bytes, task: "asyncio.Task[Issued | None]") -> None:
        known = self._renewals.get(key)
        if known is None or known.task is not task:
            return
        if task.cancelled() or task.exception() is not None or task.result() is None:
            del self._renewals[key]
        else:
            known.until = asyncio.get_running_loop().time() + self._lifetimes.grace.total_seconds()

    def _drop_old(self, at: float) -> None:
        """They are kept in the order of their making, so those that are over stand in front."""
        for key, renewal in list(self._renewals.items()):
            if at < renewal.until:
                return
            del self._renewals[key]

    def _forget_renewals(self) -> None:
        """A session has ended: no later request may be given what was made before. Others renew once more."""
        self._renewals.clear()


async def _locked(tx: Connection, account_id: AccountId) -> Account | None:
    try:
        return await accounts.lock(tx, account_id)
    except AccountUnknown:
        return None


async def _tell(tx: Connection, account_id: AccountId, ended: list[SessionId], *, now: datetime) -> None:
    for session_id in ended:
        await outbox.add(tx, SessionRevoked(account_id=str(account_id), session_id=str(session_id), at=now))
