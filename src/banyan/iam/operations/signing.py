"""Keys: published first, used after a while, kept until the last token of theirs has ended."""

import asyncio
from datetime import UTC, datetime, timedelta

from joserfc.jwk import ECKey

from banyan.iam import domain
from banyan.iam.adapters import tokens
from banyan.iam.adapters.tokens import Vault
from banyan.iam.domain import Account, Lifetimes, SessionId, SigningKey
from banyan.iam.store import keys as store
from banyan.infra import identity
from banyan.infra.postgres import Database
from banyan.kit.errors import Unavailable

_READ_AGAIN = timedelta(seconds=5)


class NoKeyYet(Unavailable):
    """There is no key to sign with yet; try again in a moment."""


class Signing:
    """Also the source of keys for iam's own verifier."""

    def __init__(
        self, database: Database, vault: Vault, *, lifetimes: Lifetimes, notice: timedelta, key_life: timedelta
    ) -> None:
        self._database = database
        self._vault = vault
        self._lifetimes = lifetimes
        self._notice = notice
        self._key_life = key_life
        self._keys: list[SigningKey] = []
        self._public: dict[str, ECKey] = {}
        self._read_at: datetime | None = None
        self._reading = asyncio.Lock()

    async def refresh(self, *, now: datetime) -> None:
        """Before a transaction in which something is signed: inside it, a second connection could be waited for."""
        await self._known(now)

    def sign(self, account: Account, session_id: SessionId, *, now: datetime) -> str:
        """A token for a session. Raises NoKeyYet."""
        key = domain.signing_now(self._keys, now=now)
        if key is None:
            raise NoKeyYet
        return self._vault.sign(key, account, session_id, now=now, ends=now + self._lifetimes.token)

    async def published(self, *, now: datetime) -> str:
        """The JSON Web Key Set that verifiers believe."""
        return tokens.key_set(domain.published(await self._known(now), now=now, lifetimes=self._lifetimes))

    async def find(self, kid: str) -> ECKey | None:
        now = datetime.now(UTC)
        await self._known(now)
        return self._public.get(kid)

    async def rotate(self, *, now: datetime) -> SigningKey:
        """Publish a new key that signs when its notice is over; at once where there is no other."""
        async with self._database.transaction() as tx:
            await store.lock(tx)
            first = not await store.load_all(tx)
            key = self._vault.make(created_at=now, signs_from=now if first else now + self._notice)
            await store.insert(tx, key)
        self._read_at = None
        return key

    async def keep(self, *, now: datetime) -> None:
        """See to it that there is a key, that it is not too old, and that those that nobody needs go."""
        async with self._database.transaction() as tx:
            await store.lock(tx)
            keys = await store.load_all(tx)
            newest = max((key.signs_from for key in keys), default=None)
            if newest is None or newest + self._key_life < now:
                signs_from = now if newest is None else now + self._notice
                await store.insert(tx, self._vault.make(created_at=now, signs_from=signs_from))
            needed = {key.kid for key in domain.published(keys, now=now, lifetimes=self._lifetimes)}
            for key in keys:
                if key.kid not in needed:
                    await store.drop(tx, key.kid)
        self._read_at = None

    async def _known(self, now: datetime) -> list[SigningKey]:
        """Read again every few seconds; the last known ones while the database is away."""
        if self._read_at is not None and now < self._read_at + _READ_AGAIN:
            return self._keys
        async with self._reading:
            if self._read_at is None or now >= self._read_at + _READ_AGAIN:
                try:
                    async with self._database.connection() as connection:
                        self._keys = await store.load_all(connection)
                except Unavailable:
                    if not self._keys:
                        raise
                else:
                    self._public = identity.public_keys(tokens.key_set(self._keys))
                self._read_at = now
        return self._keys
