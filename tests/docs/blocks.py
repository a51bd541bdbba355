"""The commands that the documentation shows: every ```sh block of a page, and what the page says about running it."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(?P<indent>\s*)(?P<ticks>```+)(?P<language>\S*)\s*$")
_MARK = re.compile(r"^\s*<!--\s*(?P<kind>not run|run by|run until):\s*(?P<words>.+?)\s*-->\s*$")


@dataclass(frozen=True, slots=True)
class Block:
    """`code` as it stands; `output` is the ```text block right after it, if there is one. `kind` is how it is run:
    by this suite (``run``), in the background ``until`` it says `words`, ``by`` the test file `words`, or ``not``,
    for the reason `words`."""

    page: Path
    line: int
    code: str
    output: str | None = None
    kind: str = "run"
    words: str = ""

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page that people read: README, CONTRIBUTING and what is in `docs/`."""
    return [ROOT / "README.md", ROOT / "README.ko.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The page's shell blocks in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    kind, words = "run", ""
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if mark := _MARK.match(line):
            kind, words = mark["kind"].removeprefix("run ").removesuffix(" run"), mark["words"]
        elif fence := _FENCE.match(line):
            line_number = number
            inside, number = _inside(lines, number, fence)
            if fence["language"] in {"sh", "bash", "shell", "console"}:
                output, number = _output(lines, number)
                found.append(Block(page, line_number, "\n".join(inside), output, kind, words))
            kind, words = "run", ""
        elif line.strip():
            kind, words = "run", ""
    return found


def _inside(lines: list[str], number: int, fence: re.Match[str]) -> tuple[list[str], int]:
    indent = len(fence["indent"])
    inside: list[str] = []
    while number < len(lines) and lines[number].strip() != fence["ticks"]:
        inside.append(lines[number][indent:])
        number += 1
    return inside, number + 1


def _output(lines: list[str], number: int) -> tuple[str | None, int]:
    """The ```text block after a shell block, with nothing but empty lines between them."""
    ahead = number
    while ahead < len(lines) and not lines[ahead].strip():
        ahead += 1
    fence = _FENCE.match(lines[ahead]) if ahead < len(lines) else None
    if fence is None or fence["language"] != "text":
        return None, number
    inside, number = _inside(lines, ahead + 1, fence)
    return "\n".join(inside), number
