"""What the documentation tells people to type works: every page's commands are run in order, on a running Banyan."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from banyan.infra import databases, embedded
from banyan.infra.databases import Server
from banyan.infra.settings import Settings
from tests.docs.blocks import ROOT, Block, blocks, pages
from tests.docs.shell import Terminal, first_missing
from tests.journeys.front_door import FrontDoor, banyan_up

MOST_NOT_RUN = 0.2
# README.ko.md shows README's commands; tests/docs/test_readmes.py sees to that.
PAGES = [
    page
    for page in pages()
    if page.name != "README.ko.md" and any(block.kind in {"run", "until"} for block in blocks(page))
]


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo") as running:
        yield running


@pytest.fixture(scope="module")
def foreign() -> Iterator[dict[str, str]]:
    """A PostgreSQL of somebody else's, as empty as on its first day: what its address is in the pages, and here."""
    server = Server("foreign", 5598, ())
    folder = Path(tempfile.mkdtemp(prefix="by-", dir="/tmp"))
    settings = Settings.read({"BANYAN_DATA": str(folder)})
    settings.make_folders()
    rights = embedded.privileges(settings)
    embedded.initialise(settings, server, rights)
    with (folder / "server.log").open("wb") as log:
        command = [*embedded.command(settings, server, rights), "-c", "fsync=off"]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd="/")
    try:
        sockets = databases.socket_folder(settings)
        deadline = time.monotonic() + 30
        while not list(sockets.glob(f".s.PGSQL.{server.port}")):
            assert time.monotonic() < deadline, (folder / "server.log").read_text()
            time.sleep(0.05)
        superuser = (settings.secrets / f"postgres-{server.name}-superuser").read_text().strip()
        where = f"host={sockets}&port={server.port}"
        yield {
            r"postgresql://postgres:secret@db.example.com/postgres": f"postgresql://postgres:{superuser}@/postgres?{where}",
            r"postgresql://(\w+):secret@db.example.com/(\w+)": rf"postgresql://\1:secret@/\2?{where}",
        }
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_work_in_their_order(page: Path, door: FrontDoor, foreign: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix="by-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        terminal = Terminal(Path(folder), door, foreign)
        try:
            for block in blocks(page):
                if block.kind in {"run", "until"}:
                    terminal.run(block)
        finally:
            terminal.close()

    assert "Banyan is not" not in door.banyan("status")  # fails where a process is not ready any more


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    known = [block for page in pages() for block in blocks(page)]
    not_run = [block for block in known if block.kind == "not"]

    assert len(not_run) <= MOST_NOT_RUN * len(known), [block.where for block in not_run]
    assert all(len(block.words) > 15 for block in not_run), [(block.where, block.words) for block in not_run]


@pytest.mark.parametrize(
    "block",
    [block for page in pages() for block in blocks(page) if block.kind == "by"],
    ids=lambda block: block.where,
)
def test_a_block_that_another_test_runs_is_in_that_test(block: Block) -> None:
    told = (ROOT / block.words).read_text(encoding="utf-8")

    assert block.page.name in told or block.code.splitlines()[0] in told, f"{block.words} does not know {block.where}"


def test_a_page_that_shows_something_else_than_was_said_is_found_out() -> None:
    assert first_missing("a\nb ... d", "a\nx\nb c  d\n") is None
    assert first_missing("b\na", "a\nb") == "a"
    assert first_missing("learning ready", "learning  failing") == "learning ready"


def test_what_runs_in_the_background_is_waited_for_and_ended(door: FrontDoor, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, door, {})
    page = ROOT / "README.md"
    terminal.run(Block(page, 1, "export KEPT=here; echo started", kind="run"))
    terminal.run(Block(page, 2, 'sleep 0.3; echo "it is $KEPT"; exec sleep 600', kind="until", words="it is here"))
    beside = terminal.beside[0]

    assert beside.poll() is None
    terminal.close()
    assert beside.poll() is not None


def test_a_command_that_fails_fails_its_page(door: FrontDoor, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, door, {})

    with pytest.raises(AssertionError, match="exit status 3"):
        terminal.run(Block(ROOT / "README.md", 1, "true\n(exit 3)\ntrue"))
