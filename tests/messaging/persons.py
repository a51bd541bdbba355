"""Keys of people's data without iam: everybody's follows from who they are, in every process of a test."""

import hashlib
from collections.abc import Mapping, Sequence

from banyan.contracts.events import Event
from banyan.kit.errors import Unavailable
from banyan.messaging.privacy import Seal


def seal_of(event: Event) -> Seal:
    return Seal(event.key(), _key(event.key()))


class Persons:
    """Who is `erased` has no key any more; nobody has one while this is `away`."""

    def __init__(self) -> None:
        self.erased: set[str] = set()
        self.asked: list[list[str]] = []
        self.forgotten: list[str] = []
        self.away = False

    async def keys(self, persons: Sequence[str]) -> Mapping[str, bytes | None]:
        self.asked.append(list(persons))
        if self.away:
            raise Unavailable
        return {person: None if person in self.erased else _key(person) for person in persons}

    def forget(self, person: str) -> None:
        self.forgotten.append(person)


def _key(person: str) -> bytes:
    return hashlib.sha256(person.encode()).digest()
