"""The demo company's people, by COPY: one shared hash of the old site's kind, and no events."""

from collections.abc import Iterable
from itertools import islice
from uuid import UUID

from passlib.hash import phpass

from banyan.demo import catalogue
from banyan.demo.people import DemoPerson
from banyan.iam.store import accounts as store
from banyan.infra.postgres import Database

_AT_ONCE = 10_000


async def fill(database: Database, people: Iterable[DemoPerson]) -> int:
    """Add the people who are not there yet; answers how many. Accounts that are there stay as they are."""
    shared = phpass.using(rounds=8).hash(catalogue.PASSWORD)
    remaining, added = iter(people), 0
    while chunk := list(islice(remaining, _AT_ONCE)):
        by_id = {UUID(catalogue.account_id(person.number)): person for person in chunk}
        async with database.transaction() as tx:
            await store.lock_seed(tx)
            known = await store.known(tx, list(by_id))
            taken = await store.taken(tx, [person.email for person in chunk])
            records = [
                (account_id, person.email, person.name, _roles(person), "ko", shared, person.joined)
                for account_id, person in by_id.items()
                if account_id not in known and person.email not in taken
            ]
            await store.load(tx, records)
            added += len(records)
    if added:
        async with database.connection() as connection:
            await store.refresh_statistics(connection)
    return added


def _roles(person: DemoPerson) -> list[str]:
    return sorted({"learner", person.role})
