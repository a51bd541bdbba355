"""Registering, changing and erasing accounts."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from banyan.contracts.events import AccountErased, AccountRegistered, PersonalData, ProfileChanged
from banyan.contracts.identity import Role
from banyan.iam import domain
from banyan.iam.adapters import letters
from banyan.iam.adapters.passwords import Passwords
from banyan.iam.domain import (
    Account,
    AccountId,
    EmailTaken,
    Issued,
    Lifetimes,
    SessionId,
    Visit,
    WrongPassword,
)
from banyan.iam.operations import guarding
from banyan.iam.operations.guarding import Guard
from banyan.iam.operations.person_keys import PersonKeys
from banyan.iam.operations.sessions import Sessions
from banyan.iam.operations.signing import Signing
from banyan.iam.store import accounts as store
from banyan.iam.store import attempts, audit, mails
from banyan.iam.store import sessions as session_store
from banyan.infra.postgres import Connection, Database
from banyan.kit import ids
from banyan.messaging import outbox

Clock = Callable[[], datetime]


class Accounts:
    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        signing: Signing,
        sessions: Sessions,
        guard: Guard,
        person_keys: PersonKeys,
        lifetimes: Lifetimes,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._signing = signing
        self._sessions = sessions
        self._guard = guard
        self._person_keys = person_keys
        self._lifetimes = lifetimes

    async def register(
        self, *, email: str, password: str, name: str, visit: Visit, now: Clock
    ) -> tuple[Account, Issued]:
        """A learner, signed in. Raises what the rules refuse, EmailTaken, TooManyAttempts, TooBusy."""
        email, name = domain.usable_email(email), domain.usable_name(name)
        password = domain.usable_password(password, email=email)
        counter = guarding.registration(visit)
        await self._signing.refresh(now=now())
        async with self._database.connection() as connection:
            await guarding.check(connection, [counter], now=now())
        account = Account(
            id=AccountId(ids.uuid7()),
            email=email,
            name=name,
            roles=(Role.LEARNER,),
            locale=visit.locale,
            password_hash=await self._passwords.hash(password),
        )
        try:
            async with self._database.transaction() as tx:
                at = now()
                await self._add(tx, account, actor=account.id, now=at)
                issued = await self._sessions.open(tx, account, visit, now=at)
        except EmailTaken:
            async with self._database.transaction() as tx:
                await self._guard.failed(tx, [counter], now=now())
            raise
        return account, issued

    async def rename(self, *, account_id: AccountId, session_id: SessionId, name: str, now: Clock) -> Issued:
        """The session's new token carries the new name at once. Raises NameNotUsable, AccountUnknown."""
        name = domain.usable_name(name)
        await self._signing.refresh(now=now())
        async with self._database.transaction() as tx:
            account = replace(await store.lock(tx, account_id), name=name)
            at = now()  # under the lock: who keeps a copy takes the name with the latest time for the last one
            await store.save(tx, account)
            pii = PersonalData(name=account.name, email=account.email)
            seal = await self._person_keys.of(tx, account_id, now=at)
            await outbox.add(tx, ProfileChanged(account_id=str(account_id), at=at, pii=pii), seal=seal)
            await audit.record(tx, action="renamed", actor=account_id, subject=account_id, now=at)
            return self._sessions.reissue(account, session_id, now=at)

    async def change_password(
        self, *, account_id: AccountId, session_id: SessionId, old: str, new: str, visit: Visit, now: Clock
    ) -> None:
        """All other sessions end. Raises WrongPassword, PasswordNotUsable, TooManyAttempts, TooBusy."""
        account = await self._confirmed(account_id, old, visit, now)
        new_hash = await self._passwords.hash(domain.usable_password(new, email=account.email))
        async with self._database.transaction() as tx:
            current = await store.lock(tx, account_id)
            if current.password_hash != account.password_hash:
                raise WrongPassword
            await self._set_password(tx, current, new_hash, but=session_id, now=now())
            await audit.record(tx, action="password-changed", actor=account_id, subject=account_id, now=now())

    async def ask_reset(self, *, email: str, visit: Visit, link: Callable[[str], str], now: datetime) -> None:
        """Mail a link, if there is such an account; nobody is told whether. Raises TooManyAttempts (per address)."""
        try:
            email = domain.usable_email(email)
        except domain.EmailNotUsable:
            email = ""
        token, life = secrets.token_urlsafe(32), self._lifetimes.reset
        mail = letters.password_link(email=email, link=link(token), life=life, locale=visit.locale, now=now)
        by_address, by_account = guarding.resets(visit, email)
        async with self._database.transaction() as tx:
            await guarding.check(tx, [by_address], now=now)
            await attempts.count(tx, by_address, self._guard.limits.address, now=now)
            asked = await attempts.count(tx, by_account, self._guard.limits.resets, now=now)
            if asked <= self._guard.limits.resets.free:
                digest = domain.digest(token)
                await store.add_mailed_reset(tx, token=digest, mail=mail, now=now, expires_at=now + life)

    async def reset_works(self, *, token: str, now: datetime) -> bool:
        async with self._database.connection() as connection:
            return await store.reset_works(connection, domain.digest(token), now=now)

    async def reset_password(self, *, token: str, password: str, now: Clock) -> None:
        """Works once; all sessions end. Raises LinkSpent, PasswordNotUsable, TooBusy."""
        if not await self.reset_works(token=token, now=now()):
            raise domain.LinkSpent
        new_hash = await self._passwords.hash(domain.usable_password(password, email=""))
        async with self._database.transaction() as tx:
            account_id = await store.take_reset(tx, domain.digest(token), now=now())
            account = await store.lock(tx, account_id)
            domain.usable_password(password, email=account.email)
            await self._set_password(tx, account, new_hash, now=now())
            await attempts.clear(tx, ("account", domain.digest(account.email)))
            await audit.record(tx, action="password-reset", actor=account_id, subject=account_id, now=now())

    async def erase(self, *, account_id: AccountId, password: str, visit: Visit, now: Clock) -> None:
        """Nothing personal is left, all sessions end. Raises WrongPassword, TooManyAttempts, TooBusy."""
        await self._confirmed(account_id, password, visit, now)
        async with self._database.transaction() as tx:
            await self._erase(tx, account_id, actor=account_id, now=now)

    async def erase_for(self, who: str, *, now: Clock) -> AccountId | None:
        """From the machine itself, by e-mail address or id: for whoever asked for it in another way, and again after
        a restore. Answers whom; None for an id of nobody, or of somebody erased. Raises AccountUnknown for an address.
        """
        async with self._database.transaction() as tx:
            account_id = domain.account_id_in(who)
            if account_id is None:
                found = await store.find(tx, domain.usable_email(who))
                if found is None:
                    raise domain.AccountUnknown
                account_id = found.id
            try:
                await self._erase(tx, account_id, actor=None, now=now)
            except domain.AccountUnknown:
                return None
        return account_id

    async def invite_operator(self, *, email: str, now: datetime) -> str:
        """An operator's account, made if need be; answers the token of the link that sets its password.

        Nobody proves an address when signing up, so whoever knows the old password of an account that is there already
        may be a stranger: until the link is used, nobody signs in with it.
        """
        email = domain.usable_email(email)
        token = secrets.token_urlsafe(32)
        async with self._database.transaction() as tx:
            found = await store.find(tx, email)
            if found is None:
                name = email.split("@")[0][: domain.LONGEST_NAME]
                account = Account(
                    id=AccountId(ids.uuid7()), email=email, name=name, roles=(), locale="en", password_hash=None
                )
                await self._add(tx, account, actor=None, now=now)
                found = account
            account = await store.lock(tx, found.id)
            await self._set_password(tx, account, None, now=now)
            account = replace(account, password_hash=None)
            await self._grant(tx, account, {*account.roles, Role.LEARNER, Role.OPERATOR}, now=now)
            expires_at = now + self._lifetimes.invitation
            digest = domain.digest(token)
            await store.add_reset_of(tx, token=digest, account_id=account.id, now=now, expires_at=expires_at)
            await audit.record(tx, action="invited", actor=None, subject=account.id, now=now)
        return token

    async def set_roles(self, *, email: str, roles: Iterable[Role], now: datetime) -> None:
        """From the machine itself; the account's sessions end, so that no old token says otherwise.

        Raises AccountUnknown.
        """
        async with self._database.transaction() as tx:
            found = await store.find(tx, domain.usable_email(email))
            if found is None:
                raise domain.AccountUnknown
            account = await store.lock(tx, found.id)
            await self._grant(tx, account, set(roles), now=now)

    async def _erase(self, tx: Connection, account_id: AccountId, *, actor: AccountId | None, now: Clock) -> None:
        await store.lock(tx, account_id)
        at = now()
        await self._sessions.end_all(tx, account_id, now=at)
        await store.erase(tx, account_id, now=at)
        await self._person_keys.destroy(tx, account_id)
        await store.drop_resets(tx, account_id)
        await mails.drop_of(tx, account_id)
        await session_store.forget_places(tx, account_id)
        await outbox.add(tx, AccountErased(account_id=str(account_id), at=at))
        await audit.record(tx, action="erased", actor=actor, subject=account_id, now=at)

    async def _grant(self, tx: Connection, account: Account, roles: set[Role], *, now: datetime) -> None:
        if set(account.roles) == roles:
            return
        await store.save(tx, replace(account, roles=tuple(sorted(roles))))
        await self._sessions.end_all(tx, account.id, now=now)
        detail = ",".join(sorted(roles))
        await audit.record(tx, action="roles-changed", actor=None, subject=account.id, detail=detail, now=now)

    async def _add(self, tx: Connection, account: Account, *, actor: AccountId | None, now: datetime) -> None:
        await store.insert(tx, account, now=now)
        pii = PersonalData(name=account.name, email=account.email)
        seal = await self._person_keys.make(tx, account.id, now=now)
        await outbox.add(tx, AccountRegistered(account_id=str(account.id), at=now, pii=pii), seal=seal)
        await audit.record(tx, action="registered", actor=actor, subject=account.id, now=now)

    async def _set_password(
        self, tx: Connection, account: Account, new_hash: str | None, *, but: SessionId | None = None, now: datetime
    ) -> None:
        """Whoever knew the old password, or signed in with it, is a stranger again."""
        await store.save(tx, replace(account, password_hash=new_hash))
        await store.drop_resets(tx, account.id)
        await session_store.forget_devices(tx, account.id)
        await self._sessions.end_all(tx, account.id, but=but, now=now)

    async def _confirmed(self, account_id: AccountId, password: str, visit: Visit, now: Clock) -> Account:
        """The account, if this is its password: a screen left open must not be enough for what cannot be undone."""
        async with self._database.transaction() as tx:
            account = await store.lock(tx, account_id)
            counters = await self._guard.counters(tx, account.email, visit, now=now())
        async with self._guard.turn(counters[0]):
            async with self._database.connection() as connection:
                await guarding.check(connection, counters, now=now())
            fits, _ = await self._passwords.verify(password, account.password_hash)
            if not fits:
                async with self._database.transaction() as tx:
                    await self._guard.failed(tx, counters, now=now())
                raise WrongPassword
        return account
