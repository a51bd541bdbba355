"""The OpenAPI document of each service, and what in a new one would break a caller of the old."""

import json
from datetime import timedelta
from typing import Any

from fastapi import FastAPI

from banyan.infra import http
from banyan.infra.identity import IamKeys, Verifier
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.learning.adapters import MediaFolder
from banyan.learning.domain.media import Signer
from banyan.learning.http import routers as learning_routers
from banyan.learning.operations.views import Views
from banyan.live.domain import Hub, Limits
from banyan.live.http import router as live_router
from banyan.processes import iam

Document = dict[str, Any]


def documents() -> dict[str, str]:
    """Service name -> its OpenAPI document as stable text."""
    settings = Settings.read({})
    nowhere = Database("postgresql:///")  # connects when first asked, which a description never does
    learning = learning_routers(
        nowhere,
        verifier=Verifier(IamKeys(settings), settings),
        signer=Signer("", timedelta()),
        folder=MediaFolder(settings.objects),
        views=Views(nowhere),
    )
    hub = Hub(Limits(watchers=0, per_address=0, unknown=0), ring=lambda: None)
    applications: dict[str, FastAPI] = {
        "iam": iam.application(settings, nowhere, iam.Iam(settings, nowhere)),
        "learning": http.application("learning", learning, settings=settings),
        "live": http.application("live", [live_router(hub, nowhere, settings)], settings=settings),
    }
    return {
        name: json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        for name, app in applications.items()
    }


def breaking_changes(old: Document, new: Document) -> list[str]:
    """Sentences for what a caller written against `old` would miss in `new`."""
    found = []
    for path, methods in old.get("paths", {}).items():
        for method, before in methods.items():
            after = new.get("paths", {}).get(path, {}).get(method)
            where = f"{method.upper()} {path}"
            if after is None:
                found.append(f"{where} is gone")
                continue
            found += _parameters(where, before, after)
            for status, answer in before.get("responses", {}).items():
                if status not in after.get("responses", {}):
                    found.append(f"{where} no longer answers {status}")
                    continue
                found += _fields(
                    f"{where} {status}", _schema(answer, old), _schema(after["responses"][status], new), old, new
                )
    return found


def _parameters(where: str, before: Document, after: Document) -> list[str]:
    known = {(item["in"], item["name"]): item for item in before.get("parameters", [])}
    found = []
    for item in after.get("parameters", []):
        old = known.pop((item["in"], item["name"]), None)
        if item.get("required") and not (old or {}).get("required"):
            found.append(f"{where} now requires the parameter {item['name']}")
    return found + [f"{where} no longer takes the parameter {name}" for _, name in known]


def _schema(answer: Document, document: Document) -> Document:
    content = answer.get("content", {}).get("application/json", {})
    return _resolve(content.get("schema", {}), document)


def _resolve(schema: Document, document: Document) -> Document:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def _fields(
    where: str, old: Document, new: Document, old_document: Document, new_document: Document, depth: int = 0
) -> list[str]:
    if depth > 8:  # a schema that contains itself
        return []
    found = []
    if old.get("type") != new.get("type"):
        found.append(f"{where} changes from {old.get('type')} to {new.get('type')}")
    pairs = [("[]", old.get("items"), new.get("items"))]
    for name, before in old.get("properties", {}).items():
        after = new.get("properties", {}).get(name)
        if after is None:
            found.append(f"{where} no longer has the field {name}")
        elif name in old.get("required", []) and name not in new.get("required", []):
            found.append(f"{where} may now leave out the field {name}")
        else:
            pairs.append((f".{name}", before, after))
    for name, before, after in pairs:
        if before and after:
            found += _fields(
                where + name,
                _resolve(before, old_document),
                _resolve(after, new_document),
                old_document,
                new_document,
                depth + 1,
            )
    return found
