"""A published event only grows; whatever else is wanted is a new version."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from banyan.contracts import events
from banyan.messaging import envelope, privacy
from tests.tools.edited_contracts import ENROLLED, edited, events_of
from tools import event_golden, event_schema
from tools.event_example import KEY
from tools.event_golden import GOLDEN, ROOT

EXAMPLES = sorted((GOLDEN / "examples").glob("*.json"))

BREAKING = {
    "a field is removed": (ENROLLED, ENROLLED.replace("    slug: str\n", ""), "the field `slug` is gone"),
    "a field is renamed": (ENROLLED, ENROLLED.replace("slug", "course"), "the field `slug` is gone"),
    "a type is changed": (
        ENROLLED,
        ENROLLED.replace("learners: int", "learners: str"),
        "the field `learners` was integer and is string",
    ),
    "a field may be None": (
        ENROLLED,
        ENROLLED.replace("slug: str", "slug: str | None"),
        "the field `slug` was string and is string or null",
    ),
    "a time becomes a text": (
        ENROLLED,
        ENROLLED.replace("at: datetime", "at: str"),
        "the field `at` was date-time and is string",
    ),
    "a field is new and required": (
        ENROLLED,
        ENROLLED + "    coupon: str\n",
        "the field `coupon` is new and has no default",
    ),
    "the key is changed": (
        ENROLLED + "\n    def key(self) -> str:\n        return self.course_id",
        ENROLLED + "\n    def key(self) -> str:\n        return self.account_id",
        "the event's key was `course_id` and is `account_id`",
    ),
    "the TYPE is changed": (
        "banyan.learning.student-enrolled.v1",
        "banyan.learning.student-joined.v1",
        "and is `banyan.learning.student-joined.v1`",
    ),
    "the event is deleted": ("    | StudentEnrolled\n", "", "the event is gone"),
    "personal data leave the fence": ("    pii: PersonalData\n", "    name: str\n    email: str\n", "`pii` is gone"),
    "the fence falls": (
        "    pii: PersonalData\n",
        "    pii: str\n",
        "the field `pii` was personal data in the fence and is string",
    ),
    "what is fenced is renamed": ("    email: str\n", "    mail: str\n", "the field `pii.email` is gone"),
}


@pytest.mark.parametrize("what", BREAKING)
def test_what_readers_would_miss_is_refused_with_the_way_to_a_new_version(what: str, tmp_path: Path) -> None:
    old, new, said = BREAKING[what]

    found = "\n".join(event_golden.faults(events_of(edited(tmp_path, (old, new)))))

    assert said in found
    assert "V2" in found
    assert found.index("Consumers first") < found.index("Then the publisher")
    assert "BANYAN_EVENT_RETENTION_DAYS" in found


def test_nothing_is_said_of_the_events_as_they_are() -> None:
    assert event_golden.faults() == []
    assert event_golden.gone() == []


def test_the_advice_names_the_consumers_the_classes_and_the_files() -> None:
    advice = event_golden.advice(event_schema.schema(events.StudentEnrolled))

    assert "live-from-learning" in advice
    assert "StudentEnrolledV2" in advice
    assert "banyan.learning.student-enrolled.v2" in advice
    assert "docs/events/banyan.learning.student-enrolled.v1.json" in advice
    assert (ROOT / "docs/guides/change-an-event.md").exists()


def test_a_second_version_is_followed_by_a_third() -> None:
    old = {"x-type": "banyan.learning.student-enrolled.v2", "title": "StudentEnrolledV2"}

    assert "StudentEnrolledV3 with TYPE banyan.learning.student-enrolled.v3" in event_golden.advice(old)


@pytest.mark.parametrize("field", ["coupon: str | None = None", 'coupon: str = ""'])
def test_a_field_with_a_default_may_come_and_the_files_are_refreshed(field: str, tmp_path: Path) -> None:
    contracts = events_of(edited(tmp_path, (ENROLLED, f"{ENROLLED}    {field}\n")))
    folder = Path(shutil.copytree(GOLDEN, tmp_path / "golden"))

    assert event_golden.faults(contracts, folder) == []
    fresh = event_golden.files(contracts, folder)
    path = folder / "banyan.learning.student-enrolled.v1.json"
    assert "coupon" in json.loads(fresh[path])["properties"]
    assert fresh[path] != path.read_text(encoding="utf-8")
    kept = folder / "examples" / path.name
    assert fresh[kept] == kept.read_text(encoding="utf-8")  # what was published stays as it was


def test_once_it_is_published_its_default_stays() -> None:
    default = {"properties": {"coupon": {"type": "string", "default": ""}}}
    required = {"properties": {"coupon": {"type": "string"}}, "required": ["coupon"]}
    other = {"properties": {"coupon": {"type": "string", "default": "none"}}}

    assert event_golden.breaking(default, required) == [
        "the field `coupon` had a default and has none, so old events may not have it"
    ]
    assert event_golden.breaking(default, other) == [
        'the field `coupon` was string by default "" and is string by default "none"'
    ]
    assert event_golden.breaking(required, default) == []


def test_a_second_version_beside_the_first_passes_and_gets_files_of_its_own(tmp_path: Path) -> None:
    second = (
        "@dataclass(frozen=True, slots=True, kw_only=True)\nclass StudentEnrolledV2:\n"
        '    TYPE: ClassVar[str] = "banyan.learning.student-enrolled.v2"\n'
        f"{ENROLLED.replace('slug: str', 'coupon: str')}\n    def key(self) -> str:\n        return self.course_id\n"
    )
    path = edited(
        tmp_path,
        ("\n\nEvent: TypeAlias", f"\n\n{second}\n\nEvent: TypeAlias"),
        ("    | StudentEnrolled\n", "    | StudentEnrolled\n    | StudentEnrolledV2\n"),
    )
    folder = Path(shutil.copytree(GOLDEN, tmp_path / "golden"))

    contracts = events_of(path)

    assert event_golden.faults(contracts, folder) == []
    assert folder / "banyan.learning.student-enrolled.v2.json" in event_golden.files(contracts, folder)


def test_a_version_that_nothing_can_hold_any_more_leaves_with_all_its_files() -> None:
    left = [event for event in event_schema.EVENTS if event is not events.AccountRegistered]

    gone = event_golden.gone(left)

    name = events.AccountRegistered.TYPE
    assert [path.name for path in gone] == [f"{name}.json", f"{name}.json", f"{name}.unsealed.json"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
async def test_every_version_ever_published_is_still_understood(example: Path) -> None:
    told = envelope.decode(example.read_bytes())

    (opened,) = await privacy.opened([told], _OneKey())
    event = envelope.event_in(opened, envelope.TYPES[told.type])

    assert told.type == event.TYPE
    assert event.key() == told.subject
    assert event.at == told.time
    if isinstance(event, events.AccountRegistered | events.ProfileChanged):
        assert event.pii == events.PersonalData(name="김하늘", email="learner@banyan.test")


def test_every_published_version_has_an_example() -> None:
    assert {event.TYPE for event in event_schema.EVENTS} <= {example.stem for example in EXAMPLES}


def test_a_field_that_a_newer_publisher_adds_is_overlooked() -> None:
    text = (GOLDEN / "examples/banyan.learning.student-enrolled.v1.json").read_text(encoding="utf-8")
    whole = json.loads(text)
    whole["data"]["coupon"] = "SPRING"
    whole["tenant"] = "an attribute that CloudEvents lets anybody add"

    event = envelope.event_in(envelope.decode(json.dumps(whole)), events.StudentEnrolled)

    assert event.learners == 128


def test_make_check_and_make_fresh_refuse_a_broken_version(tmp_path: Path) -> None:
    for part in ("src", "tools", "docs", "migrations", "pyproject.toml", "old_site"):
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / part)
    contracts = tmp_path / "src/banyan/contracts/events.py"
    old = contracts.read_text(encoding="utf-8")
    contracts.write_text(old.replace("    session_id: str\n", "    session: str\n"), encoding="utf-8")
    golden = (tmp_path / "docs/events/banyan.iam.session-revoked.v1.json").read_bytes()

    for command in ("tools.check", "tools.generate"):
        run = subprocess.run(
            [sys.executable, "-m", command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

        assert run.returncode != 0
        assert "docs/events/banyan.iam.session-revoked.v1.json: the field `session_id` is gone" in run.stderr
        assert "Add a V2 instead" in run.stderr
    assert (tmp_path / "docs/events/banyan.iam.session-revoked.v1.json").read_bytes() == golden


class _OneKey:
    async def keys(self, persons: list[str]) -> dict[str, bytes]:
        return dict.fromkeys(persons, KEY)

    def forget(self, person: str) -> None:
        pass
