"""The guide to consumers does what it says: its code is run."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from banyan.contracts.events import StudentEnrolled
from banyan.infra.postgres import Database
from banyan.messaging import PgmqBroker, consuming, outbox, relay
from banyan.messaging.consumers import at_once
from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tests.messaging.waiting import until

GUIDE = Path(__file__).parents[2] / "docs/guides/add-a-consumer.md"


def code() -> dict[str, Any]:
    found = re.search(r"<!-- executed .*?-->\n\s*```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(re.sub(r"^   ", "", found[1], flags=re.MULTILINE), names)
    return names


async def test_the_consumer_of_the_guide_hears_what_is_told(
    iam: Database, iam_url: str, bus: PgmqBroker, learning: Database
) -> None:
    async with learning.connection() as connection:
        await connection.execute("CREATE TABLE course (id text PRIMARY KEY, learners integer)")
        await connection.execute("INSERT INTO course VALUES ('c', 0)")
    await bus.declare(SUBSCRIPTIONS)
    consumer = code()["from_learning"](learning)
    async with (
        relay.relaying({"learning": iam_url}, bus, after=at_once),
        consuming(bus, [consumer]),
    ):
        async with iam.transaction() as tx:
            at = datetime.now(UTC)
            enrolled = StudentEnrolled(
                enrolment_id=str(uuid4()), course_id="c", slug="s", account_id="a", learners=7, at=at
            )
            await outbox.add(tx, enrolled)

        async def counted() -> bool:
            return bool(await learning.fetchval("SELECT learners FROM course") == 7)

        await until(counted)
