"""Addresses that play a lesson: for one person, one lesson and some hours."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from banyan.kit.errors import Forbidden, NotFound
from banyan.learning.domain.courses import LessonId, PersonId

PREFIX = "/_banyan/media"
TYPES = {"webm": "video/webm", "mp4": "video/mp4"}


class AddressNotValid(Forbidden):
    """This address has ended, or it is not yours. Open the lesson again for a new one."""


class MediaUnknown(NotFound):
    """That file is not here."""


@dataclass(frozen=True, slots=True)
class Signer:
    """`secret` is known to this service only. Anybody's addresses, as of a preview, have no person."""

    secret: str
    lifetime: timedelta

    def url(self, lesson_id: LessonId, file: str, person_id: PersonId | None, *, now: datetime) -> tuple[str, datetime]:
        """The address and the end of its life."""
        expires = int((now + self.lifetime).timestamp())
        signature = self._signature(str(lesson_id), file, person_id, expires)
        query = urlencode({"expires": expires, "signature": signature})
        return f"{PREFIX}/{lesson_id}/{file}?{query}", datetime.fromtimestamp(expires, UTC)

    def check(
        self, lesson_id: str, file: str, *, expires: int, signature: str, person_id: PersonId | None, now: datetime
    ) -> None:
        """Raises AddressNotValid unless it was made here for this person or anybody, and lives."""
        given = signature.encode()
        ours = (self._signature(lesson_id, file, whose, expires).encode() for whose in (person_id, None))
        if now.timestamp() >= expires or not any(hmac.compare_digest(given, one) for one in ours):
            raise AddressNotValid

    def _signature(self, lesson_id: str, file: str, person_id: PersonId | None, expires: int) -> str:
        # No part can have a line's end in it: the path is one segment each, the rest is made here.
        text = f"{lesson_id}\n{file}\n{person_id or ''}\n{expires}"
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
