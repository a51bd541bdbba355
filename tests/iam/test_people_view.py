"""Everybody, as services copy them: page by page, for services only."""

from banyan.clients.people import People
from banyan.infra.service_tokens import ServiceToken

from .people import House
from .telling import EMAIL, NAME, erase, registered
from .test_person_keys import listening


async def test_services_are_shown_everybody_and_of_the_erased_nothing_but_that_they_are(house: House) -> None:
    account_id = await registered(house)
    people = People(house.settings, service="learning")
    async with listening(house):
        before = await people.page("")
        await erase(house)
        after = await people.page("")
    await people.close()

    assert [(one.id, one.name, one.email, one.erased) for one in before.items] == [(account_id, NAME, EMAIL, False)]
    assert [(one.id, one.name, one.email, one.erased) for one in after.items] == [(account_id, "", "", True)]
    assert after.items[0].told_at > before.items[0].told_at
    assert (before.next, before.total) == (None, 1)


async def test_nobody_else_is(house: House) -> None:
    await registered(house)
    visitor = house.browser(origin=None)
    await visitor.sign_in(EMAIL)
    right = ServiceToken(house.settings, service="learning", audience="iam").headers()

    assert (await visitor.ask("GET", "/internal/people")).status_code == 401
    assert (await visitor.ask("GET", "/internal/people", **right)).headers["cache-control"] == "no-store"
    assert (await visitor.ask("GET", "/internal/people?after=everybody", **right)).status_code == 422
    assert (await visitor.ask("GET", "/internal/people?limit=100000", **right)).status_code == 422
