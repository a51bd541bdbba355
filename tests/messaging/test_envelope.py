"""What may go out, what may come in, and that they are the same."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args, get_type_hints
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.contracts.events import AccountRegistered, CourseViewed, Event, PersonalData, StudentEnrolled
from banyan.infra import migrations
from banyan.infra.postgres import Database
from banyan.kit import ids
from banyan.messaging import envelope, limits, outbox
from banyan.messaging.envelope import EventRefused, EventTooLarge
from banyan.messaging.privacy import Seal
from banyan.messaging.sqs import publishing

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
WHOLE: dict[str, Any] = {
    "specversion": "1.0",
    "id": str(ids.uuid7()),
    "source": "learning",
    "type": "banyan.learning.course-viewed.v1",
    "subject": "c1",
    "time": "2026-11-24T09:00:00Z",
    "data": {"course_id": "c1", "account_id": None, "at": "2026-11-24T09:00:00Z"},
}


def enrolled(**changes: Any) -> StudentEnrolled:
    fields: dict[str, Any] = {"enrolment_id": "e", "course_id": "c", "slug": "s", "account_id": "a", "learners": 1}
    return StudentEnrolled(**{**fields, "at": NOW, **changes})


# Every plane of Unicode; no surrogates, which are no characters, and no NUL, which PostgreSQL has no place for.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
keys = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
moments = st.datetimes(timezones=st.just(UTC))
_VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(-(2**63), 2**63 - 1),
    datetime: moments,
    str | None: st.none() | texts,
    PersonalData: st.builds(PersonalData, name=texts, email=texts),
}


@st.composite
def events(draw: st.DrawFn) -> Event:
    kind: type[Event] = draw(st.sampled_from(get_args(Event)))
    hints = get_type_hints(kind)
    fields = {field.name: draw(_VALUES[hints[field.name]]) for field in dataclasses.fields(kind)}
    return kind(**{name: draw(keys) if name.endswith("_id") else value for name, value in fields.items()})


@settings(max_examples=300, deadline=None)
@given(events(), st.none() | texts)
def test_every_event_arrives_as_it_was_told(event: Event, request_id: str | None) -> None:
    envelope.check(event)
    told = envelope.of_row(
        event_id=ids.uuid7(),
        kind=event.TYPE,
        key=event.key(),
        data=envelope.data_of(event).decode(),
        at=event.at,
        request_id=request_id,
    )

    came = envelope.decode(envelope.encode(told))

    assert came == told
    assert envelope.event_in(came, type(event)) == event


@given(st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3), texts)
def test_half_of_a_surrogate_pair_is_refused_by_the_name_of_its_field(half: str, rest: str) -> None:
    with pytest.raises(EventRefused, match="`slug` holds half of a surrogate pair"):
        envelope.check(enrolled(slug=rest + half))


@given(texts, texts)
def test_a_nul_character_is_refused_by_the_name_of_its_field(before: str, after: str) -> None:
    person = PersonalData(name=f"{before}\0{after}", email="")
    with pytest.raises(EventRefused, match=r"`pii\.name` holds a NUL character, which PostgreSQL cannot store"):
        envelope.check(AccountRegistered(account_id="a", at=NOW, pii=person))


def test_words_that_only_look_like_a_nul_are_words() -> None:
    envelope.check(enrolled(slug=r"\u0000"))


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (enrolled(at=NOW.replace(tzinfo=None)), "is not in UTC"),
        (enrolled(at=NOW.astimezone(timezone(timedelta(hours=9)))), "is not in UTC"),
        (enrolled(learners="128"), "StudentEnrolled is not what it says: Expected `int`, got `str`"),
        (enrolled(slug=None), "Expected `str`, got `null`"),
        (enrolled(course_id=""), "The key is ''"),
        (enrolled(course_id="c\n1"), "1-256 characters in one line"),
        (enrolled(course_id="c" * 257), "1-256 characters in one line"),
    ],
)
def test_what_every_consumer_would_refuse_is_refused_where_it_is_told(event: Event, said: str) -> None:
    with pytest.raises(EventRefused, match=said):
        envelope.check(event)


def test_an_event_that_is_not_in_the_contracts_is_refused() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Nameless(CourseViewed):
        pass

    with pytest.raises(EventRefused, match="Nameless is not in `Event`"):
        envelope.check(Nameless(course_id="c", account_id=None, at=NOW))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"specversion": "0.3"}, "Invalid enum value '0.3'"),
        ({"specversion": None}, "specversion"),
        ({"id": "42"}, "`id` is '42'; it must be a UUID"),
        ({"id": 42}, r"Expected `str`, got `int` - at `\$.id`"),
        ({"source": "iam"}, "`source` is 'iam', but banyan.learning.course-viewed.v1 is told by learning"),
        ({"type": "CourseViewed"}, "it must look like banyan.<context>.<what-happened>.v<number>"),
        ({"type": "banyan.learning.course-viewed.v0"}, "must look like"),
        ({"type": "banyan.learning.course-viewed"}, "must look like"),
        ({"subject": ""}, "The key is ''"),
        ({"time": "2026-11-24T09:00:00"}, "timezone"),
        ({"time": "2026-11-24T18:00:00+09:00"}, "is not in UTC"),
        ({"time": "yesterday"}, "Invalid RFC3339"),
        ({"datacontenttype": "text/xml"}, "Invalid enum value 'text/xml'"),
        ({"data": []}, "Expected `object`, got `array`"),
        ({"data": {"pii": {"name": "a\0b"}}}, r"`pii\.name` holds a NUL character"),
        ({"data": {"text": "x" * limits.LARGEST}}, "262,144 are the most that any broker takes"),
    ],
)
def test_what_is_no_event_of_ours_is_refused_with_what_is_wrong(change: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        envelope.decode(json.dumps({**WHOLE, **change}))


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "subject", "time", "data"])
def test_an_envelope_without_one_of_its_attributes_is_refused(name: str) -> None:
    without = {key: value for key, value in WHOLE.items() if key != name}

    with pytest.raises(msgspec.ValidationError, match=f"missing required field `{name}`"):
        envelope.decode(json.dumps(without))


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[" * 5000, '{"specversion":"1.0","data":' + '{"a":' * 5000, "\ud800"]
)
def test_what_is_no_json_object_is_refused_and_nothing_worse(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        envelope.decode(text)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_else_than_be_refused(noise: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        envelope.decode(noise)


def test_a_newer_version_and_a_strangers_attribute_are_no_fault_of_the_envelope() -> None:
    told = envelope.decode(json.dumps({**WHOLE, "type": "banyan.learning.course-viewed.v12", "tenant": "t1"}))

    assert told.type not in envelope.TYPES


@pytest.fixture
async def database(learning_database: Database) -> Database:
    await migrations.migrate(learning_database, "learning")
    return learning_database


async def test_the_size_that_counts_is_that_of_the_whole_in_utf8(database: Database) -> None:
    seal = Seal(person=str(uuid4()), key=bytes(32))
    # 한 is three bytes, and four more in base64: a text of this length is small in characters and too large on its way.
    person = PersonalData(name="한" * 66_000, email="")
    room = limits.LARGEST - limits.BESIDE

    async with database.transaction() as tx:
        with pytest.raises(EventTooLarge, match=f"{room:,} are allowed, because SNS and SQS take no more"):
            await outbox.add(tx, AccountRegistered(account_id="a", at=NOW, pii=person), seal=seal)
        with pytest.raises(EventTooLarge):
            await outbox.add(tx, enrolled(slug="x" * (room - 300)))
        fits = await outbox.add(tx, enrolled(slug="x" * (room - 900)))

    row = await database.fetchrow("SELECT * FROM event")
    assert row is not None
    assert row["id"] == fits
    whole = envelope.of_row(
        event_id=row["id"], kind=row["type"], key=row["key"], data=row["data"], at=row["at"], request_id=None
    )
    assert room - 1000 < len(envelope.encode(whole)) <= room


def test_what_aws_gets_escaped_counts_as_it_is_escaped() -> None:
    told = envelope.decode(json.dumps({**WHOLE, "data": {"slug": "\uffff\ufffe한\x85"}}))

    sent = publishing.entry(told).body

    assert limits.size_of(envelope.encode(told)) == len(sent.encode()) == len(envelope.encode(told)) + 6
    assert envelope.decode(sent) == told


async def test_a_refusal_leaves_the_transaction_usable(database: Database) -> None:
    async with database.transaction() as tx:
        for wrong in (enrolled(slug="a\0b"), enrolled(slug="\ud83d"), enrolled(at=NOW.replace(tzinfo=None))):
            with pytest.raises(EventRefused):
                await outbox.add(tx, wrong)
        await outbox.add(tx, enrolled(slug="\U0001f332 한글 \u200d \x01"))

    assert await database.fetchval("SELECT data ->> 'slug' FROM event") == "\U0001f332 한글 \u200d \x01"
