"""`docs/events.md`: every event with its fields, who tells it, who hears of it, and what one looks like."""

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tools.event_schema import EVENTS, FENCE, Kind, key_of, schema

ROOT = Path(__file__).parents[1]
CONTEXTS = ROOT / "src/banyan"


def page(files: Mapping[Path, str]) -> str:
    """`files` are those of event_golden, with the examples."""
    examples = {path.stem: text for path, text in files.items() if path.parent.name == "examples"}
    lines = [
        "# Events",
        "",
        "Generated from `src/banyan/contracts/events.py` and `src/banyan/messaging/subscriptions.py`; `make fresh`",
        "writes it anew. Each event is a CloudEvents 1.0 object in JSON: `type` as below, `source` the context that",
        "tells it, `subject` the key that order is kept by, `data` the fields. The same for programs:",
        "[asyncapi.json](asyncapi.json), an AsyncAPI 3.0 document. [How an event goes](concepts/event.md),",
        "[hear of one](guides/add-a-consumer.md), [change one](guides/change-an-event.md).",
        "",
        *_overview(),
        "",
    ]
    for event in EVENTS:
        lines += [
            f"## `{event.TYPE}`",
            "",
            *_about(event),
            "",
            *_fields(event),
            "",
            *_example(examples[event.TYPE]),
            "",
        ]
    return "\n".join(lines[:-1]) + "\n"


def _overview() -> list[str]:
    rows = ["| event | version | told by | heard by | key |", "|---|---|---|---|---|"]
    for event in EVENTS:
        _, source, name, version = event.TYPE.split(".")
        heard = ", ".join(_heard(event)) or "-"
        anchor = event.TYPE.replace(".", "")
        told = f" {_PERSONAL}" if FENCE in get_type_hints(event) else ""
        rows.append(f"| [{name}](#{anchor}){told} | {version[1:]} | {source} | {heard} | `{key_of(event)}` |")
    return [*rows, "", f"{_PERSONAL}: with data of a person, in the fence `{FENCE}` and sealed with that person's key."]


def _about(event: Kind) -> list[str]:
    said = inspect.cleandoc(event.__doc__ or "")
    source = event.TYPE.split(".")[1]
    told = ", ".join(f"`{path}`" for path in _tellers(event, source)) or "nowhere yet"
    heard = ", ".join(f"`{consumer}`" for consumer in _heard(event)) or "nobody yet"
    return [
        *([said, ""] if said and not said.startswith(f"{event.__name__}(") else []),
        f"`{event.__name__}`, keyed by `{key_of(event)}`. Told by `{source}` in {told}. Heard by {heard}. "
        f"[Schema](events/{event.TYPE}.json)",
    ]


def _heard(event: Kind) -> list[str]:
    return [one.consumer for one in SUBSCRIPTIONS if event in one.events]


def _tellers(event: Kind, source: str) -> list[str]:
    """The modules of a context that make such an event."""
    return [
        path.relative_to(CONTEXTS).as_posix()
        for path in sorted((CONTEXTS / source).rglob("*.py"))
        if event.__name__ in _made_in(path)
    ]


def _made_in(path: Path) -> set[str]:
    calls = (node.func for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call))
    return {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls}


def _fields(event: Kind) -> list[str]:
    whole = schema(event)
    rows = ["| field | type | |", "|---|---|---|"]
    for name, shape in whole["properties"].items():
        if name == FENCE:
            inner = ", ".join(f"`{part}` {_said(kind)}" for part, kind in shape["x-opened"]["properties"].items())
            rows.append(
                f"| `{name}` | `person` string, `sealed` string | {_PERSONAL}; a handler gets {inner}, "
                "each empty when the person was erased |"
            )
            continue
        notes = ["the key"] if name == whole["x-key"] else []
        notes += [f"may be missing in old ones, then `{shape['default']}`"] if "default" in shape else []
        rows.append(f"| `{name}` | {_said(shape)} | {', '.join(notes)} |")
    return rows


def _said(shape: Mapping[str, Any]) -> str:
    kinds = [str(one.get("format", one.get("type", "any"))) for one in shape.get("anyOf", [shape])]
    return " or ".join(kinds)


def _example(text: str) -> list[str]:
    return ["```json", *text.splitlines(), "```"]


_PERSONAL = "**personal**"
