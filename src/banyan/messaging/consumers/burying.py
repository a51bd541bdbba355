"""What a consumer cannot handle, into its dead letters."""

import structlog

from banyan.contracts.messaging import DeadState
from banyan.messaging.broker import Delivery
from banyan.messaging.consumers import reading
from banyan.messaging.consumers.consumer import Consumer
from banyan.messaging.consumers.failures import Failures
from banyan.messaging.consumers.reading import Unreadable
from banyan.messaging.consumers.standing import Standing
from banyan.messaging.letters import writing
from banyan.messaging.letters.writing import Letter

log = structlog.get_logger()


class Burial:
    def __init__(self, consumer: Consumer, standing: Standing, failures: Failures) -> None:
        self._consumer = consumer
        self._standing = standing
        self._failures = failures
        self._kinds = {handler.kind.TYPE: handler for handler in consumer.handlers}

    async def write(self, letter: Letter) -> bool:
        """Answers False where it had been handled after all. Raises Unavailable."""
        async with self._consumer.database.transaction() as tx:
            buried = await writing.bury(tx, self._consumer.name, letter)
        self._failures.forget(letter.event_id)
        if not buried:
            return False
        self._standing.count_now()
        log.error(
            "event goes to the dead letters",
            consumer=self._consumer.name,
            event_id=str(letter.event_id),
            key=letter.key,
            state=letter.state,
            reason=letter.error,
        )
        return True

    async def given_up(self, delivery: Delivery) -> bool:
        """What the broker itself no longer lends; as `write`."""
        try:
            told = reading.read(delivery, self._kinds, horizon=self._consumer.pace.horizon)
            said = f"The broker gave it up after it had lent it {delivery.attempts} times."
            letter = told.letter(DeadState.FAILED, delivery.attempts, said)
        except Unreadable as fault:
            letter = fault.letter
        return await self.write(letter)
