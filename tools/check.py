"""Rules of this repository that no ready-made tool knows: sizes, suppressions, events, generated files."""

import re
import sys
import tokenize
from pathlib import Path

from tools import event_rules, generate

ROOT = Path(__file__).parents[1]
LONG_FILE = 300
TOO_LONG_FILE = 500
LONG_TEST_FILE = 400
SUPPRESSIONS_PER_1000_LINES = 2

_SUPPRESSION = re.compile(r"#\s*(type:\s*ignore|noqa|pragma)")
_WITH_CODE_AND_REASON = re.compile(r"#\s*(type:\s*ignore\[[a-z-, ]+\]|noqa:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)\s*#\s*\S+")


def main() -> None:
    faults = [*sizes(ROOT), *suppressions(ROOT), *event_rules.faults(), *generate.stale()]
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        sys.exit(1)
    print("tools.check: sizes, suppressions, events and generated files are in order")


def sizes(root: Path) -> list[str]:
    """A long file hides what it is about: past 300 lines it becomes a folder of topic files."""
    faults = []
    for path in python_files(root):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        limit = LONG_TEST_FILE if "tests" in path.relative_to(root).parts else LONG_FILE
        if lines > TOO_LONG_FILE or (lines > limit and "Long because" not in path.read_text(encoding="utf-8")[:600]):
            faults.append(
                f"{path.relative_to(root)}: {lines} lines; past {limit} a file is split by topic, or its docstring "
                f"says `Long because ...` (never past {TOO_LONG_FILE})"
            )
    return faults


def suppressions(root: Path) -> list[str]:
    """Each `type: ignore` or `noqa` names its code and its reason, and they stay rare."""
    faults, found, lines = [], 0, 0
    for path in python_files(root, "src"):
        lines += len(path.read_text(encoding="utf-8").splitlines())
        for number, comment in comments(path):
            if _SUPPRESSION.search(comment):
                found += 1
                if not _WITH_CODE_AND_REASON.search(comment):
                    faults.append(f"{path.relative_to(root)}:{number}: write `# type: ignore[code] # reason`")
    if found > lines / 1000 * SUPPRESSIONS_PER_1000_LINES:
        faults.append(f"src: {found} suppressions in {lines} lines; at most 2 per 1,000 lines")
    return faults


def python_files(root: Path, *folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders or ("src", "tests", "tools", "bench")
        for path in (root / folder).rglob("*.py")
        if "__pycache__" not in path.parts
    )


def comments(path: Path) -> list[tuple[int, str]]:
    with path.open("rb") as file:
        return [
            (token.start[0], token.string)
            for token in tokenize.tokenize(file.readline)
            if token.type == tokenize.COMMENT
        ]


if __name__ == "__main__":
    main()
