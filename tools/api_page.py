"""`docs/reference/api.md`: the services' OpenAPI documents as people read them."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Document = dict[str, Any]

_HEAD = """# API

Generated from the services' OpenAPI documents in `docs/api/`; `make fresh` writes it anew. At the front door the API is
`/_banyan/api/v1/...`, and `/api/v1/...` where the route `api` is on the new side. A published API only grows.

- JSON in UTF-8. A list is `{"items": [...], "next": cursor or null}`; the next page is asked for by `?after=` with that
  cursor, and `?limit=` is 1 to 100.
- Who asks is said by the session's cookies, or by its token as `Authorization: Bearer`. A browser that writes also
  sends an `Origin` of this site; a bearer token needs none.
- What goes wrong is a problem document (RFC 9457): `type` names the rule that said no and stays the same, `detail` says
  it in words.
"""
_ANSWERS = {"204": "done, no content", "202": "accepted", "201": "made"}


def page(documents: Mapping[str, str]) -> str:
    read = {name: json.loads(text) for name, text in sorted(documents.items())}
    lines = [_HEAD, "| call | what it does |", "|---|---|"]
    for document in read.values():
        for method, path, call in _calls(document):
            lines.append(f"| [`{method} {path}`](#{_anchor(method, path)}) | {_cell(call.get('summary', ''))} |")
    for name, document in read.items():
        lines += ["", f"## {name}", ""]
        for method, path, call in _calls(document):
            lines += [f"### `{method} {path}`", "", *_call(call, document)]
        lines += [f"### Types of {name}", "", *_types(document)]
    return "\n".join(lines) + "\n"


def _calls(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            yield method.upper(), path, call


def _call(call: Document, document: Document) -> list[str]:
    lines = [call.get("summary", ""), ""]
    if call.get("description"):
        lines += [call["description"], ""]
    rows = [
        f"| `{known['name']}` | {known['in']} | {_cell(_kind(known['schema']))} | {_about(known)} |"
        for known in call.get("parameters", [])
        if known["in"] in {"path", "query"}
    ]
    if rows:
        lines += ["| parameter | in | type | |", "|---|---|---|---|", *rows, ""]
    for _, content in call.get("requestBody", {}).get("content", {}).items():
        lines += [f"Takes {_kind(content.get('schema', {}))}.", ""]
    good = [_answer(status, answer) for status, answer in call["responses"].items() if _is_answer(status, answer)]
    bad = [f"`{status}`" for status, answer in call["responses"].items() if not _is_answer(status, answer)]
    refusals = f" Refuses by {', '.join(bad)}." if bad else ""
    return [*lines, f"Answers {'; '.join(good)}.{refusals}", ""]


def _is_answer(status: str, answer: Document) -> bool:
    return status < "400" or "application/problem+json" not in answer.get("content", {})


def _answer(status: str, answer: Document) -> str:
    for kind, content in answer.get("content", {}).items():
        if kind == "application/json":
            return f"`{status}` {_kind(content.get('schema', {}))}"
        return f"`{status}` `{kind}`"
    said = answer.get("description", "")
    words = _ANSWERS.get(status) if said in {"", "Successful Response"} else said.rstrip(".")
    return f"`{status}` {words or 'without content'}"


def _types(document: Document) -> list[str]:
    lines: list[str] = []
    for name, schema in sorted(document["components"]["schemas"].items()):
        said = schema.get("description", "")
        lines += [f"#### {name}", "", *([said, ""] if said else [])]
        rows = [
            f"| `{field}`{'' if field in schema.get('required', []) else ', optional'} | {_cell(_kind(known))} "
            f"| {_about(known)} |"
            for field, known in schema.get("properties", {}).items()
        ]
        lines += ["| field | type | |", "|---|---|---|", *rows, ""] if rows else [_kind(schema), ""]
    return lines


def _kind(schema: Document) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join("null" if known.get("type") == "null" else _kind(known) for known in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{choice}`" for choice in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}" if "items" in schema else "list"
    return str(schema.get("format") or schema.get("type") or "anything")


def _about(known: Document) -> str:
    schema = known.get("schema", known)
    said = [str(known.get("description", ""))] if known.get("description") else []
    flat = next((choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"), schema)
    for bound, words in (
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "at least"),
        ("maxLength", "at most"),
    ):
        if bound in flat:
            said.append(f"{words} {flat[bound]}{' characters' if bound.endswith('Length') else ''}")
    if schema.get("default") is not None:
        said.append(f"default `{schema['default']}`")
    return _cell("; ".join(part.rstrip(".") for part in said))


def _anchor(method: str, path: str) -> str:
    """As both the site and code hosts make it of the heading."""
    return re.sub(r"[^a-z0-9_ -]", "", f"{method} {path}".lower()).replace(" ", "-")


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
