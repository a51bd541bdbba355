"""The iam process, really run: signing in while it is killed, and its command line."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest

from banyan.clients.iam import IamClient
from banyan.contracts import iam as wire
from banyan.contracts import identity
from banyan.demo import catalogue
from banyan.infra.http_client import HttpClient, ServiceAway, ServiceRefused
from banyan.infra.identity import IamKeys, Verifier
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from tests.conftest import Postgres

from .people import claims_of

HEADERS = {"x-forwarded-for": "203.0.113.5", "user-agent": "Firefox"}


class Process:
    """`banyan run iam` on a database of its own; its socket stands where the private listener would."""

    def __init__(self, url: str, *, demo: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="by-", dir="/tmp"))
        self.environ = {
            **os.environ,
            "BANYAN_DATA": str(self.folder),
            "BANYAN_IAM_DATABASE_URL": url,
            "BANYAN_DEMO": "1" if demo else "0",
        }
        self.settings = Settings.read(self.environ)
        self.socket = self.folder / "run" / "iam.sock"
        self.log = (self.folder / "log").open("ab")
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "banyan.processes.run", "iam"]
        self.process = subprocess.Popen(command, env=self.environ, stdout=self.log, stderr=self.log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def ready(self) -> None:
        async with asyncio.timeout(30):
            while True:
                client = HttpClient(self.socket, "iam", timeout=1)
                try:
                    await client.call("GET", "/ready", type(None))
                    return
                except (ServiceAway, ServiceRefused):
                    assert self.process.poll() is None, (self.folder / "log").read_text()
                    await asyncio.sleep(0.05)
                finally:
                    await client.close()

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=15)
        self.log.close()
        said = (self.folder / "log").read_text()
        shutil.rmtree(self.folder)
        assert code == 0, said
        assert "Traceback" not in said


@pytest.fixture
def process(postgres: Postgres) -> Iterator[Process]:
    made = Process(postgres.url(asyncio.run(postgres.make_database())), demo=True)
    yield made
    made.end()


async def test_the_demos_people_sign_in_by_the_client(process: Process) -> None:
    await process.ready()
    http = HttpClient(process.socket, "iam")
    client = IamClient(http)

    cookies = await client.sign_in(
        wire.Credentials(email="learner@banyan.test", password=catalogue.PASSWORD), headers=HEADERS
    )
    with pytest.raises(ServiceRefused) as refused:
        await client.sign_in(wire.Credentials(email="learner@banyan.test", password="wrong"), headers=HEADERS)

    token = value(cookies, identity.SESSION_COOKIE)
    assert claims_of(token)["sub"] == catalogue.account_id(1)
    assert (refused.value.status, refused.value.slug) == (401, "wrong-credentials")
    await http.close()


async def test_a_service_knows_the_keys_while_iam_is_away_and_after_its_own_restart(process: Process) -> None:
    await process.ready()
    http = HttpClient(process.socket, "iam")
    given = wire.Credentials(email="learner@banyan.test", password=catalogue.PASSWORD)
    token = value(await IamClient(http).sign_in(given, headers=HEADERS), identity.SESSION_COOKIE)
    await http.close()
    (process.settings.run / "internal.sock").symlink_to(process.socket)

    first, second = IamKeys(process.settings), IamKeys(process.settings)
    assert await Verifier(first, process.settings).verify(token) is not None
    process.kill()
    restarted = await Verifier(second, process.settings).verify(token)
    process.start()
    await process.ready()

    assert restarted is not None
    assert restarted.account_id == catalogue.account_id(1)
    await first.close()
    await second.close()


async def test_strangers_cannot_make_a_service_ask_iam_for_every_key_they_invent(process: Process) -> None:
    await process.ready()
    (process.settings.run / "internal.sock").symlink_to(process.socket)
    keys = IamKeys(process.settings)
    asked = 0
    real = keys._http.get

    async def counting(*given: object, **named: object) -> object:
        nonlocal asked
        asked += 1
        return await real(*given, **named)  # type: ignore[call-overload] # handed on as it came

    keys._http.get = counting  # type: ignore[method-assign, assignment] # only to count
    await asyncio.gather(*(keys.find(f"invented-{n}") for n in range(50)))

    assert asked <= 2
    await keys.close()


async def test_whoever_was_told_that_she_is_signed_in_is_so_after_any_kill(process: Process) -> None:
    await process.ready()
    confirmed: list[str] = []
    stopping = asyncio.Event()

    async def sign_in(number: int) -> None:
        async with aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(process.socket)), cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            body = {"email": catalogue.person(50 + number).email, "password": catalogue.PASSWORD}
            while not stopping.is_set():
                try:
                    async with session.post(
                        "http://iam/api/v1/session", json=body, headers={**HEADERS, "sec-fetch-site": "same-origin"}
                    ) as answer:
                        await answer.read()
                        if answer.status == 204:
                            confirmed.append(value(answer.headers.getall("set-cookie"), identity.SESSION_COOKIE))
                except (aiohttp.ClientError, OSError):
                    await asyncio.sleep(0.02)

    visitors = [asyncio.create_task(sign_in(number)) for number in range(4)]
    for _ in range(3):
        await process.ready()
        await asyncio.sleep(0.7)
        process.kill()
        process.start()
    await process.ready()
    stopping.set()
    await asyncio.gather(*visitors)

    database = Database(process.environ["BANYAN_IAM_DATABASE_URL"])
    sessions = {str(row["id"]) for row in await database.fetch("SELECT id FROM session WHERE ended_at IS NULL")}
    hashes = await database.fetch("SELECT password_hash FROM account WHERE email = $1", catalogue.person(50).email)
    await database.close()
    assert len(confirmed) > 8
    assert {claims_of(token)["sid"] for token in confirmed} <= sessions
    assert hashes[0]["password_hash"].startswith("$argon2id$")


def test_an_operator_is_made_on_the_command_line(process: Process) -> None:
    asyncio.run(process.ready())

    def invite(email: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "banyan", "iam", "create-operator", email]
        return subprocess.run(command, env=process.environ, capture_output=True, text=True, timeout=60, check=False)

    made, bad = invite("boss@example.com"), invite("boss")

    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(f"{process.settings.url}/_banyan/reset/")
    assert bad.returncode == 1
    assert "not an e-mail address" in bad.stderr
    token = made.stdout.strip().rsplit("/", 1)[1]
    assert asyncio.run(works(process, token))


async def works(process: Process, token: str) -> bool:
    http = HttpClient(process.socket, "iam")
    try:
        return await IamClient(http).reset_works(token)
    finally:
        await http.close()


def test_fifty_thousand_people_take_seconds(postgres: Postgres) -> None:
    async def fill() -> tuple[int, float]:
        from banyan.iam.operations import seed
        from banyan.infra.migrations import migrate

        database = Database(postgres.url(await postgres.make_database()))
        await migrate(database, "iam")
        people = catalogue.people(50_000)
        started = time.monotonic()
        added = await seed.fill(database, people)
        seconds = time.monotonic() - started
        await database.close()
        return added, seconds

    added, seconds = asyncio.run(fill())

    assert added == 50_000
    assert seconds < 20


def value(cookies: list[str], name: str) -> str:
    return next(SimpleCookie(line)[name].value for line in cookies if line.startswith(f"{name}="))
