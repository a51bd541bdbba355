"""Personal data in events: sealed with a key per person before they are written, opened where they are handled.

Sealed once, they are so in the store, on every bus, in dead letters and in the archive; destroying the key erases them
in all of these. `pii` is then `{"person": ..., "sealed": ...}`; events from before this came in plain text and are
still understood.
"""

import base64
import binascii
import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from banyan.contracts.events import AccountErased, Event, PersonalData
from banyan.contracts.messaging import MASK
from banyan.messaging.envelope import Envelope

KEY_BYTES = 32
_NONCE_BYTES = 12
_FIELDS = tuple(field.name for field in dataclasses.fields(PersonalData))
_BLANK = dict.fromkeys(_FIELDS, "")


class NotSealed(TypeError):
    """Personal data were about to be written as they are. Give `outbox.add` the person's Seal."""


class NotOpened(ValueError):
    """Personal data that no key of this person opens: changed, or another event's. Says nothing of what is in them."""


class PersonKeys(Protocol):
    """Where a consumer has the keys of people's data from."""

    async def keys(self, persons: Sequence[str]) -> Mapping[str, bytes | None]:
        """Each person's key; None for one who was erased. Raises Unavailable while nobody can say."""
        ...

    def forget(self, person: str) -> None:
        """Their key is destroyed: any copy of it goes, and none is believed again."""
        ...


@dataclass(frozen=True, slots=True)
class Seal:
    """What is written of this person is only to be read by whoever has this key."""

    person: str
    key: bytes

    def close(self, data: Mapping[str, str], *, event_id: UUID | str, kind: str) -> dict[str, str]:
        """Bound to that event: in another one it does not open."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + AESGCM(self.key).encrypt(nonce, msgspec.json.encode(data), _bound_to(event_id, kind))
        return {"person": self.person, "sealed": base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()}


def sealed(event: Event, event_id: UUID, seal: Seal | None) -> dict[str, str] | None:
    """What stands in the place of the event's personal data; None if it has none. Raises NotSealed."""
    data = getattr(event, "pii", None)
    if data is None:
        return None
    if seal is None:
        raise NotSealed(f"{event.TYPE} carries personal data, which are never written as they are: pass its Seal.")
    return seal.close({name: getattr(data, name) for name in _FIELDS}, event_id=event_id, kind=event.TYPE)


def is_sealed(pii: object) -> bool:
    return isinstance(pii, dict) and "sealed" in pii


def open_sealed(pii: Mapping[str, Any], key: bytes, *, event_id: UUID | str, kind: str) -> dict[str, str]:
    """Raises NotOpened."""
    try:
        text = str(pii["sealed"])
        whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        plain = AESGCM(key).decrypt(whole[:_NONCE_BYTES], whole[_NONCE_BYTES:], _bound_to(event_id, kind))
        return msgspec.json.decode(plain, type=dict[str, str])
    except (InvalidTag, ValueError, binascii.Error, msgspec.DecodeError):
        raise NotOpened(f"The personal data of event {event_id} ({kind}) do not open.") from None


async def opened(told: Sequence[Envelope], people: PersonKeys | None) -> list[Envelope]:
    """The same events with their personal data in plain text, blank for people who were erased.

    Asks for all keys at once, and before any transaction is begun. Raises Unavailable, and NotOpened.
    """
    if people is not None:
        for one in told:
            if one.type == AccountErased.TYPE:
                people.forget(str(one.data.get("account_id", one.subject)))
    wanted = sorted({_person(one) for one in told if is_sealed(one.data.get("pii"))})
    if not wanted:
        return list(told)
    if people is None:
        raise NotOpened("These events carry sealed personal data, and their consumer was given no `people` to ask.")
    keys = await people.keys(wanted)
    return [_opened(one, keys) for one in told]


def masked(data: Mapping[str, Any]) -> dict[str, Any]:
    """An event's fields as they may be shown to anybody who may look at events."""
    shown = dict(data)
    if "pii" in shown:
        shown["pii"] = dict.fromkeys(_FIELDS, MASK)
    return shown


def erased() -> dict[str, None]:
    """What is shown in the place of an erased person's data."""
    return dict.fromkeys(_FIELDS)


def _opened(told: Envelope, keys: Mapping[str, bytes | None]) -> Envelope:
    pii = told.data.get("pii")
    if not is_sealed(pii):
        return told
    key = keys[_person(told)]
    plain = _BLANK if key is None else open_sealed(told.data["pii"], key, event_id=told.id, kind=told.type)
    return msgspec.structs.replace(told, data={**told.data, "pii": plain})


def _person(told: Envelope) -> str:
    person = told.data["pii"].get("person")
    if not isinstance(person, str):
        raise NotOpened(f"The personal data of event {told.id} ({told.type}) do not say whose they are.")
    return person


def _bound_to(event_id: UUID | str, kind: str) -> bytes:
    return f"{event_id} {kind}".encode()
