"""Versions of this tree, and people who go on while one is exchanged for another."""

import asyncio
import http.client
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from banyan.infra.settings import Settings
from banyan.infra.supervisor import control, state
from tests.journeys.front_door import FrontDoor
from tests.processes.people import Learner
from tests.processes.visitors import Visits, visiting
from tests.shipping.installing import Installed, copy_of_the_tree, install, wheel_of

OLD, NEW = "0.1.0", "0.2.0"
PAGES = ("/", "/courses", "/_banyan/api/v1/courses?limit=3", "/login")


def built(folder: Path, version: str, change: Callable[[Path], None] | None = None) -> Installed:
    for made in folder.glob(f"*-{version}*"):
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    tree = copy_of_the_tree(folder / f"tree-{version}")
    edit(tree / "src/banyan/__init__.py", r'__version__ = ".*"', f'__version__ = "{version}"')
    if change is not None:
        change(tree)
    return install(wheel_of(tree, folder / f"dist-{version}"), folder / f"venv-{version}", "demo")


def edit(path: Path, what: str, by: str) -> None:
    text, count = re.subn(what, by, path.read_text(encoding="utf-8"), count=1)
    assert count == 1, f"{what} is not in {path}"
    path.write_text(text, encoding="utf-8")


def add_a_subtitle(tree: Path) -> None:
    (tree / f"migrations/learning/{next_number(tree):04}_subtitles.sql").write_text(
        "ALTER TABLE course ADD COLUMN subtitle text NOT NULL DEFAULT 'a subtitle';\n"
    )
    edit(
        tree / "src/banyan/contracts/learning.py",
        r"(class CoursePage:\n    items: list\[CourseCard\]\n    next: str \| None\n    total: int\n)",
        r'\1    subtitle: str = "a subtitle"\n',
    )
    edit(tree / "src/banyan/web/templates/layout.html", "</body>", f"<!-- web {NEW} --></body>")


def next_number(tree: Path) -> int:
    return len(list((tree / "migrations/learning").glob("*.sql"))) + 1


def begin_run_of(process: str, line: str) -> Callable[[Path], None]:
    def change(tree: Path) -> None:
        begin = r"(async def run\(settings: Settings\) -> None:\n)"
        edit(tree / f"src/banyan/processes/{process}.py", begin, rf"\1    {line}\n")

    return change


def upgrade(door: FrontDoor, installed: Installed) -> str:
    return door.banyan("upgrade", "--to", str(installed.folder), patience=240)


def run_by(door: FrontDoor, name: str, installed: Installed) -> None:
    version = NEW if NEW in installed.python else OLD
    settings = Settings.read({"BANYAN_DATA": str(door.data)})
    done = asyncio.run(
        control.ask(settings, "upgrade", name=name, python=installed.python, version=version, within=120)
    )
    assert done["ready"], done


def processes(door: FrontDoor) -> list[state.ChildState]:
    known = state.read_living(Settings.read({"BANYAN_DATA": str(door.data)}))
    assert known is not None
    return [child for child in known.processes if child.kind == "process"]


def versions(door: FrontDoor) -> dict[str, str]:
    return {child.name: child.version for child in processes(door)}


@contextmanager
def visited(door: FrontDoor) -> Iterator[list[Visits]]:
    with ExitStack() as stack:
        yield [stack.enter_context(visiting(door, path, pause=0.05, timeout=120)) for path in PAGES]


def failures(visits: list[Visits]) -> dict[str, list[str]]:
    assert all(each.served > 10 for each in visits), visits
    return {each.path: [what for _, what in each.failures] for each in visits if each.failures}


class Enrolled:
    """One learner who enrols in one course after the other, each once and without a second try."""

    def __init__(self, door: FrontDoor) -> None:
        self.failures: list[str] = []
        self._learner = Learner(door)
        assert self._learner.sign_up(f"load-{time.monotonic_ns()}@example.com", "Load") == 201
        items = get(door, "/_banyan/api/v1/courses?limit=100")["items"]
        self.slugs = [item["slug"] for item in items if item["price"] == 0]
        self._done: list[str] = []

    def enrol(self, over: threading.Event) -> None:
        for slug in self.slugs:
            if over.is_set():
                return
            try:
                status, answer = self._learner.call("POST", "/_banyan/api/v1/enrolments", {"course": slug})
            except (OSError, http.client.HTTPException) as fault:
                status, answer = 0, fault
            if status == 201:
                self._done.append(slug)
            else:
                self.failures.append(f"{slug}: {status} {answer!r}")
            time.sleep(0.3)

    def kept(self) -> bool:
        status, answer = self._learner.call("GET", "/_banyan/api/v1/enrolments?limit=100")
        assert status == 200, answer
        assert self._done
        return {item["course"] for item in answer["items"]} >= set(self._done)


@contextmanager
def enrolling(door: FrontDoor) -> Iterator[Enrolled]:
    enrolled, over = Enrolled(door), threading.Event()
    thread = threading.Thread(target=enrolled.enrol, args=(over,), daemon=True)
    thread.start()
    try:
        yield enrolled
    finally:
        over.set()
        thread.join(30)


@contextmanager
def watching(door: FrontDoor, slug: str) -> Iterator[list[str]]:
    """Somebody who looks at a course's live count: what became of the stream, and of the next one."""
    seen: list[str] = []
    streams = [http.client.HTTPConnection(*door.address, timeout=120) for _ in range(2)]

    def watch() -> None:
        first, second = (stream for stream in streams)
        first.request("GET", f"/_banyan/api/v1/courses/{slug}/live")
        lines = first.getresponse().read().decode().splitlines()  # raises where the end is not in order
        told = [int(line.removeprefix("retry: ")) for line in lines if line.startswith("retry: ")]
        seen.extend(["told to come again"] if told else [])
        seen.append("ended")
        time.sleep(max(told) / 1000)  # as a browser does
        second.request("GET", f"/_banyan/api/v1/courses/{slug}/live")
        seen.extend(["came again"] if second.getresponse().status == 200 else [])

    def note() -> None:
        try:
            watch()
        except (OSError, http.client.HTTPException, AttributeError, ValueError) as fault:  # or closed below
            seen.append(repr(fault))

    thread = threading.Thread(target=note, daemon=True)
    thread.start()
    try:
        yield seen
        thread.join(30)
    finally:
        for stream in streams:
            stream.close()


def squeezed(said: str) -> str:
    return re.sub(" +", " ", said)


def text(door: FrontDoor, path: str) -> str:
    status, answer = Learner(door).call("GET", path, accept="text/html")
    assert status == 200, answer
    return str(answer)


def get(door: FrontDoor, path: str) -> dict[str, object]:
    status, answer = Learner(door).call("GET", path)
    assert status == 200, answer
    found: dict[str, object] = answer if isinstance(answer, dict) else json.loads(answer)
    return found
