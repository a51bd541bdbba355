"""The kinds of refusal; the HTTP edge maps each kind to a status once.

A refusal is a class per rule, named after the rule (`CourseFull`), derived from one of these. Its message is its
docstring unless it carries values.
"""

import re


class Refusal(Exception):
    """The request was understood and refused."""

    status = 422
    retry_after: int | None = None  # seconds, where trying again later makes sense

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or " ".join((type(self).__doc__ or "").split())
        super().__init__(self.detail)

    @property
    def slug(self) -> str:
        """The stable name of the rule, kebab-case, used as the `type` of the problem document."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(self).__name__).lower()


class Refused(Refusal):
    """The request breaks a rule."""

    status = 422


class NotFound(Refusal):
    """There is nothing by that name."""

    status = 404


class Conflict(Refusal):
    """The request does not fit the present state."""

    status = 409


class Forbidden(Refusal):
    """You may not do this."""

    status = 403


class Unavailable(Refusal):
    """Something this needs is away just now; try again in a moment."""

    status = 503
