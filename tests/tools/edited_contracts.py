"""A copy of the contracts in which something was changed, as somebody might."""

import importlib.util
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from tools.event_rules import SOURCE
from tools.event_schema import Kind

ENROLLED = """    enrolment_id: str
    course_id: str
    slug: str
    account_id: str
    learners: int
    at: datetime
"""


def edited(folder: Path, *edits: tuple[str, str]) -> Path:
    """The copy's path. Each edit is what stood there and what stands there now; the former must be there."""
    text = SOURCE.read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = folder / f"events_{uuid.uuid4().hex}.py"
    path.write_text(text, encoding="utf-8")
    return path


def events_of(path: Path) -> list[Kind]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    found: Iterable[Kind] = get_args(module.Event)
    return sorted(found, key=lambda event: event.TYPE)
