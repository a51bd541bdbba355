"""What learning hears from others."""

from banyan.contracts.events import AccountErased, AccountRegistered, ProfileChanged
from banyan.infra.postgres import Database
from banyan.learning.operations import persons
from banyan.messaging.consumers import Consumer, on
from banyan.messaging.privacy import PersonKeys


def from_iam(database: Database, people: PersonKeys) -> Consumer:
    """Keeps the copies of people."""
    return Consumer(
        name="learning-from-iam",
        source="iam",
        handlers=[
            on(AccountRegistered, persons.note),
            on(ProfileChanged, persons.note),
            on(AccountErased, persons.erase),
        ],
        database=database,
        people=people,
    )
