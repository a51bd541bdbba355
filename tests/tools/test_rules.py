"""The repository's own rules have tests, too: a check that cannot fail is no check."""

from pathlib import Path
from typing import Any

import pytest

from tools import api, check


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    return tmp_path


def test_a_long_file_is_named(tree: Path) -> None:
    (tree / "src" / "long.py").write_text("x = 1\n" * 301)
    (tree / "src" / "fine.py").write_text("x = 1\n" * 300)

    (fault,) = check.sizes(tree)
    assert fault.startswith("src/long.py: 301 lines")


def test_a_reason_makes_a_file_longer_but_not_endless(tree: Path) -> None:
    (tree / "src" / "long.py").write_text('"""Long because it is a table."""\n' + "x = 1\n" * 400)
    (tree / "src" / "endless.py").write_text('"""Long because it is a table."""\n' + "x = 1\n" * 500)

    assert [fault.split(":")[0] for fault in check.sizes(tree)] == ["src/endless.py"]


def test_a_suppression_needs_its_code_and_its_reason(tree: Path) -> None:
    lines = ["x = 1"] * 2000
    lines[0] = "a = f()  # type: ignore"
    lines[1] = "b = g()  # noqa: S101 # the kernel lies about it"
    (tree / "src" / "some.py").write_text("\n".join(lines))

    (fault,) = check.suppressions(tree)
    assert fault.startswith("src/some.py:1:")


def test_many_suppressions_are_too_many_even_with_reasons(tree: Path) -> None:
    (tree / "src" / "some.py").write_text("x = f()  # noqa: S101 # because\n" * 3 + "y = 1\n" * 900)

    assert any("3 suppressions" in fault for fault in check.suppressions(tree))


def document(**fields: Any) -> dict[str, Any]:
    schema = {"type": "object", "required": list(fields), "properties": fields}
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Course"}}}}
    return {
        "paths": {"/courses": {"get": {"parameters": [], "responses": {"200": answer}}}},
        "components": {"schemas": {"Course": schema}},
    }


def test_a_published_api_may_grow() -> None:
    old = document(id={"type": "string"})
    new = document(id={"type": "string"}, title={"type": "string"})

    assert api.breaking_changes(old, new) == []


@pytest.mark.parametrize(
    ("new", "says"),
    [
        (document(), "no longer has the field id"),
        (document(id={"type": "integer"}), "changes from string to integer"),
        ({"paths": {}}, "GET /courses is gone"),
    ],
)
def test_a_change_that_breaks_callers_is_named(new: dict[str, Any], says: str) -> None:
    (change,) = api.breaking_changes(document(id={"type": "string"}), new)
    assert says in change


def test_a_new_required_parameter_breaks_callers() -> None:
    new = document(id={"type": "string"})
    new["paths"]["/courses"]["get"]["parameters"] = [{"in": "query", "name": "tenant", "required": True}]

    assert api.breaking_changes(document(id={"type": "string"}), new) == [
        "GET /courses now requires the parameter tenant"
    ]
