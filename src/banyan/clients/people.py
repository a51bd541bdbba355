"""The keys of people's data, as a service's consumers have them from `iam`: over the private listener, remembered for a
while, and forgotten at once where a person is erased."""

import base64
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from banyan.contracts import messaging as wire
from banyan.contracts.iam import PersonPage
from banyan.infra.http_client import HttpClient, ServiceAway, ServiceRefused
from banyan.infra.service_tokens import ServiceToken
from banyan.infra.settings import Settings

log = structlog.get_logger()

REMEMBERED = 10_000  # people; a key is 32 bytes
_TIMEOUT_SECONDS = 2.0
_PAGE_SECONDS = 10.0
_PAUSE_SECONDS = 0.25  # events that wait for keys must not ask a service that is away one by one


@dataclass(frozen=True, slots=True)
class _Known:
    key: bytes | None
    since: float


class People:
    """`service` is the context that asks."""

    def __init__(self, settings: Settings, *, service: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._http = HttpClient(settings.run / "internal.sock", "iam", timeout=_TIMEOUT_SECONDS, limit=4)
        self._slowly = HttpClient(settings.run / "internal.sock", "iam", timeout=_PAGE_SECONDS, limit=1)
        self._token = ServiceToken(settings, service=service, audience="iam")
        self._age = settings.person_keys
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._away_until = float("-inf")

    async def keys(self, persons: Sequence[str]) -> Mapping[str, bytes | None]:
        """Each person's key; None for one who was erased. Raises ServiceAway."""
        oldest = self._clock() - self._age
        found: dict[str, bytes | None] = {}
        missing = []
        for person in dict.fromkeys(persons):
            known = self._known.get(person)
            if known is None or known.since < oldest:
                missing.append(person)
            else:
                found[person] = known.key
        for start in range(0, len(missing), wire.MOST_PERSONS):
            found |= await self._ask(missing[start : start + wire.MOST_PERSONS])
        return found

    def forget(self, person: str) -> None:
        self._remember(person, None, self._clock())

    async def page(self, after: str) -> PersonPage:
        """Everybody as iam knows them, some at a time; empty to begin. Raises ServiceAway, ServiceRefused."""
        asked = {"after": after} if after else {}
        return await self._slowly.call(
            "GET", "/internal/people", PersonPage, params=asked, headers=self._token.headers()
        )

    async def close(self) -> None:
        await self._http.close()
        await self._slowly.close()

    async def _ask(self, persons: list[str]) -> dict[str, bytes | None]:
        asked_at = self._clock()
        if asked_at < self._away_until:
            raise ServiceAway
        wanted = wire.PersonsAsked(persons=persons)
        try:
            answer = await self._http.call(
                "POST", "/internal/person-keys", wire.PersonKeys, body=wanted, headers=self._token.headers()
            )
        except ServiceRefused as refusal:
            # Whatever the reason, an event is not at fault: iam may be of an older version, or a clock may be wrong.
            log.error("iam gives no keys of people's data", status=refusal.status, reason=refusal.detail)
            self._away_until = self._clock() + _PAUSE_SECONDS
            raise ServiceAway from refusal
        except ServiceAway:
            self._away_until = self._clock() + _PAUSE_SECONDS
            raise
        given = {one.person: _key(one.key) for one in answer.items}
        if given.keys() != set(persons):
            raise ServiceAway
        for person in persons:
            known = self._known.get(person)
            if known is not None and known.key is None and known.since >= asked_at:
                given[person] = None  # erased while the answer was on its way
            else:
                self._remember(person, given[person], asked_at)
        return given

    def _remember(self, person: str, key: bytes | None, since: float) -> None:
        self._known[person] = _Known(key, since)
        self._known.move_to_end(person)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _key(text: str | None) -> bytes | None:
    return None if text is None else base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
