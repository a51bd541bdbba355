"""Personal data in events: sealed for one person and one event, opened before a transaction, blank once erased."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from banyan.contracts.events import AccountErased, AccountRegistered, PersonalData, ProfileChanged
from banyan.infra.postgres import Connection, Database
from banyan.messaging import Consumer, consuming, envelope, on, privacy
from banyan.messaging.consumers import Pace
from banyan.messaging.envelope import Envelope
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.privacy import NotOpened, Seal
from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tests.messaging.persons import Persons, seal_of
from tests.messaging.waiting import until

NAME, EMAIL = "김하늘", "haneul@banyan.test"
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
IN_A_TRANSACTION = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""
BRISK = Pace(hold=1.0, first_retry=0.05, longest_retry=0.2, poll=0.05)


def registered(person: str, *, seal: Seal | None = None, name: str = NAME) -> Envelope:
    """Sealed as the outbox does it."""
    event = AccountRegistered(account_id=person, at=NOW, pii=PersonalData(name=name, email=EMAIL))
    event_id = uuid.uuid4()
    data = envelope.data_of(event, pii=privacy.sealed(event, event_id, seal or seal_of(event)))
    return of(event, event_id, data)


def plain(person: str) -> Envelope:
    """As the program before this one told of it."""
    event = AccountRegistered(account_id=person, at=NOW, pii=PersonalData(name=NAME, email=EMAIL))
    return of(event, uuid.uuid4(), envelope.data_of(event))


def erased(person: str) -> Envelope:
    event = AccountErased(account_id=person, at=NOW)
    return of(event, uuid.uuid4(), envelope.data_of(event))


def of(event: AccountRegistered | AccountErased, event_id: uuid.UUID, data: bytes) -> Envelope:
    return envelope.of_row(
        event_id=event_id, kind=event.TYPE, key=event.key(), data=data.decode(), at=NOW, request_id=None
    )


def with_pii(told: Envelope, **changed: str) -> Envelope:
    return msgspec.structs.replace(told, data={**told.data, "pii": {**told.data["pii"], **changed}})


async def test_what_is_sealed_says_nothing_and_opens_to_what_it_was() -> None:
    first, second = registered("a1"), registered("a1")

    for told in (first, second):
        assert set(told.data["pii"]) == {"person", "sealed"}
        assert not any(text in envelope.encode(told).decode() for text in (NAME, EMAIL, "haneul"))
    assert first.data["pii"]["sealed"] != second.data["pii"]["sealed"]
    [told] = await privacy.opened([first], Persons())
    assert envelope.event_in(told, AccountRegistered).pii == PersonalData(name=NAME, email=EMAIL)


async def test_what_is_sealed_opens_in_its_own_event_only_and_a_failure_tells_nothing() -> None:
    told, other = registered("a1"), registered("a1")
    blob = str(told.data["pii"]["sealed"])
    flipped = ("B" if blob[20] == "A" else "A").join((blob[:20], blob[21:]))
    wrong = [
        with_pii(other, sealed=blob),
        msgspec.structs.replace(told, type=ProfileChanged.TYPE),
        with_pii(told, person="a2"),
        with_pii(told, sealed=flipped),
        with_pii(told, sealed=blob[:40]),
        with_pii(told, sealed=""),
        with_pii(told, sealed="no base64!"),
        registered("a1", seal=Seal("a1", bytes(32))),
    ]

    for one in wrong:
        with pytest.raises(NotOpened) as refused:
            await privacy.opened([one], Persons())
        assert one.id in str(refused.value)
        assert not any(text in str(refused.value) for text in (NAME, EMAIL, blob))
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__


async def test_all_keys_of_a_batch_are_asked_for_at_once_and_none_where_nothing_is_sealed() -> None:
    people = Persons()

    told = await privacy.opened([registered("b"), plain("p"), registered("a"), registered("b"), erased("e")], people)
    await privacy.opened([plain("p"), erased("e")], people)

    assert people.asked == [["a", "b"]]
    assert [one.data.get("pii") for one in told] == [{"name": NAME, "email": EMAIL}] * 4 + [None]


async def test_an_erased_person_is_forgotten_before_anything_is_opened_and_comes_blank() -> None:
    people = Persons()
    people.erased.add("a1")

    first, _ = await privacy.opened([registered("a1"), erased("a1")], people)

    assert people.forgotten == ["a1"]
    assert envelope.event_in(first, AccountRegistered).pii == PersonalData(name="", email="")


async def test_a_consumer_that_was_given_nobody_to_ask_says_so() -> None:
    with pytest.raises(NotOpened, match="`people`"):
        await privacy.opened([registered("a1")], None)


def test_a_masked_event_shows_that_there_is_something_and_nothing_else() -> None:
    shown = privacy.masked(registered("a1").data)

    assert shown["pii"] == {"name": "***", "email": "***"}
    assert shown["account_id"] == "a1"
    assert privacy.masked(erased("a1").data) == erased("a1").data


@pytest.fixture
def seen() -> list[tuple[str, str]]:
    return []


def consumer(database: Database, people: Persons, seen: list[tuple[str, str]], *, pace: Pace = BRISK) -> Consumer:
    async def note(_: Connection, event: AccountRegistered) -> None:
        seen.append((event.account_id, event.pii.name))

    async def gone(_: Connection, event: AccountErased) -> None:
        seen.append((event.account_id, "erased"))

    async def nothing(_: Connection, __: object) -> None:
        return None

    handlers = [on(AccountRegistered, note), on(ProfileChanged, nothing), on(AccountErased, gone)]
    return Consumer(
        name="learning-from-iam", source="iam", handlers=handlers, database=database, people=people, pace=pace
    )


async def queue_of(*told: Envelope) -> MemoryBroker:
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    await broker.publish(told)
    return broker


@pytest.mark.parametrize("together", [1, 16])
async def test_while_iam_is_away_what_is_sealed_waits_and_the_rest_goes_on(
    learning: Database, seen: list[tuple[str, str]], together: int
) -> None:
    people = Persons()
    people.away = True
    broker = await queue_of(registered("a"), erased("a"), plain("b"), erased("c"))

    async with consuming(broker, [consumer(learning, people, seen, pace=replace(BRISK, together=together))]):

        async def rest_is_done() -> bool:
            return len(seen) >= 2 and len(people.asked) >= 12

        await until(rest_is_done)
        assert sorted(seen) == [("b", NAME), ("c", "erased")]
        people.away = False

        async def all_is_done() -> bool:
            return len(seen) == 4

        await until(all_is_done)
    assert [what for who, what in seen if who == "a"] == [NAME, "erased"]
    assert await learning.fetchval("SELECT count(*) FROM dead_letter") == 0


async def test_keys_are_fetched_before_a_transaction_is_begun(learning: Database, seen: list[tuple[str, str]]) -> None:
    begun: list[int] = []

    class Watching(Persons):
        async def keys(self, persons: Sequence[str]) -> dict[str, bytes | None]:
            begun.append(await learning.fetchval(IN_A_TRANSACTION))
            return dict(await super().keys(persons))

    broker = await queue_of(*(registered(person) for person in ("a", "b", "c")))
    async with consuming(broker, [consumer(learning, Watching(), seen, pace=replace(BRISK, lanes=1))]):

        async def done() -> bool:
            return len(seen) == 3

        await until(done)
    assert set(begun) == {0}


async def test_what_does_not_open_is_a_fault_of_that_event_alone(
    learning: Database, seen: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = with_pii(registered("a"), sealed=registered("a").data["pii"]["sealed"])
    broker = await queue_of(bad, registered("b"), registered("c"))
    people = Persons()

    async with consuming(broker, [consumer(learning, people, seen)]):

        async def is_in_the_dead_letters() -> bool:
            return len(seen) == 2 and await learning.fetchval("SELECT count(*) FROM dead_letter") == 1

        await until(is_in_the_dead_letters)
    assert sorted(who for who, _ in seen) == ["b", "c"]
    letter = await learning.fetchrow("SELECT key, state, error, traceback FROM dead_letter")
    assert letter is not None
    assert (letter["key"], letter["state"]) == ("a", "malformed")
    told = capsys.readouterr().out + letter["error"] + letter["traceback"]
    assert f"event {bad.id}" in letter["error"]
    assert not any(text in told for text in (NAME, EMAIL, bad.data["pii"]["sealed"]))
