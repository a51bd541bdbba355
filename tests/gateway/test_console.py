"""The operator's page: who may open it, who may press its buttons, and what it shows when things are wrong."""

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import httpx
import pytest

from banyan.clients.monitor import MonitorClient
from banyan.gateway.adapters.messaging import messaging_of
from banyan.gateway.adapters.monitoring import Monitoring
from banyan.gateway.domain.routes import Route
from banyan.gateway.domain.traffic import Totals, Traffic
from banyan.gateway.http.console import Console
from banyan.gateway.operations.routes import Routes
from banyan.infra.identity import Verifier
from banyan.infra.postgres import Database, DatabaseAway
from banyan.infra.settings import Settings
from banyan.processes import gateway
from tests.fakes.front_door import RecordingFrontDoor
from tests.gateway.conftest import children, passed_on, supervise
from tests.gateway.envoy.people import Iam, new_session

CONSOLE = "/_banyan/console"
OURS = {"origin": "http://127.0.0.1:8000"}


async def test_it_shows_processes_routes_and_changes(browser: httpx.AsyncClient, settings: Settings) -> None:
    supervise(settings, children(envoy="ready", web="ready"))

    answer = await browser.get(CONSOLE)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    for shown in ("envoy", "web", "/courses/{slug}", "Kill switch", "Nothing is wrong.", "given at first start"):
        assert shown in answer.text


WRITES = [(f"{CONSOLE}/routes/course/side", {"side": "old"}), (f"{CONSOLE}/kill-switch", {"switch": "on"})]


def as_somebody(iam: Iam, **claims: str) -> dict[str, str]:
    return {"cookie": f"banyan_session={iam.token(**claims)}"}


async def test_who_is_signed_out_is_sent_to_sign_in_and_back(
    browser: httpx.AsyncClient, front_door: RecordingFrontDoor
) -> None:
    browser.cookies.clear()

    page = await browser.get(CONSOLE)

    # This table has no row for /login, so the usual page may be the old site's.
    assert (page.status_code, page.headers["location"]) == (303, "/_banyan/login?next=/_banyan/console")
    assert (await browser.get(f"{CONSOLE}/now")).status_code == 401
    for path, form in WRITES:
        assert (await browser.post(path, data=form, headers=OURS)).status_code == 401
    assert front_door.sides()["course"] == "new"
    assert not front_door.switched


async def test_the_usual_sign_in_page_is_used_where_it_is_ours(browser: httpx.AsyncClient, routes: Routes) -> None:
    browser.cookies.clear()
    await routes.add(Route(name="login", path="/login", side="new", service="web"))

    assert (await browser.get(CONSOLE)).headers["location"] == "/login?next=/_banyan/console"
    await routes.switch(on=True)
    assert (await browser.get(CONSOLE)).headers["location"] == "/_banyan/login?next=/_banyan/console"


@pytest.mark.parametrize("roles", ["learner", "instructor", "admin", "", "operators", "root,learner"])
async def test_who_may_not_is_told_so(
    browser: httpx.AsyncClient, front_door: RecordingFrontDoor, iam: Iam, roles: str
) -> None:
    somebody = as_somebody(iam, roles=roles)
    browser.cookies.clear()

    page = await browser.get(CONSOLE, headers=somebody)

    assert page.status_code == 403
    assert "The console is for operators" in page.text
    assert (await browser.get(f"{CONSOLE}/now", headers=somebody)).status_code == 403
    for path, form in WRITES:
        assert (await browser.post(path, data=form, headers={**OURS, **somebody})).status_code == 403
    assert front_door.sides()["course"] == "new"
    assert not front_door.switched


async def test_a_token_alone_opens_nothing(browser: httpx.AsyncClient, iam: Iam) -> None:
    """Envoy names the session of a token that it believes and that is not over; any other is nobody's."""
    for session in ("", "another", new_session()):
        answer = await browser.get(CONSOLE, headers={"x-banyan-session": session})
        assert answer.status_code == 303
    del browser.headers["x-banyan-session"]
    assert (await browser.get(CONSOLE)).status_code == 303
    browser.cookies.clear()
    assert (await browser.get(CONSOLE, headers=as_somebody(iam, roles="operator"))).status_code == 303


async def test_outside_the_demo_it_opens_for_the_operator_as_well(
    routes: Routes, traffic: Traffic, gateway_database: Database, settings: Settings, iam: Iam
) -> None:
    serious = Settings.read({"BANYAN_DATA": str(settings.data), "BANYAN_LEGACY_URL": "http://127.0.0.1:1"})
    monitoring = Monitoring(MonitorClient(serious))
    verifier = Verifier(iam, serious)
    messaging = messaging_of(serious)
    console = Console(
        serious, routes, traffic, gateway_database, monitoring, messaging, verifier, is_over=lambda _: False
    )
    app = gateway.application(serious, routes, gateway_database, console)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://school.test") as client:
        told = {"x-forwarded-for": "203.0.113.9", **passed_on(iam), **as_somebody(iam, roles="operator")}
        assert (await client.get(CONSOLE, headers={"accept": "text/html", **told})).status_code == 200
        assert (await client.get(CONSOLE)).status_code == 303
    await messaging.close()
    await monitoring.close()


async def test_the_buttons_move_a_route_and_lead_back(
    browser: httpx.AsyncClient, front_door: RecordingFrontDoor
) -> None:
    answer = await browser.post(f"{CONSOLE}/routes/course/side", data={"side": "old"}, headers=OURS)

    assert (answer.status_code, answer.headers["location"]) == (303, f"{CONSOLE}#route-course")
    assert front_door.sides()["course"] == "old"
    assert "Move to new" in (await browser.get(CONSOLE)).text


async def test_the_red_button_sends_all_to_the_old_site_and_gives_it_back(
    browser: httpx.AsyncClient, front_door: RecordingFrontDoor
) -> None:
    assert (await browser.post(f"{CONSOLE}/kill-switch", data={"switch": "on"}, headers=OURS)).status_code == 303
    assert front_door.switched
    page = (await browser.get(CONSOLE)).text
    assert "Kill switch is ON" in page
    assert "Nothing is wrong." not in page

    assert (await browser.post(f"{CONSOLE}/kill-switch", data={"switch": "off"}, headers=OURS)).status_code == 303
    assert not front_door.switched


FOREIGN = [
    {},
    {"origin": "null"},
    {"origin": "http://evil.example"},
    {"origin": "http://127.0.0.1:9000"},
    {"origin": "http://127.0.0.1:8000.evil.example"},
    {"origin": "file://127.0.0.1:8000"},
    {"origin": ""},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"origin": "http://evil.example", "sec-fetch-site": "same-origin"},
]


async def test_another_sites_page_cannot_press_them(browser: httpx.AsyncClient, front_door: RecordingFrontDoor) -> None:
    for headers in FOREIGN:
        for path, form in (("routes/course/side", {"side": "old"}), ("kill-switch", {"switch": "on"})):
            answer = await browser.post(f"{CONSOLE}/{path}", data=form, headers=headers)
            assert answer.status_code == 403, headers
    assert front_door.sides()["course"] == "new"
    assert not front_door.switched


async def test_a_browser_without_origin_may_say_same_origin(
    browser: httpx.AsyncClient, front_door: RecordingFrontDoor
) -> None:
    headers = {"sec-fetch-site": "same-origin"}

    answer = await browser.post(f"{CONSOLE}/routes/course/side", data={"side": "old"}, headers=headers)

    assert answer.status_code == 303
    assert front_door.sides()["course"] == "old"


async def test_a_look_never_changes_anything(browser: httpx.AsyncClient, front_door: RecordingFrontDoor) -> None:
    for path in ("routes/course/side?side=old", "kill-switch?switch=on"):
        assert (await browser.get(f"{CONSOLE}/{path}", headers=OURS)).status_code == 405
    assert front_door.sides()["course"] == "new"


@pytest.mark.parametrize(
    ("path", "form", "status", "says"),
    [
        ("routes/nope/side", {"side": "old"}, 404, "somebody has removed it"),
        ("routes/api/side", {"side": "old"}, 422, "no twin on the old site"),
        ("routes/course/side", {"side": "both"}, 422, "The side is old or new."),
        ("routes/course/side", {}, 422, "The side is old or new."),
        ("kill-switch", {"switch": "maybe"}, 422, "The switch is on or off."),
    ],
)
async def test_what_was_not_done_is_said_on_a_page(
    browser: httpx.AsyncClient, path: str, form: dict[str, str], status: int, says: str
) -> None:
    answer = await browser.post(f"{CONSOLE}/{path}", data=form, headers=OURS)

    assert answer.status_code == status
    assert says in answer.text
    assert answer.headers["content-type"].startswith("text/html")


async def test_the_policy_allows_nothing_from_elsewhere_and_nothing_inline(browser: httpx.AsyncClient) -> None:
    answer = await browser.get(CONSOLE)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(
        r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|(src|href)=\"https?://(?!127\.)", answer.text
    )


async def test_every_asset_is_its_own(browser: httpx.AsyncClient) -> None:
    page = (await browser.get(CONSOLE)).text

    assets = set(re.findall(r'(?:src|href)="(/[^"]+\.(?:css|js|svg))"', page))

    assert len(assets) >= 5
    for asset in assets:
        assert asset.startswith(f"{CONSOLE}/assets/")
        assert (await browser.get(asset)).status_code == 200


async def test_the_charts_are_well_formed_and_say_what_they_draw(browser: httpx.AsyncClient, traffic: Traffic) -> None:
    start = datetime.now(UTC) - timedelta(seconds=90)
    for second in range(90):
        clusters = {
            "old~_rest": Totals(second * 20, second, {(10.0, 1.0): second * 20}),
            "new~courses": Totals(second * 5, 0, {(2.0, 0.1): second * 5}),
        }
        traffic.note(clusters, at=start + timedelta(seconds=second))

    page = (await browser.get(CONSOLE)).text

    drawings = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg viewBox.*?</svg>", page, re.DOTALL)]
    assert len(drawings) == 2
    for drawing in drawings:
        assert drawing.findtext("title")
        assert "now" in (drawing.findtext("desc") or "")
        paths = drawing.findall("path")
        assert {path.get("class") for path in paths} == {"line old", "line new"}
        assert all(re.fullmatch(r"(M[\d.]+ [\d.]+(L[\d.]+ [\d.]+)*)+", path.get("d", "")) for path in paths)
    assert "now 20.0, highest 20.0 per second" in page
    assert "old 1.0, new 0.0" in page
    assert page.count("<table") == 5


async def test_without_postgres_it_shows_the_last_table_and_locks_the_buttons(
    browser: httpx.AsyncClient, routes: Routes, gateway_database: Database
) -> None:
    await browser.get(CONSOLE)
    routes.locked = DatabaseAway()

    page = (await browser.get(CONSOLE)).text

    assert "Routes cannot be changed just now" in page
    assert "/courses/{slug}" in page
    assert "given at first start" in page
    assert len(re.findall(r"<button[^>]*id=\"move-[^>]* disabled", page)) == 2
    assert not re.search(r"<button[^>]*id=\"kill-switch\"[^>]*disabled", page)


async def test_what_is_wrong_comes_first_and_is_escaped(browser: httpx.AsyncClient, settings: Settings) -> None:
    found = children(envoy="ready", web="failing")
    supervise(settings, [found[0], type(found[1])(**{**slots(found[1]), "detail": "<script>alert(1)</script>"})])

    page = (await browser.get(CONSOLE)).text

    assert "web: keeps dying" in page
    assert page.index("web: keeps dying") < page.index('id="map"')
    assert "<script>alert" not in page


def slots(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}


async def test_it_speaks_korean_and_remembers_the_choice(browser: httpx.AsyncClient, settings: Settings) -> None:
    supervise(settings, children(envoy="ready"))

    chosen = await browser.get(f"{CONSOLE}?lang=ko")
    assert (chosen.status_code, chosen.headers["location"]) == (303, CONSOLE)

    page = (await browser.get(CONSOLE)).text
    assert '<html lang="ko"' in page
    for shown in ("문제없어요.", "긴급 전환: 모두 기존 사이트로", "기존으로", "처음 시작할 때 등록"):
        assert shown in page


async def test_the_fragment_has_the_same_parts_as_the_page(browser: httpx.AsyncClient) -> None:
    part = re.compile(r'id="([a-z-]+)" data-part')

    page, fragment = (await browser.get(CONSOLE)).text, (await browser.get(f"{CONSOLE}/now")).text

    assert sorted(part.findall(page)) == sorted(part.findall(fragment))
    assert len(part.findall(page)) == 9
