"""A consumer as a process of its own whose handler may stand still: `python -m tests.messaging.redriving DATABASE_URL
STANDS_AT`; says `standing` when it does. Its queue is empty: it only redrives."""

import asyncio
import sys

from banyan.contracts.events import StudentEnrolled
from banyan.infra.postgres import Connection, Database
from banyan.messaging import consuming
from tests.messaging import failing


async def main(url: str, stands_at: int) -> None:
    async def stand(_: Connection, event: StudentEnrolled) -> None:
        if event.learners == stands_at:
            print("standing", flush=True)
            await asyncio.sleep(60)

    consumer = failing.consumer(Database(url, size=5), stand, handling=60.0, together=1)
    async with consuming(await failing.broker(), [consumer]):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
