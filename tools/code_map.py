"""`docs/map.md`: which file holds what, who imports whom, which process runs what; from the code itself."""

import ast
import importlib.util
from pathlib import Path

import grimp

from banyan.infra.databases import SERVERS
from banyan.processes.registry import PROCESSES

SOURCE = Path(__file__).parents[1] / "src"


def page() -> str:
    return "\n".join(
        [
            "# Map",
            "",
            "Generated from the import graph and the list of processes; `make fresh` writes it anew.",
            "",
            "## Processes",
            "",
            "`banyan up` starts them in this order; `banyan run NAME` starts one.",
            "",
            "![The processes and the databases that they open](images/processes.svg)",
            "",
            *_processes(),
            "",
            "## Who imports whom",
            "",
            "![The layers of the tree](images/imports.svg)",
            "",
            *_edges(),
            "",
            "## Where things are",
            "",
            *_modules(),
        ]
    )


def _processes() -> list[str]:
    rows = ["| process | what it is | its databases |", "|---|---|---|"]
    for server in SERVERS:
        rows.append(f"| `postgres-{server.name}` | an embedded PostgreSQL server | {', '.join(server.databases)} |")
    for process in PROCESSES:
        note = " (demo only)" if process.demo_only else ""
        rows.append(f"| `{process.name}` | {_first_line(process.module)}{note} | {', '.join(process.databases)} |")
    rows.append("| `envoy` | the front door and the private listener between services | |")
    return rows


def _edges() -> list[str]:
    graph = grimp.build_graph("banyan")
    rows = ["| unit | imports |", "|---|---|"]
    for unit in sorted(graph.find_children("banyan")):
        inside = {unit, *graph.find_descendants(unit)}
        targets = {
            ".".join(imported.split(".")[:2])
            for module in inside
            for imported in graph.find_modules_directly_imported_by(module)
        }
        rows.append(f"| `{_short(unit)}` | {', '.join(map(_short, sorted(targets - {unit, 'banyan'}))) or 'nothing'} |")
    return rows


def _modules() -> list[str]:
    rows = ["| module | holds |", "|---|---|"]
    for path in sorted((SOURCE / "banyan").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        rows.append(f"| `{name}` | {_sentence(path)} |")
    return [*rows, ""]


def _first_line(module: str) -> str:
    found = importlib.util.find_spec(module)
    return _sentence(Path(found.origin)) if found is not None and found.origin else ""


def _sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = text.split("\n\n")[0].replace("\n", " ")
    return first.replace("|", "\\|")


def _short(unit: str) -> str:
    return unit.removeprefix("banyan.")
