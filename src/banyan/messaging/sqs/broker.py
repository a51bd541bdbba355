"""SNS and SQS as a broker. Order is kept where the queues are FIFO."""

import asyncio
import contextlib
import math
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import structlog

from banyan.contracts.monitor import Depth
from banyan.kit.errors import Refused
from banyan.messaging.broker import Delivery, Feature, Receipt
from banyan.messaging.envelope import Envelope
from banyan.messaging.sqs import provisioning, publishing
from banyan.messaging.sqs.client import Aws, AwsAway, NotThere
from banyan.messaging.sqs.names import Names
from banyan.messaging.sqs.publishing import Answer, Attempt, Entry
from banyan.messaging.subscriptions import SUBSCRIPTIONS, Subscription

log = structlog.get_logger()

_BATCH = 10  # of messages, in every call
_PUBLISH_SECONDS = 2.5  # less than the relay gives itself for a step
_TELL_SECONDS = 1.5  # so that there is time for another try
_CALL_SECONDS = 3.0  # whoever reads loses nothing by waiting a little; a receive that is given up lends to nobody
_LONGEST_WAIT = 20  # seconds; of AWS
_LONGEST_LOAN = 12 * 3600  # of AWS, too
_TRIES = 3
_FORGET_SECONDS = 60.0  # an attempt that nobody has taken up again for so long is none any more
_DEAD = "dead "


class _Subject(msgspec.Struct):
    subject: str


_SUBJECT = msgspec.json.Decoder(_Subject)


class SqsBroker:
    largest_batch = 200

    def __init__(self, names: Names, *, connections: int = 16) -> None:
        ordered = {Feature.ORDER_BY_KEY} if names.fifo else set()
        self.features = frozenset({Feature.DURABLE, Feature.GIVES_UP, *ordered})
        self._names = names
        self._aws = Aws(connections=connections)
        self._urls: dict[str, str] = {}
        self._attempts: dict[str, Attempt] = {}
        self._topics = _topics(SUBSCRIPTIONS)

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        self._topics = _topics(subscriptions)
        for step in await provisioning.make(self._aws, self._names, subscriptions):
            log.info("provisioned", step=step.line)

    async def publish(self, envelopes: Sequence[Envelope], *, queue: str | None = None) -> None:
        """Raises AwsAway, NotThere, AwsForbids, AwsRefuses."""
        if queue is not None:
            # Nothing filters on this way but we, and what a consumer did not subscribe to it could not handle.
            topics = self._topics.get(queue, ("*",))
            bound = [told for told in envelopes if any(fnmatchcase(told.type, topic) for topic in topics)]
            await self._publish(f"queue {queue}", bound, queue=queue)
            return
        by_source: dict[str, list[Envelope]] = {}
        for told in envelopes:
            by_source.setdefault(told.source, []).append(told)
        for source, some in by_source.items():
            await self._publish(f"topic {source}", some, source=source)

    async def read(self, queue: str, *, seats: int, hold: float, wait: float = 0.0) -> list[Delivery]:
        return await self._read(self._names.queue(queue), "", seats=seats, hold=hold, wait=wait)

    async def given_up(self, queue: str, *, seats: int, hold: float) -> list[Delivery]:
        return await self._read(self._names.dead(queue), _DEAD, seats=seats, hold=hold, wait=0)

    async def extend(self, queue: str, receipts: Sequence[Receipt], *, hold: float) -> None:
        await self._each(queue, receipts, "change_message_visibility_batch", VisibilityTimeout=_loan(hold))

    async def release(self, queue: str, receipts: Sequence[Receipt], *, after: float) -> None:
        await self._each(queue, receipts, "change_message_visibility_batch", VisibilityTimeout=_loan(after))

    async def delete(self, queue: str, receipts: Sequence[Receipt]) -> None:
        await self._each(queue, receipts, "delete_message_batch")

    async def bury(self, queue: str, receipts: Sequence[Receipt], *, reason: str) -> None:
        await self.delete(queue, receipts)

    async def depth(self, queue: str) -> Depth:
        counts = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
        what = {"QueueUrl": await self._url(self._names.queue(queue)), "AttributeNames": counts}
        answer = await self._aws.call("sqs", "get_queue_attributes", seconds=_CALL_SECONDS, **what)
        return Depth(sum(int(answer.get("Attributes", {}).get(name, 0)) for name in counts))

    @asynccontextmanager
    async def listening(self, queue: str) -> AsyncIterator[asyncio.Event]:
        """Never set: reading itself waits."""
        with contextlib.suppress(Refused):  # which reading says, too
            await self._aws.warm()
        yield asyncio.Event()

    async def close(self) -> None:
        await self._aws.close()

    async def _publish(self, where: str, told: Sequence[Envelope], *, source: str = "", queue: str = "") -> None:
        now = time.monotonic()
        attempt = self._attempts.get(where)
        if attempt is None or attempt.last + _FORGET_SECONDS < now:
            attempt = self._attempts[where] = Attempt(secrets.token_hex(6), now)
        attempt.last = now
        entries = [publishing.entry(one) for one in told]

        async def send(some: Sequence[Entry]) -> Answer:
            return await (self._tell(source, some, attempt) if source else self._send(queue, some, attempt))

        ordered = self._names.fifo
        await publishing.send_all(entries, send, attempt, ordered=ordered, seconds=_PUBLISH_SECONDS)
        del self._attempts[where]

    async def _tell(self, source: str, entries: Sequence[Entry], attempt: Attempt) -> Answer:
        account = await self._aws.account()
        topic = account.arn("sns", self._names.topic(source))
        asked = [{**self._entry(n, one, attempt), "Message": one.body} for n, one in enumerate(entries)]
        what = {"TopicArn": topic, "PublishBatchRequestEntries": asked}
        try:
            answer: Answer = await self._aws.call("sns", "publish_batch", seconds=_TELL_SECONDS, **what)
        except NotThere as fault:
            raise NotThere(f"Topic {topic} is not there (yet): banyan event provision makes it.") from fault
        return answer

    async def _send(self, queue: str, entries: Sequence[Entry], attempt: Attempt) -> Answer:
        asked = [{**self._entry(n, one, attempt), "MessageBody": one.body} for n, one in enumerate(entries)]
        what = {"QueueUrl": await self._url(self._names.queue(queue)), "Entries": asked}
        answer: Answer = await self._aws.call("sqs", "send_message_batch", seconds=_TELL_SECONDS, **what)
        return answer

    def _entry(self, number: int, entry: Entry, attempt: Attempt) -> dict[str, Any]:
        grouping = publishing.grouping(entry, attempt.mark) if self._names.fifo else {}
        return {"Id": str(number), "MessageAttributes": publishing.attributes(entry), **grouping}

    async def _read(self, name: str, mark: str, *, seats: int, hold: float, wait: float) -> list[Delivery]:
        url = await self._url(name)
        lent = await self._receive(url, mark, min(seats, _BATCH), hold, wait)
        left = seats - len(lent)
        if len(lent) < _BATCH or left <= 0:
            return lent
        # There is more. What goes wrong from here on comes again when its loan ends.
        sizes = [min(_BATCH, left - start) for start in range(0, left, _BATCH)]
        more = await asyncio.gather(
            *(self._receive(url, mark, size, hold, 0) for size in sizes), return_exceptions=True
        )
        for some in more:
            lent += some if isinstance(some, list) else []
        return lent

    async def _receive(self, url: str, mark: str, seats: int, hold: float, wait: float) -> list[Delivery]:
        waited = min(math.ceil(wait), _LONGEST_WAIT)
        answer = await self._aws.call(
            "sqs",
            "receive_message",
            seconds=waited + _CALL_SECONDS,
            QueueUrl=url,
            MaxNumberOfMessages=seats,
            VisibilityTimeout=_loan(hold),
            WaitTimeSeconds=waited,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "MessageGroupId"],
        )
        return [_delivery(message, mark) for message in answer.get("Messages", [])]

    async def _each(self, queue: str, receipts: Sequence[Receipt], operation: str, **what: Any) -> None:
        by_name: dict[str, list[str]] = {}
        for receipt in map(str, receipts):
            dead = receipt.startswith(_DEAD)
            name = self._names.dead(queue) if dead else self._names.queue(queue)
            by_name.setdefault(name, []).append(receipt.removeprefix(_DEAD) if dead else receipt)
        parts = [
            (name, some[start : start + _BATCH])
            for name, some in by_name.items()
            for start in range(0, len(some), _BATCH)
        ]
        outcomes = await asyncio.gather(
            *(self._batch(name, part, operation, what) for name, part in parts), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _batch(self, name: str, receipts: list[str], operation: str, what: dict[str, Any]) -> None:
        url = await self._url(name)
        for attempt in range(_TRIES):
            asked = [{"Id": str(n), "ReceiptHandle": receipt, **what} for n, receipt in enumerate(receipts)]
            try:
                answer = await self._aws.call("sqs", operation, seconds=_CALL_SECONDS, QueueUrl=url, Entries=asked)
            except AwsAway:
                if attempt == _TRIES - 1:
                    raise
            else:
                done = {said["Id"] for said in answer.get("Successful", [])}
                # A loan that has ended is no fault: the event is lent again, or was, and inboxes know it.
                done |= {said["Id"] for said in answer.get("Failed", []) if said.get("SenderFault")}
                receipts = [receipt for n, receipt in enumerate(receipts) if str(n) not in done]
                if not receipts:
                    return
            await asyncio.sleep(0.05 * 2**attempt * random.uniform(0.5, 1))  # noqa: S311 # jitter
        raise AwsAway(f"{len(receipts)} events of {name} could not be given back")

    async def _url(self, name: str) -> str:
        if name not in self._urls:
            try:
                answer = await self._aws.call("sqs", "get_queue_url", seconds=_CALL_SECONDS, QueueName=name)
            except NotThere as fault:
                raise NotThere(f"Queue {name} is not there (yet): banyan event provision makes it.") from fault
            self._urls[name] = answer["QueueUrl"]
        return self._urls[name]


def _topics(subscriptions: Sequence[Subscription]) -> dict[str, tuple[str, ...]]:
    return {subscription.queue: subscription.topics for subscription in subscriptions}


def _loan(seconds: float) -> int:
    return min(math.ceil(seconds), _LONGEST_LOAN)


def _delivery(message: dict[str, Any], mark: str) -> Delivery:
    body = message["Body"].encode()
    system = message.get("Attributes", {})
    try:
        key = _SUBJECT.decode(body).subject
    except msgspec.DecodeError:  # no event; the consumer says so
        key = system.get("MessageGroupId", "")
    return Delivery(mark + message["ReceiptHandle"], key, int(system.get("ApproximateReceiveCount", 1)), body)
