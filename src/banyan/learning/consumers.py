"""What learning hears from others."""

from collections.abc import Awaitable, Callable

from banyan.contracts.events import AccountErased, AccountRegistered, ProfileChanged
from banyan.contracts.iam import PersonPage
from banyan.infra.postgres import Database
from banyan.learning.operations import persons
from banyan.messaging.consumers import Consumer, on
from banyan.messaging.privacy import PersonKeys
from banyan.messaging.rebuilding import FromView, Page

View = Callable[[str], Awaitable[PersonPage]]


def from_iam(database: Database, people: PersonKeys, *, view: View | None = None) -> Consumer:
    """Keeps the copies of people; they are copied anew from `view`."""
    return Consumer(
        name="learning-from-iam",
        source="iam",
        handlers=[
            on(AccountRegistered, persons.note),
            on(ProfileChanged, persons.note),
            on(AccountErased, persons.erase),
        ],
        database=database,
        people=people,
        rebuild=_from_view(view) if view is not None else None,
    )


def _from_view(view: View) -> FromView:
    async def pages(after: str) -> Page:
        page = await view(after)
        return Page(page.items, page.next, page.total)

    return FromView(tables=("person",), swap=persons.take_over, pages=pages, fill=persons.copy)
