"""Links by mail: one for each who has an account, the same answer for everybody."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from banyan.iam import jobs
from banyan.iam.operations.mails import Mails
from banyan.infra.mail import Mail, Mailbox, MailNotSent, SmtpMailer

from .people import PASSWORD, House


@pytest.fixture
async def sending(house: House) -> AsyncIterator[Mailbox]:
    task = asyncio.create_task(jobs.send_mails(house.iam.mails, pause=0.02))
    yield Mailbox(house.settings)
    task.cancel()


async def ask(house: House, email: str, **headers: str) -> int:
    answer = await house.browser().ask("POST", "/api/v1/password-resets", {"email": email}, **headers)
    assert answer.content == b""
    return answer.status_code


async def link_of(mailbox: Mailbox, recipient: str) -> str:
    async with asyncio.timeout(10):
        while not (found := [mail for mail in mailbox.newest() if mail.recipient == recipient]):
            await asyncio.sleep(0.02)
    match = re.search(r"http://banyan\.example/_banyan/reset/(\S+)", found[0].body)
    assert match is not None
    return match[1]


async def test_a_forgotten_password_is_set_anew_and_all_sessions_end(house: House, sending: Mailbox) -> None:
    owner = house.browser()
    await owner.sign_up("a@example.com")
    assert await ask(house, " A@example.com ") == 202
    token = await link_of(sending, "a@example.com")
    stranger = house.browser()

    assert (await stranger.ask("GET", f"/api/v1/password-resets/{token}")).status_code == 204
    weak = await stranger.ask("PUT", f"/api/v1/password-resets/{token}", {"password": "short"})
    done = await stranger.ask("PUT", f"/api/v1/password-resets/{token}", {"password": "a better horse"})
    again = await stranger.ask("PUT", f"/api/v1/password-resets/{token}", {"password": "another horse"})

    assert (weak.status_code, done.status_code, again.status_code) == (422, 204, 404)
    assert again.json()["type"] == "/_banyan/problems/link-spent"
    assert (await owner.ask("GET", "/gw/refresh?u=/")).headers["x-banyan-gone"] == "1"
    assert (await house.browser().sign_in("a@example.com", PASSWORD)).status_code == 401
    assert (await house.browser().sign_in("a@example.com", "a better horse")).status_code == 204
    assert await house.database.fetchval("SELECT count(*) FROM mail") == 0


async def test_two_at_once_set_it_once(house: House, sending: Mailbox) -> None:
    await house.browser().sign_up("a@example.com")
    await ask(house, "a@example.com")
    token = await link_of(sending, "a@example.com")

    answers = await asyncio.gather(
        *(
            house.browser().ask("PUT", f"/api/v1/password-resets/{token}", {"password": f"horse number {n}"})
            for n in range(4)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [204, 404, 404, 404]


async def test_the_answer_does_not_tell_who_has_an_account(house: House, sending: Mailbox) -> None:
    await house.browser().sign_up("known@example.com")

    answers = [await ask(house, email) for email in ("known@example.com", "unknown@example.com", "rubbish", "")]

    assert answers == [202] * 4
    await link_of(sending, "known@example.com")
    assert len(sending.newest()) == 1


async def test_nobody_is_buried_in_mails(house: House, sending: Mailbox) -> None:
    await house.browser().sign_up("a@example.com")

    answers = [await ask(house, "a@example.com") for _ in range(6)]

    assert answers == [202] * 6
    await link_of(sending, "a@example.com")
    async with asyncio.timeout(10):
        while await house.database.fetchval("SELECT count(*) FROM mail"):
            await asyncio.sleep(0.02)
    assert len(sending.newest()) == house.settings.resets_account


async def test_a_link_is_too_old_after_its_time(house: House, sending: Mailbox) -> None:
    await house.browser().sign_up("a@example.com")
    await ask(house, "a@example.com")
    token = await link_of(sending, "a@example.com")
    await house.database.fetch("UPDATE password_reset SET expires_at = $1", datetime.now(UTC))

    answer = await house.browser().ask("PUT", f"/api/v1/password-resets/{token}", {"password": "a better horse"})

    assert answer.status_code == 404


async def test_the_token_is_kept_only_as_a_digest_once_the_mail_has_gone(house: House, sending: Mailbox) -> None:
    await house.browser().sign_up("a@example.com")
    await ask(house, "a@example.com")
    token = await link_of(sending, "a@example.com")
    async with asyncio.timeout(10):
        while await house.database.fetchval("SELECT count(*) FROM mail"):
            await asyncio.sleep(0.02)

    rows = await house.database.fetch("SELECT p::text AS line FROM password_reset p")

    assert len(rows) == 1
    assert token not in rows[0]["line"]


async def test_mails_speak_the_readers_language(house: House, sending: Mailbox) -> None:
    for email, language in (("ko@example.com", "ko-KR"), ("en@example.com", "en-GB")):
        await house.browser().sign_up(email)
        await ask(house, email, **{"accept-language": language})
        await link_of(sending, email)

    subjects = {mail.recipient: mail.subject for mail in sending.newest()}

    assert subjects == {
        "ko@example.com": "비밀번호를 새로 정하는 링크예요",
        "en@example.com": "Your link to set a new password",
    }


async def test_the_mailbox_shows_mails_on_this_machine_only(house: House, sending: Mailbox) -> None:
    await sending.send(mail(body="<b>http://banyan.example/reset/x</b>"))

    here = await house.client.get("/_banyan/mail", headers={"host": "127.0.0.1:8000", "x-forwarded-for": "127.0.0.1"})
    rebound = await house.client.get("/_banyan/mail", headers={"host": "evil.example", "x-forwarded-for": "127.0.0.1"})
    away = await house.client.get("/_banyan/mail", headers={"host": "localhost", "x-forwarded-for": "203.0.113.9"})

    assert (here.status_code, rebound.status_code, away.status_code) == (200, 404, 404)
    assert '&lt;b&gt;<a href="http://banyan.example/reset/x">' in here.text
    assert "<b>" not in here.text


async def test_a_mail_that_nobody_takes_waits_and_goes_later(house: House) -> None:
    class Stubborn:
        def __init__(self) -> None:
            self.refusals, self.taken = 1, list[str]()

        async def send(self, mail: Mail) -> None:
            if self.refusals:
                self.refusals -= 1
                raise MailNotSent("greylisted")
            self.taken.append(mail.id)

    await house.browser().sign_up("a@example.com")
    await ask(house, "a@example.com")
    server, now = Stubborn(), datetime.now(UTC)
    mails = Mails(house.database, server)

    assert await mails.send_next(now=now)
    assert not await mails.send_next(now=now)
    assert await mails.send_next(now=now + timedelta(seconds=40))
    assert len(server.taken) == 1
    assert not await mails.send_next(now=now + timedelta(hours=2))


async def test_mail_goes_out_by_smtp() -> None:
    received: list[bytes] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        while line := await reader.readline():
            if line.upper().startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                while (text := await reader.readline()) != b".\r\n":
                    received.append(text)
            writer.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 fine\r\n")
            if line.upper().startswith(b"QUIT"):
                break
        writer.close()

    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]

    await SmtpMailer(f"smtp://127.0.0.1:{port}", "Banyan <no-reply@banyan.example>").send(mail(body="안녕\n"))

    listening.close()
    text = b"".join(received).decode()
    assert "To: a@example.com" in text
    assert "Subject: Hi" in text
    with pytest.raises(MailNotSent):
        await SmtpMailer(f"smtp://127.0.0.1:{port}", "x@banyan.example").send(mail(body="x"))


def mail(*, body: str) -> Mail:
    made = Mail(id="1", recipient="a@example.com", subject="Hi", body=body, at=datetime.now(UTC))
    return replace(made, id="01a20ccf-a37d-79fb-a85a-4e425fb6420e")


async def test_an_operators_link_works_once(house: House) -> None:
    token = await house.iam.accounts.invite_operator(email="Boss@example.com", now=datetime.now(UTC))
    operator = house.browser()

    assert (await operator.sign_in("boss@example.com", "")).status_code == 401
    assert (
        await operator.ask("PUT", f"/api/v1/password-resets/{token}", {"password": "the boss's horse"})
    ).status_code == 204
    await operator.sign_in("boss@example.com", "the boss's horse")
    assert (await operator.ask("GET", "/api/v1/me")).json()["roles"] == ["learner", "operator"]
    assert await house.events() == ["account-registered"]


async def test_making_somebody_an_operator_ends_the_sessions_that_do_not_know(house: House) -> None:
    member = house.browser()
    await member.sign_up("a@example.com")

    await house.iam.accounts.invite_operator(email="a@example.com", now=datetime.now(UTC))

    assert (await member.ask("GET", "/api/v1/me")).status_code == 401
    # Nobody proved that address: whoever signed up with it may not become the operator by an old password.
    assert (await house.browser().sign_in("a@example.com")).status_code == 401
    assert member.session_id in (await member.ask("GET", "/internal/revoked-sessions")).json()["items"]
