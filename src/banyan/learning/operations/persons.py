"""What iam tells of people, in the transaction of the consumer."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from banyan.contracts.events import AccountErased, AccountRegistered, ProfileChanged
from banyan.contracts.iam import Person
from banyan.infra.postgres import Connection
from banyan.learning.domain.courses import PersonId
from banyan.learning.store import persons as store


async def note(tx: Connection, event: AccountRegistered | ProfileChanged) -> None:
    """What comes blank was told of somebody who has been erased since, for good, though that is told later."""
    if not event.pii.name and not event.pii.email:
        await store.erase(tx, _person(event), at=event.at)
        return
    await store.save(tx, _person(event), name=event.pii.name, email=event.pii.email, at=event.at)


async def erase(tx: Connection, event: AccountErased) -> None:
    await store.erase(tx, _person(event), at=event.at)


async def copy(tx: Connection, people: Sequence[Person]) -> None:
    """Everybody as iam knows them, where copies are built anew."""
    await store.copy(tx, [(uuid.UUID(one.id), one.name, one.email, one.told_at, one.erased) for one in people])


async def take_over(tx: Connection, since: datetime) -> None:
    """The copies that were built anew take the place of the old ones, but for what was told since then."""
    await store.take_over(tx, since=since)


def _person(event: AccountRegistered | ProfileChanged | AccountErased) -> PersonId:
    return PersonId(uuid.UUID(event.account_id))
