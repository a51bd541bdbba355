"""Sessions under any order of signing in, renewing, ending, expiring and replaying, against a model of a few lines."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pwdlib.hashers.argon2 import Argon2Hasher

from banyan.iam.domain import Issued, SessionUnknown, Visit, WrongCredentials
from banyan.infra.migrations import migrate
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.processes import iam
from tests.conftest import Postgres

EMAILS = ("a@example.com", "b@example.com")


@dataclass
class Held:
    """What a browser was once given, and may replay for ever. `alive` is what should be true of it."""

    email: str
    session_id: Any
    reference: str
    alive: bool = True


@dataclass
class Model:
    passwords: dict[str, str] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)
    run_out: set[Any] = field(default_factory=set)


def machine_on(postgres: Postgres, folder: Any) -> type[RuleBasedStateMachine]:
    told = replace(Settings.read({"BANYAN_DATA": str(folder)}), hash_threads=2, attempts_account=10**6)
    told = replace(told, attempts_address=10**6)
    told.make_folders()
    loop = asyncio.new_event_loop()
    database = Database(postgres.url(loop.run_until_complete(postgres.make_database())))
    house = iam.Iam(told, database)
    # What a hash costs is tried elsewhere.
    house.passwords._argon2 = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
    house.passwords._nobody = house.passwords._argon2.hash("nobody")
    loop.run_until_complete(migrate(database, "iam"))
    loop.run_until_complete(house.signing.keep(now=datetime.now(UTC)))

    def run(work: Any) -> Any:
        return loop.run_until_complete(work)

    def now() -> datetime:
        return datetime.now(UTC)

    class Sessions(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            for table in ("known_device", "session", "password_reset", "mail", "person_key", "account", "attempt"):
                run(database.fetch(f"DELETE FROM {table}"))
            self.model = Model()
            for email in EMAILS:
                visit = Visit(address="203.0.113.1", agent="x")
                account, issued = run(
                    house.accounts.register(email=email, password=f"first {email}!", name="x", visit=visit, now=now)
                )
                self.model.passwords[email] = f"first {email}!"
                self._hold(email, issued)
                setattr(self, f"id_{email[0]}", account.id)

        def _hold(self, email: str, issued: Issued) -> Held:
            assert issued.reference is not None
            assert all(issued.session_id != held.session_id for held in self.model.held)
            held = Held(email, issued.session_id, issued.reference)
            self.model.held.append(held)
            return held

        def _account(self, email: str) -> Any:
            return getattr(self, f"id_{email[0]}")

        def _one(self, index: int) -> Held:
            return self.model.held[index % len(self.model.held)]

        @rule(email=st.sampled_from(EMAILS), right=st.booleans(), former=st.none() | st.integers(0, 50))
        def sign_in(self, email: str, right: bool, former: int | None) -> None:
            held = None if former is None else self._one(former)
            visit = Visit(address="203.0.113.1", agent="x", reference=held.reference if held else None)
            password = self.model.passwords[email] if right else "wrong"
            try:
                issued = run(house.sessions.sign_in(email=email, password=password, visit=visit, now=now))
            except WrongCredentials:
                assert not right
                return
            assert right
            if held is not None:
                held.alive = False
            self._hold(email, issued)

        @rule(index=st.integers(0, 50), times=st.integers(1, 3))
        def renew(self, index: int, times: int) -> None:
            held = self._one(index)
            visit = Visit(address="203.0.113.2", agent="y", reference=held.reference)

            async def together() -> list[Issued | None]:
                return await asyncio.gather(
                    *(house.sessions.renew(reference=held.reference, visit=visit) for _ in range(times))
                )

            answers = run(together())
            assert {answer is not None for answer in answers} == {held.alive}
            assert {answer.session_id for answer in answers if answer} <= {held.session_id}

        @rule(index=st.integers(0, 50), by_reference=st.booleans())
        def sign_out(self, index: int, by_reference: bool) -> None:
            held = self._one(index)
            named = None if by_reference else (held.session_id, self._account(held.email))
            reference = held.reference if by_reference else None
            run(house.sessions.sign_out(reference=reference, session=named, now=now()))
            held.alive = False

        @rule(index=st.integers(0, 50), email=st.sampled_from(EMAILS))
        def end(self, index: int, email: str) -> None:
            held = self._one(index)
            try:
                run(house.sessions.end(session_id=held.session_id, account_id=self._account(email), now=now()))
            except SessionUnknown:
                assert not held.alive or held.email != email
                return
            # One that has only run out may be ended, too: a token of it could still be believed.
            assert held.alive or held.session_id in self.model.run_out
            assert held.email == email
            held.alive = False
            self.model.run_out.discard(held.session_id)

        @rule(index=st.integers(0, 50))
        def end_others(self, index: int) -> None:
            kept = self._one(index)
            run(house.sessions.end_others(account_id=self._account(kept.email), but=kept.session_id, now=now()))
            for held in self.model.held:
                if held.email == kept.email and held is not kept:
                    held.alive = False

        @rule(index=st.integers(0, 50))
        def expire(self, index: int) -> None:
            held = self._one(index)
            run(database.fetch("UPDATE session SET expires_at = $2 WHERE id = $1", held.session_id, now()))
            house.sessions._forget_renewals()  # as after the few seconds in which they are kept
            if held.alive:
                self.model.run_out.add(held.session_id)
            held.alive = False

        def teardown(self) -> None:
            """Who is alive, and of whom the gateway is told, is exactly what the model says."""
            if not hasattr(self, "model"):
                return
            rows = run(database.fetch("SELECT id FROM session WHERE ended_at IS NULL AND expires_at > now()"))
            assert {row["id"] for row in rows} == {held.session_id for held in self.model.held if held.alive}

    Sessions.closing = staticmethod(  # type: ignore[attr-defined] # for the test below
        lambda: (run(database.close()), house.passwords.close(), loop.close())
    )
    return Sessions


def test_no_order_of_things_brings_an_ended_session_back(postgres: Postgres, tmp_path: Any) -> None:
    machine = machine_on(postgres, tmp_path)
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=12,
                stateful_step_count=14,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
    finally:
        machine.closing()  # type: ignore[attr-defined] # as above
