"""Many events to one topic or queue in little time: full batches, several at once, and of one key never two."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from banyan.messaging import envelope, limits
from banyan.messaging.envelope import Envelope
from banyan.messaging.sqs import names
from banyan.messaging.sqs.client import AwsAway, AwsRefuses, passes

MOST_ENTRIES = 10
MOST_BYTES = limits.LARGEST  # AWS counts the whole batch, with its attributes
_ATTRIBUTES_BYTES = 200
LANES = 8
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5

Answer = dict[str, Any]
Send = Callable[[Sequence["Entry"]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    type: str
    key: str
    body: str
    size: int


def entry(told: Envelope) -> Entry:
    body = envelope.encode(told)
    return Entry(told.id, told.type, told.subject, _sayable(body.decode()), limits.size_of(body) + _ATTRIBUTES_BYTES)


def attributes(entry: Entry) -> Answer:
    """What the filters of subscriptions look at."""
    return {"type": {"DataType": "String", "StringValue": entry.type}}


def grouping(entry: Entry, mark: str) -> dict[str, str]:
    """For FIFO. `mark` is of one attempt to publish, with all its repetitions: what is told again later on purpose, as
    by a replay, is not taken for a duplicate of the first time, as AWS would for five minutes."""
    return {"MessageGroupId": names.group(entry.key), "MessageDeduplicationId": f"{entry.id}.{mark}"}


@dataclass(slots=True)
class Attempt:
    """What one batch of the relay has come to. It is taken up again where it stopped, when the relay brings the same
    batch again, so that a key with many events gets on however little time there is."""

    mark: str
    last: float
    accepted: set[str] = field(default_factory=set)


async def send_all(entries: Sequence[Entry], send: Send, attempt: Attempt, *, ordered: bool, seconds: float) -> None:
    """When it returns, all are there. Raises AwsAway when the time is up, AwsRefuses, and whatever `send` raises but
    AwsAway, which is tried again."""
    left = [entry for entry in entries if entry.id not in attempt.accepted]
    sending = _Sending(left, send, attempt, ordered=ordered)
    try:
        async with asyncio.timeout(seconds):
            await sending.run()
    except TimeoutError as fault:
        why = sending.trouble or f"no more than that in {seconds:g} s"
        done = len(entries) - sum(entry.id not in attempt.accepted for entry in entries)
        raise AwsAway(f"{done} of {len(entries)} events are published; {why}") from fault


class _Sending:
    """A line is the events of one key, in their order. Only its head is ever in flight: were two, and the first failed
    alone, the second would overtake it. Without order each event has a line of its own."""

    def __init__(self, entries: Sequence[Entry], send: Send, attempt: Attempt, *, ordered: bool) -> None:
        lines: dict[str, deque[Entry]] = {}
        for one in entries:
            lines.setdefault(names.group(one.key) if ordered else one.id, deque()).append(one)
        self._ready = deque(lines.values())
        self._send = send
        self._attempt = attempt
        self._failures = 0
        self._refused: list[str] = []
        self.trouble = ""

    async def run(self) -> None:
        flying: set[asyncio.Task[None]] = set()
        try:
            while self._ready or flying:
                while self._ready and len(flying) < LANES:
                    flying.add(asyncio.create_task(self._fly(list(self._take()))))
                done, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)
        if self._refused:
            raise AwsRefuses("; ".join(self._refused[:3]))

    def _take(self) -> Iterator[deque[Entry]]:
        size = 0
        for _ in range(min(MOST_ENTRIES, len(self._ready))):
            line = self._ready[0]
            if size and size + line[0].size > MOST_BYTES:
                return
            size += line[0].size
            yield self._ready.popleft()

    async def _fly(self, lines: Sequence[deque[Entry]]) -> None:
        try:
            answer = await self._send([line[0] for line in lines])
        except AwsAway as fault:
            self.trouble = str(fault)
            await self._pause()
            self._ready.extendleft(reversed(lines))
            return
        taken = {said["Id"] for said in answer.get("Successful", [])}
        failed = {said["Id"]: said for said in answer.get("Failed", [])}
        again = []
        for place, line in enumerate(lines):
            if str(place) in taken:
                self._attempt.accepted.add(line.popleft().id)
                if line:
                    self._ready.append(line)
            elif self._is_refused(line[0], failed.get(str(place), {})):
                continue
            else:
                again.append(line)
        if again:
            await self._pause()
            self._ready.extendleft(reversed(again))
        elif not self._refused:
            self._failures = 0

    def _is_refused(self, entry: Entry, said: Answer) -> bool:
        """An entry of which nothing is said was perhaps not taken; to send it again does no harm."""
        code, message = str(said.get("Code", "")), said.get("Message", "")
        if said.get("SenderFault") and not passes(code):
            self._refused.append(f"AWS refuses {entry.type} {entry.id} of {entry.key}: {code} {message}")
            return True
        self.trouble = f"{code} {message}".strip() or "an answer was not complete"
        return False

    async def _pause(self) -> None:
        self._failures += 1
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 8))
        await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311 # jitter


def _sayable(body: str) -> str:
    """AWS takes only the characters of XML. JSON has escaped the others but these two, and they stand in texts only."""
    return body.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
