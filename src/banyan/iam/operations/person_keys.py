"""Keys of people's data: made with the account, given to services that ask, destroyed with the account."""

import base64
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec

from banyan.contracts import messaging as wire
from banyan.iam import domain
from banyan.iam.adapters.person_keys import KeyVault
from banyan.iam.domain import AccountId
from banyan.iam.store import audit
from banyan.iam.store import person_keys as store
from banyan.infra.postgres import Connection, Database
from banyan.messaging import privacy
from banyan.messaging.privacy import Seal
from banyan.messaging.store.reading import Store

_AT_ONCE = 200


class PersonKeys:
    """`events` is where what iam told is read, archived or not."""

    def __init__(self, database: Database, vault: KeyVault, events: Store) -> None:
        self._database = database
        self._vault = vault
        self._events = events

    async def make(self, tx: Connection, account_id: AccountId, *, now: datetime) -> Seal:
        """For an account that is new, or older than keys are. The caller holds it."""
        key, kept = self._vault.make(account_id)
        if not await store.insert(tx, account_id, kept, now=now):
            return await self.of(tx, account_id, now=now)
        return Seal(str(account_id), key)

    async def of(self, tx: Connection, account_id: AccountId, *, now: datetime) -> Seal:
        """The seal for what is told of this account, which the caller has locked."""
        kept = await store.find(tx, account_id)
        if kept is None:
            return await self.make(tx, account_id, now=now)
        return Seal(str(account_id), self._vault.open(account_id, kept))

    async def destroy(self, tx: Connection, account_id: AccountId) -> None:
        """What was told of this account can no longer be read, wherever it lies."""
        await store.destroy(tx, account_id)

    async def of_people(self, persons: Sequence[str]) -> wire.PersonKeys:
        """For each its key, or None where the person was erased. Raises KeysUnreadableError."""
        known = {person: found for person in persons if (found := domain.account_id_in(person)) is not None}
        async with self._database.connection() as connection:
            kept = await store.find_many(connection, list(known.values()))
        items = []
        for person in persons:
            found = known.get(person)
            sealed = kept.get(found) if found is not None else None
            key = None if found is None or sealed is None else _text(self._vault.open(found, sealed))
            items.append(wire.PersonKey(person=person, key=key))
        return wire.PersonKeys(items=items)

    async def erased(self, persons: Sequence[str]) -> set[str]:
        """Those of them who were erased."""
        known = [found for person in persons if (found := domain.account_id_in(person)) is not None]
        async with self._database.connection() as connection:
            return {str(gone) for gone in await store.erased(connection, known)}

    async def seal_old_events(self, *, now: datetime, at_most: int = _AT_ONCE) -> int:
        """Seal what was told in plain text by the program before this one; answers how many events that were now."""
        async with self._database.transaction() as tx:
            if not await store.lock_sealing(tx):
                return 0
            rows = await store.in_plain_text(tx, at_most=at_most)
            keys = await self._keys_of_owners(tx, {row["key"] for row in rows}, now=now)
            sealed = {}
            for row in rows:
                # What somebody said who has been erased since is sealed with a key that nobody keeps.
                seal = Seal(row["key"], keys.get(row["key"]) or os.urandom(privacy.KEY_BYTES))
                pii = seal.close(msgspec.json.decode(row["pii"]), event_id=row["id"], kind=row["type"])
                sealed[row["id"]] = msgspec.json.encode(pii).decode()
            await store.seal(tx, sealed)
        return len(rows)

    async def unmask(self, *, event_id: UUID, by: str, reason: str, now: datetime) -> wire.StoredEvent:
        """An event with its personal data; None in their place where the person was erased. Who looked, and why, is
        written down in the transaction that reads the key. Raises EventUnknown, LookerUnknown, ReasonMissing,
        KeysUnreadableError, ArchiveUnread, ArchiveBusy."""
        actor, reason = domain.looker(by), domain.usable_reason(reason)
        found = await self._events.event(event_id, sealed=True)
        if "pii" not in found.data:
            return replace(found, unmasked=True)
        subject = AccountId(UUID(found.key))
        async with self._database.transaction() as tx:
            pii = await self._plain(tx, subject, found)
            detail = f"{event_id} {reason}"
            await audit.record(tx, action="event-unmasked", actor=actor, subject=subject, detail=detail, now=now)
        return replace(found, data={**found.data, "pii": pii}, unmasked=True)

    async def _plain(
        self, tx: Connection, account_id: AccountId, found: wire.StoredEvent
    ) -> dict[str, str] | dict[str, None]:
        pii: dict[str, str] = found.data["pii"]
        if not privacy.is_sealed(pii):
            return pii if any(pii.values()) else privacy.erased()
        kept = await store.find(tx, account_id)
        if kept is None:
            return privacy.erased()
        return privacy.open_sealed(pii, self._vault.open(account_id, kept), event_id=found.id, kind=found.type)

    async def _keys_of_owners(self, tx: Connection, keys: set[str], *, now: datetime) -> dict[str, bytes]:
        """By the key of their events, of those who are not erased; made where there is none yet."""
        owners = [found for key in keys if (found := domain.account_id_in(key)) is not None]
        living = await store.lock_living(tx, owners)
        kept = await store.find_many(tx, list(living))
        opened = {str(owner): self._vault.open(owner, sealed) for owner, sealed in kept.items()}
        for owner in sorted(living - kept.keys()):
            opened[str(owner)] = (await self.make(tx, owner, now=now)).key
        return opened


def _text(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()
