"""The control plane as it runs: its process, a real Envoy, a real PostgreSQL, and the command line."""

import asyncio
import json
import re

from tests.gateway.envoy.fronts import Answer
from tests.gateway.planes import Plane

HOME = "/_banyan/console"


async def test_a_route_moves_by_command_and_back(plane: Plane) -> None:
    code, out, _ = await plane.banyan("route", "ls", "--json")
    listed = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert listed["course"] | {"order": 0} == {
        "name": "course",
        "method": "*",
        "host": "*",
        "path": "/courses/{slug}",
        "query": "",
        "side": "new",
        "fate": "move",
        "old_twin": True,
        "service": "web",
        "order": 0,
        "overlaps": [],
    }
    assert await plane.side("/courses/x") == "new"

    assert (await plane.banyan("route", "set", "course", "--side", "old"))[0] == 0
    assert await plane.side("/courses/x") == "old"

    assert (await plane.banyan("route", "set", "course", "--side", "new"))[0] == 0
    assert await plane.side("/courses/x") == "new"


async def test_a_korean_route_is_added_shown_and_removed(plane: Plane) -> None:
    added = await plane.banyan("route", "add", "reviews", "/강의/{slug}", "--service", "web", "--side", "new")
    assert added[0] == 0
    assert await plane.side("/%EA%B0%95%EC%9D%98/x") == "new"

    code, out, _ = await plane.banyan("route", "show", "reviews")
    assert code == 0
    assert "/강의/{slug}" in out

    assert (await plane.banyan("route", "rm", "reviews"))[0] == 0
    assert await plane.side("/%EA%B0%95%EC%9D%98/x") == "old"
    assert (await plane.banyan("gateway", "plan"))[1].startswith("Nothing would change")


async def test_a_refusal_is_one_clear_line(plane: Plane) -> None:
    refusals = [
        (["route", "set", "coursse", "--side", "old"], 1, "Did you mean course"),
        (["route", "show", "nope"], 1, "There is no route named 'nope'"),
        (["route", "set", "api", "--side", "old"], 1, "no twin on the old site"),
        (["route", "add", "x", "/a/../b"], 1, "is no path template"),
        (["route", "add", "x", "/x", "--service", "nope"], 1, "nope"),
        (["route", "add", "x", "/x", "--service", "nope", "--side", "new"], 1, "nope"),
        (["route", "add", "x", "/courses/{id}", "--service", "web"], 1, "exactly these requests"),
    ]
    for arguments, expected, says in refusals:
        code, out, err = await plane.banyan(*arguments)

        assert (code, out) == (expected, ""), err
        assert err.startswith("banyan: ")
        assert says in err
        assert err.count("\n") == 1

    assert (await plane.banyan("route", "set", "course", "--side", "both"))[0] == 2


async def test_a_command_waits_while_the_process_is_started_again(plane: Plane) -> None:
    await plane.kill()

    asking = asyncio.create_task(plane.banyan("route", "set", "course", "--side", "old"))
    await asyncio.sleep(1)
    assert await plane.side("/courses/x") == "new"
    await plane.start()

    assert (await asking)[0] == 0
    assert await plane.side("/courses/x") == "old"


async def test_the_kill_switch_needs_no_control_plane(plane: Plane) -> None:
    await plane.kill()

    code, out, _ = await plane.banyan("gateway", "kill-switch", "on")
    assert code == 0
    assert "stay there: account, api, enrolment" in out
    assert await plane.side("/courses/x") == "old"
    assert await plane.side("/api/v1/courses") == "new"

    await plane.start()
    assert (await plane.banyan("route", "set", "courses", "--side", "new"))[0] == 0
    assert await plane.side("/courses") == "old"
    assert "is on" in (await plane.banyan("gateway", "kill-switch"))[1]

    assert (await plane.banyan("gateway", "kill-switch", "off"))[0] == 0
    assert await plane.side("/courses/x") == "new"


async def test_nobody_reaches_the_control_api_through_the_front_door(plane: Plane) -> None:
    paths = ("/control/routes", "/_banyan/console/../../control/routes", "/_banyan/control/routes", "/_banyan//control")
    for path in paths:
        answer = await plane.door.get(path)

        assert b'"overlaps"' not in answer.raw, path


async def test_the_console_opens_for_the_operator_and_for_nobody_else(plane: Plane) -> None:
    learner = plane.iam.cookies("session", "fresh", token=plane.iam.token(roles="learner,admin"))

    assert (await ask(plane, operator(plane))).status == 200
    assert (await ask(plane, learner)).status == 403
    assert (await ask(plane)).value("location") == "/login?next=/_banyan/console"
    assert (await ask(plane, "X-Banyan-User: 1", "X-Banyan-Roles: operator", "X-Banyan-Session: 1")).status == 303


async def test_an_operator_who_was_signed_out_is_out(plane: Plane) -> None:
    mine = operator(plane)
    assert (await ask(plane, mine)).status == 200

    plane.iam.ended = [plane.iam.session]

    async with asyncio.timeout(5):
        while (await ask(plane, mine)).status == 200:
            await asyncio.sleep(0.1)


async def test_the_console_shows_what_flows(plane: Plane) -> None:
    rates: list[str] = []
    times: list[str] = []
    for _ in range(30):
        for path in ("/courses", "/old/page", "/old/other"):
            await plane.door.get(path)
        await asyncio.sleep(0.3)
        shown = (await ask(plane, operator(plane), path=f"{HOME}/now")).body.decode()
        rates = re.findall(r"highest ([\d.]+) per second", shown)
        times = re.findall(r"highest (&lt; 1|[\d.]+) ms", shown)
        if len(times) == 2:
            break

    assert len(times) == 2
    assert all(float(rate) > 0 for rate in rates)


def operator(plane: Plane) -> str:
    return plane.iam.cookies("session", "fresh", token=plane.iam.token(roles="operator"))


async def ask(plane: Plane, *headers: str, path: str = HOME) -> Answer:
    return await plane.door.get(path, "Accept: text/html", "Accept-Language: en", *headers)
