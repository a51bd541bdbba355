"""What a signed-in learner costs: pages, a course as JSON, heartbeats; beside Kolibri reading a course by REST."""

import contextlib
import json
import urllib.request
from pathlib import Path
from urllib.parse import quote

from bench import kolibri, learners, load, pages, servers, site
from bench.learners import SignedIn
from bench.pages import Page
from bench.report import Bar, Goal, Panel, Plan, Section, figure

OURS = ("web", "learning", "iam", "postgres-core", "envoy")
PAGES = ("course list", "course page", "my courses")
LEARNERS = 8
GOAL_MS = 2.0
HEARTBEATS, AS_JSON = "lesson heartbeat", "a course, JSON"


def run(plan: Plan, folder: Path) -> Section:
    section = Section(name="people", title="Signed-in learners", about=_ABOUT)
    with contextlib.ExitStack() as stack:
        measured = _pages(stack.enter_context(site.demo(folder / "data")), folder)
        try:
            peer = stack.enter_context(kolibri.running(folder / "kolibri"))
            measured += _of_kolibri(peer, folder)
            section.about += f" {peer.about} {_ours_to_read(measured)}"
        except (servers.Missing, OSError, RuntimeError) as absent:  # whatever ails the peer, ours are measured
            section.left_out.append(f"Kolibri: {absent}")
        for page in measured:
            _check(page)
        for number in range(plan.rounds):
            for page in measured if number % 2 == 0 else reversed(measured):
                page.measure(plan.seconds)
    section.tables = [pages.table("Signed-in learners", measured), pages.shares(measured)]
    section.goals = [_goal(page) for page in measured if page.name in PAGES]
    section.panels = [
        Panel(
            "CPU per request of a signed-in learner, all processes",
            "ms",
            [Bar(page.name, page.total_ms, page.ours) for page in measured],
        )
    ]
    return section


def _pages(demo: site.Demo, folder: Path) -> list[Page]:
    class_ = learners.sign_in(demo, LEARNERS)
    slugs = learners.free_courses(class_[0].learner, 3)
    lessons = [[each.lesson_of(slug) for slug in slugs] for each in class_]
    headers, slug = class_[0].headers, quote(slugs[0])
    pids = demo.processes()
    parts = {name: [pids[name]] for name in OURS}
    return [
        Page("course list", f"{demo.url}/courses", parts, True, headers),
        Page("course page", f"{demo.url}/courses/{slug}", parts, True, headers),
        Page("my courses", f"{demo.url}/me", parts, True, headers),
        Page(AS_JSON, f"{demo.url}/_banyan/api/v1/courses/{slug}", parts, True, headers),
        Page(HEARTBEATS, demo.url, parts, True, (), _heartbeats(folder / "beats.lua", demo, class_, lessons)),
    ]


def _heartbeats(file: Path, demo: site.Demo, class_: list[SignedIn], lessons: list[list[str]]) -> Path:
    """Each tells of another place in the video, so that each changes the learner's progress."""
    requests = []
    for place in range(len(lessons[0])):
        for each, taken in zip(class_, lessons, strict=True):
            headers = {"Cookie": each.cookie, "Origin": demo.url, "Content-Type": "application/json"}
            listed = ", ".join(f'["{name}"] = {json.dumps(value)}' for name, value in headers.items())
            path = f"/_banyan/api/v1/lessons/{taken[place]}/progress"
            requests.append(f'wrk.format("PUT", "{path}", {{{listed}}}, beat(n))')
    beat = (
        "function beat(n) local at = math.floor(n / 8) % 500 / 2\n"
        '  return string.format(\'{"position_seconds": %.1f, "watched": [[%.1f, %.1f]]}\', at + 0.5, at, at + 0.5) end'
    )
    return learners.lua(file, requests, before=beat)


def _of_kolibri(peer: kolibri.Kolibri, folder: Path) -> list[Page]:
    """Its cache knows an answer by its whole address, so one that was never asked for is made anew."""
    parts = {"kolibri": [peer.pid]}
    anew = 'wrk.format("GET", wrk.path .. "?bench=" .. begin .. n)'
    begin = "local begin = os.time() .. math.random(1, 100000000) .. '-'"
    script = learners.lua(folder / "anew.lua", [anew], before=f"math.randomseed(os.time())\n{begin}")
    return [
        Page("Kolibri, a course, JSON, from its cache", peer.url, parts, False, ()),
        Page("Kolibri, a course, JSON, made anew", peer.url, parts, False, (), script),
    ]


def _ours_to_read(measured: list[Page]) -> str:
    url = next(page.url for page in measured if page.name == AS_JSON)
    with urllib.request.urlopen(url, timeout=10) as answer:
        whole = answer.read()
    lessons = sum(len(section["lessons"]) for section in json.loads(whole)["sections"])
    return f"The course that Banyan is asked for has {lessons} lessons in {len(whole) / 1024:.0f} KiB."


def _check(page: Page) -> None:
    """Also warms it."""
    seen: load.Full = page.load(1)
    if seen.failed or not seen.requests:
        raise RuntimeError(f"{page.name}: {seen.failed} of {seen.requests} requests failed")


def _goal(page: Page) -> Goal:
    return Goal(
        f"{page.name}, signed in: CPU a request of {', '.join(OURS)} together",
        f"<= {GOAL_MS:.0f} ms",
        f"{figure(page.total_ms)} ms",
        page.total_ms <= GOAL_MS,
    )


_ABOUT = (
    f"{pages.CONNECTIONS} connections at full speed. The pages are asked for by one learner with a session's cookies,"
    " which Envoy verifies on every request, at the front door and again between `web` and `learning`; *my courses* is"
    f" `/me`. A *heartbeat* is `PUT /_banyan/api/v1/lessons/ID/progress` by {LEARNERS} learners in three courses each,"
    " every one of another place in the video and committed before its answer."
)
