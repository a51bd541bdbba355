"""What the documentation tells people to type works: every page's commands are run in order, on a running Banyan."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks, pages
from tests.docs.shell import Terminal, first_missing
from tests.journeys.front_door import FrontDoor, banyan_up

MOST_NOT_RUN = 0.2
PAGES = [page for page in pages() if page.exists() and any(block.kind in {"run", "until"} for block in blocks(page))]


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo") as running:
        yield running


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_work_in_their_order(page: Path, door: FrontDoor) -> None:
    with tempfile.TemporaryDirectory(prefix="by-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        terminal = Terminal(Path(folder), door)
        try:
            for block in blocks(page):
                if block.kind in {"run", "until"}:
                    terminal.run(block)
        finally:
            terminal.close()

    assert "Banyan is not" not in door.banyan("status")  # fails where a process is not ready any more


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    known = [block for page in pages() if page.exists() for block in blocks(page)]
    not_run = [block for block in known if block.kind == "not"]

    assert len(not_run) <= MOST_NOT_RUN * len(known), [block.where for block in not_run]
    assert all(len(block.words) > 15 for block in not_run), [(block.where, block.words) for block in not_run]


@pytest.mark.parametrize(
    "block",
    [block for page in pages() if page.exists() for block in blocks(page) if block.kind == "by"],
    ids=lambda block: block.where,
)
def test_a_block_that_another_test_runs_is_in_that_test(block: Block) -> None:
    told = (ROOT / block.words).read_text(encoding="utf-8")

    assert block.page.name in told or block.code.splitlines()[0] in told, f"{block.words} does not know {block.where}"


def test_a_page_that_shows_something_else_than_was_said_is_found_out() -> None:
    assert first_missing("a\nb ... d", "a\nx\nb c  d\n") is None
    assert first_missing("b\na", "a\nb") == "a"
    assert first_missing("learning ready", "learning  failing") == "learning ready"
