"""One click of a learner, followed: the id that the browser saw leads to everything that it set off."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from banyan.clients.monitor import MonitorClient
from banyan.contracts.monitor import Span, Trace
from banyan.infra import databases
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes.people import Learner

T = TypeVar("T")


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo", environ={"BANYAN_REQUEST_LOG": "all"}) as running:
        yield running


@pytest.fixture(scope="module")
def request_id(door: FrontDoor) -> str:
    """Of a learner's enrolment."""
    learner = Learner(door)
    assert learner.sign_in("learner@banyan.test") in (200, 204)
    courses = learner.call("GET", "/_banyan/api/v1/courses?limit=50")[1]["items"]
    enrolled = json.dumps(learner.call("GET", "/_banyan/api/v1/enrolments")[1])
    slug = next(course["slug"] for course in courses if f'"{course["slug"]}"' not in enrolled)
    time.sleep(2)  # the processes trace soon after they are ready
    status, headers, body = learner.exchange("POST", "/_banyan/api/v1/enrolments", {"course": slug})
    assert status == 201, body
    return headers["x-request-id"]


def test_the_access_log_and_the_services_log_name_it(door: FrontDoor, request_id: str) -> None:
    [access] = until(lambda: lines(door, "access", request_id))
    [service] = until(lambda: [line for line in lines(door, "learning", request_id) if line["event"] == "request"])
    assert (access["path"], access["status"]) == ("/api/v1/enrolments", 201)
    assert (service["path"], service["status"], service["process"]) == ("/api/v1/enrolments", 201, "learning")
    assert len(service["trace_id"]) == 32


async def test_the_event_names_it_and_carries_its_trace(door: FrontDoor, request_id: str) -> None:
    settings = Settings.read({"BANYAN_DATA": str(door.data)})
    learning = Database(databases.url(settings, "learning"), size=1)
    try:
        row = await learning.fetchrow("SELECT type, traceparent FROM event WHERE request_id = $1", request_id)
    finally:
        await learning.close()
    assert row is not None
    [service] = [line for line in lines(door, "learning", request_id) if line["event"] == "request"]
    assert row["type"] == "banyan.learning.student-enrolled.v1"
    assert row["traceparent"][3:35] == service["trace_id"]


async def test_one_trace_shows_it_from_envoy_to_the_consumer(door: FrontDoor, request_id: str) -> None:
    def is_whole(spans: list[Span]) -> bool:  # each process tells its own, one after the other
        known = {span.span_id for span in spans}
        return any(span.kind == "consumer" for span in spans) and all(
            span.parent_id is None or span.parent_id in known for span in spans
        )

    trace = await trace_of(door, request_id, is_whole)
    by_id = {span.span_id: span for span in trace.spans}

    def path(span: Span) -> list[str]:
        above = path(by_id[span.parent_id]) if span.parent_id else []
        return [*above, f"{span.process}: {span.name}"]

    consumed = next(span for span in trace.spans if span.kind == "consumer")
    assert path(consumed) == [
        "envoy: POST _api",
        "learning: POST /api/v1/enrolments",
        "relay: publish banyan.learning.student-enrolled.v1",
        "live: handle banyan.learning.student-enrolled.v1",
    ]
    statements = {
        (span.process, span.attributes["db.namespace"]) for span in trace.spans if "db.query.text" in span.attributes
    }
    assert {("learning", "learning"), ("relay", "bus"), ("live", "live")} <= statements
    assert not [span for span in trace.spans if span.error]


async def test_a_page_is_one_trace_through_both_listeners(door: FrontDoor, request_id: str) -> None:
    with urllib.request.urlopen(f"{door.url}/courses", timeout=20) as answer:
        trace = await trace_of(door, answer.headers["x-request-id"], lambda spans: len(spans) >= 6)
    assert [f"{span.process}: {span.name}" for span in trace.spans if span.kind != "client"] == [
        "envoy: GET courses",
        "web: GET /courses",
        "envoy: GET learning",
        "learning: GET /api/v1/courses",
    ]


async def trace_of(door: FrontDoor, request_id: str, whole: Callable[[list[Span]], bool]) -> Trace:
    """As monitor knows it, as soon as that is all of it."""
    monitor = MonitorClient(Settings.read({"BANYAN_DATA": str(door.data)}))
    try:
        async with asyncio.timeout(15):
            while True:
                for head in (await monitor.traces(request_id=request_id)).items:
                    trace = await monitor.trace(head.trace_id)
                    if whole(trace.spans) and not trace.spans[0].parent_id:
                        return trace
                await asyncio.sleep(0.2)
    finally:
        await monitor.close()


def lines(door: FrontDoor, process: str, request_id: str) -> list[dict[str, Any]]:
    text = (door.data / "logs" / f"{process}.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if request_id in line]


def until(find: Callable[[], list[T]], seconds: float = 10) -> list[T]:
    end = time.monotonic() + seconds
    while not (found := find()) and time.monotonic() < end:
        time.sleep(0.05)
    return found
