"""Which consumer hears of which events. A line here makes its queue and gives its context's role the right to it.

A queue is bound to every version of its events, so that one which is too new for its consumer waits for it.
"""

from dataclasses import dataclass

from banyan.contracts import events
from banyan.contracts.events import Event
from banyan.messaging import envelope


@dataclass(frozen=True, slots=True)
class Subscription:
    """`consumer` is named `<context>-from-<source>`; `role` is the database role of the context that reads."""

    consumer: str
    role: str
    events: tuple[type[Event], ...]

    @property
    def queue(self) -> str:
        return self.consumer.replace("-", "_")

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(sorted({f"{envelope.name_of(event.TYPE)}.*" for event in self.events}))


SUBSCRIPTIONS = (
    Subscription(
        "learning-from-iam", "learning", (events.AccountRegistered, events.ProfileChanged, events.AccountErased)
    ),
    Subscription("live-from-learning", "live", (events.StudentEnrolled,)),
)


def subscription_of(consumer: str) -> Subscription:
    """Raises LookupError naming the file where the line is missing."""
    for subscription in SUBSCRIPTIONS:
        if subscription.consumer == consumer:
            return subscription
    raise LookupError(f"There is no subscription for '{consumer}': add a line to banyan/messaging/subscriptions.py.")
