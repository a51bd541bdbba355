"""What a context says of a consumer of its."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from banyan.contracts.events import Event
from banyan.infra.postgres import Connection, Database
from banyan.messaging import envelope, subscriptions
from banyan.messaging.pace import Pace
from banyan.messaging.privacy import PersonKeys
from banyan.messaging.rebuilding import Way

EventT = TypeVar("EventT", bound=Event)
Handle = Callable[[Connection, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Handler:
    kind: type[Any]
    handle: Handle


def on(kind: type[EventT], handle: Callable[[Connection, EventT], Awaitable[None]]) -> Handler:
    """What to do about one kind of event, in the consumer's own transaction. It changes that database and no more:
    when it raises, everything is undone and it is called again."""
    return Handler(kind, handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """`name` has a line in subscriptions.py; `source` is the context whose events these are. `people` has the keys of
    personal data, for those who hear of events that carry some; `rebuild` is how its state is built anew, if it is."""

    name: str
    source: str
    handlers: Sequence[Handler]
    database: Database
    pace: Pace = field(default_factory=Pace)
    people: PersonKeys | None = None
    rebuild: Way | None = None

    def __post_init__(self) -> None:
        subscribed = {kind.TYPE for kind in subscriptions.subscription_of(self.name).events}
        handled = {handler.kind.TYPE for handler in self.handlers}
        if subscribed != handled or any(envelope.source_of(kind) != self.source for kind in handled):
            raise ValueError(f"{self.name} handles {sorted(handled)} but subscriptions.py says {sorted(subscribed)}.")

    @property
    def queue(self) -> str:
        return subscriptions.subscription_of(self.name).queue
