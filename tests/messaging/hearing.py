"""A consumer as a process of its own, so that a test can kill it: `python -m tests.messaging.hearing BUS DATABASE`."""

import asyncio
import sys

from banyan.contracts.events import AccountErased, AccountRegistered, ProfileChanged
from banyan.infra.postgres import Connection, Database
from banyan.messaging import Consumer, PgmqBroker, consuming, on
from banyan.messaging.consumers import Pace
from tests.messaging.persons import Persons


async def note(tx: Connection, event: AccountRegistered) -> None:
    await tx.execute("INSERT INTO seen (key, name) VALUES ($1, $2)", event.account_id, event.pii.name)


async def nothing(_: Connection, __: object) -> None:
    return None


async def hear(bus_url: str, database_url: str) -> None:
    handlers = [on(AccountRegistered, note), on(ProfileChanged, nothing), on(AccountErased, nothing)]
    consumer = Consumer(
        name="learning-from-iam",
        source="iam",
        handlers=handlers,
        database=Database(database_url, size=4),
        pace=Pace(hold=1.0, first_retry=0.05, longest_retry=0.5),
        people=Persons(),
    )
    async with consuming(PgmqBroker(bus_url), [consumer]):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(hear(sys.argv[1], sys.argv[2]))
