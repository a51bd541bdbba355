"""Telling somebody of an alert: real mail, a real webhook, and what happens when they cannot be reached."""

import asyncio
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from banyan.infra.mail import Mailbox
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from banyan.monitor.adapters.papers import NoteFile, RuleFile
from banyan.monitor.adapters.telling import Teller
from banyan.monitor.domain.restarts import Counted
from banyan.monitor.operations.alerts import Alerts

from .receivers import MailServer, Webhook, mail_server, webhook

AWAY = {"process.away": {"web": 1.0}}
WELL = {"process.away": {"web": 0.0}}


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as hook:
        yield hook


@pytest.fixture
def post() -> Iterator[MailServer]:
    with mail_server() as post:
        yield post


def settings_of(folder: Path, rules: str, **more: str) -> Settings:
    found = Settings.read(
        {
            "BANYAN_DATA": str(folder / "data"),
            "BANYAN_ALERT_CALM_SECONDS": "0",
            "BANYAN_ALERT_RETRY_SECONDS": "0.1",
            **more,
        }
    )
    found.make_folders()
    (found.data / "alerts.rules").write_text(rules)
    return found


@asynccontextmanager
async def alerting(settings: Settings) -> AsyncIterator[Alerts]:
    """As the process has it; a second one on the same folder is what it is after a restart."""
    notes = NoteFile(settings)
    alerts = Alerts(
        settings,
        rules=RuleFile(settings),
        notes=notes,
        known=notes.load().incidents,
        counted=Counted,
        teller=Teller(settings),
    )
    yield alerts
    await alerts.close()


def weigh(alerts: Alerts, values: dict[str, dict[str, float]]) -> None:
    alerts.weigh(values, now=datetime.now(UTC))


async def tell_until(alerts: Alerts, holds: Callable[[], object], *, within: float = 10) -> None:
    async with asyncio.timeout(within):
        while not holds():
            alerts.tell(now=datetime.now(UTC))
            await asyncio.sleep(0.02)


async def tell_for(alerts: Alerts, seconds: float) -> None:
    for _ in range(int(seconds / 0.02)):
        alerts.tell(now=datetime.now(UTC))
        await asyncio.sleep(0.02)


async def test_a_webhook_hears_of_the_beginning_and_of_the_end_each_once_and_signed(
    tmp_path: Path, hook: Webhook
) -> None:
    settings = settings_of(tmp_path, f"process.away > 0 for 0s -> webhook {hook.url}")
    async with alerting(settings) as alerts:
        for _ in range(5):
            weigh(alerts, AWAY)
        await tell_until(alerts, lambda: hook.got)
        weigh(alerts, WELL)
        await tell_until(alerts, lambda: len(hook.got) == 2)
        await tell_for(alerts, 0.3)

    assert [got.document["state"] for got in hook.got] == ["firing", "over"]
    first = hook.got[0]
    assert first.document["text"] == "web: process.away is 1 (process.away > 0 for 0s)"
    signed = first.headers["x-banyan-timestamp"].encode() + b"." + first.body
    key = secret(settings.secrets, "alert-webhook").encode()
    assert first.headers["x-banyan-signature"] == "sha256=" + hmac.new(key, signed, hashlib.sha256).hexdigest()
    assert first.headers["x-banyan-delivery"] != hook.got[1].headers["x-banyan-delivery"]
    assert first.document["id"] == hook.got[1].document["id"]


async def test_a_mail_goes_out_by_smtp(tmp_path: Path, post: MailServer) -> None:
    rules = "process.away > 0 for 0s -> mail a@example.com, mail b@example.com"
    async with alerting(settings_of(tmp_path, rules, BANYAN_SMTP_URL=post.url)) as alerts:
        weigh(alerts, AWAY)
        await tell_until(alerts, lambda: len(alerts.shown(now=datetime.now(UTC))[0].told) == 2)

        (alert,) = alerts.shown(now=datetime.now(UTC))

    assert {mail["to"] for mail in post.mails} == {"a@example.com", "b@example.com"}
    assert post.mails[0]["subject"] == "[Banyan] web: process.away is 1 (process.away > 0 for 0s)"
    assert "/_banyan/console" in post.mails[0]["body"]
    assert sorted(alert.told) == ["mail a@example.com", "mail b@example.com"]


async def test_in_the_demo_a_mail_is_in_its_mailbox(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "process.away > 0 for 0s -> mail operator@banyan.test", BANYAN_DEMO="1")
    async with alerting(settings) as alerts:
        weigh(alerts, AWAY)
        await tell_until(alerts, lambda: Mailbox(settings).newest())

    (mail,) = Mailbox(settings).newest()
    assert mail.recipient == "operator@banyan.test"
    assert mail.subject.startswith("[Banyan] web")


async def test_what_could_not_be_told_is_shown_and_told_later(tmp_path: Path, hook: Webhook) -> None:
    hook.status = 500
    rules = f"process.away > 0 for 0s -> webhook {hook.url}, mail a@example.com"
    async with alerting(settings_of(tmp_path, rules)) as alerts:
        weigh(alerts, AWAY)
        await tell_until(alerts, lambda: len(alerts.shown(now=datetime.now(UTC))[0].untold) == 2)
        (alert,) = alerts.shown(now=datetime.now(UTC))
        hook.status = 204
        await tell_until(alerts, lambda: alerts.shown(now=datetime.now(UTC))[0].told)

        (after,) = alerts.shown(now=datetime.now(UTC))

    assert sorted(alert.untold) == [
        "mail a@example.com: no mail server is set (BANYAN_SMTP_URL)",
        "webhook 127.0.0.1: it answered 500",
    ]
    assert after.told == ["webhook 127.0.0.1"]
    assert len({got.headers["x-banyan-delivery"] for got in hook.got}) == 1


async def test_one_who_does_not_answer_keeps_no_other_waiting(tmp_path: Path, hook: Webhook) -> None:
    hook.pause = 3
    rules = f"process.away > 0 for 0s -> webhook {hook.url}\ndisk.free < 1GB for 0s -> mail operator@banyan.test"
    settings = settings_of(tmp_path, rules, BANYAN_DEMO="1")
    async with alerting(settings) as alerts:
        weigh(alerts, AWAY)
        await tell_for(alerts, 0.1)
        weigh(alerts, {**AWAY, "disk.free": {"data": 1.0}})

        await tell_until(alerts, lambda: Mailbox(settings).newest(), within=2)

    assert hook.got == []


async def test_after_a_restart_nobody_is_told_twice_and_the_end_is_told(tmp_path: Path, hook: Webhook) -> None:
    settings = settings_of(tmp_path, f"process.away > 0 for 0s -> webhook {hook.url}")
    async with alerting(settings) as alerts:
        weigh(alerts, AWAY)
        await tell_until(alerts, lambda: alerts.shown(now=datetime.now(UTC))[0].told)

    async with alerting(settings) as restarted:
        weigh(restarted, AWAY)
        await tell_for(restarted, 0.3)
        once = len(hook.got)
        weigh(restarted, WELL)
        await tell_until(restarted, lambda: len(hook.got) == 2)

    assert once == 1
    assert [got.document["state"] for got in hook.got] == ["firing", "over"]


async def test_what_was_not_told_before_a_restart_is_told_after_it(tmp_path: Path, hook: Webhook) -> None:
    settings = settings_of(tmp_path, f"process.away > 0 for 0s -> webhook {hook.url}")
    async with alerting(settings) as alerts:
        weigh(alerts, AWAY)

    async with alerting(settings) as restarted:
        await tell_until(restarted, lambda: hook.got)

    assert hook.got[0].document["state"] == "firing"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"incidents": 1}'])
async def test_broken_notes_keep_nobody_from_being_told(tmp_path: Path, hook: Webhook, content: bytes) -> None:
    settings = settings_of(tmp_path, f"process.away > 0 for 0s -> webhook {hook.url}")
    (settings.run / "alerts.json").write_bytes(content)
    async with alerting(settings) as alerts:
        weigh(alerts, AWAY)

        await tell_until(alerts, lambda: hook.got)


async def test_notes_that_cannot_be_written_keep_nobody_from_being_told(tmp_path: Path, hook: Webhook) -> None:
    settings = settings_of(tmp_path, f"process.away > 0 for 0s -> webhook {hook.url}")
    (settings.run / "alerts.tmp").mkdir()
    async with alerting(settings) as alerts:
        weigh(alerts, AWAY)

        await tell_until(alerts, lambda: hook.got)


async def test_an_edited_file_counts_at_once_and_its_faults_are_named(tmp_path: Path, hook: Webhook) -> None:
    settings = settings_of(tmp_path, "process.away > 5 for 0s")
    async with alerting(settings) as alerts:
        weigh(alerts, AWAY)
        before = alerts.shown(now=datetime.now(UTC))
        path = settings.data / "alerts.rules"
        path.write_text(f"nonsense\nprocess.away > 0 for 0s -> webhook {hook.url}\n")
        os.utime(path, ns=(1, 1))
        weigh(alerts, AWAY)
        page = alerts.page(now=datetime.now(UTC))

    assert before == []
    assert [alert.state for alert in page.items] == ["firing"]
    assert page.faults[0].startswith("line 1: ")
    assert page.rules[0] == "nonsense"


async def test_a_file_that_is_gone_is_written_anew_with_rules_that_suit_most(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "")
    (settings.data / "alerts.rules").unlink()
    async with alerting(settings) as alerts:
        page = alerts.page(now=datetime.now(UTC))

    assert page.faults == []
    assert len(page.rules) > 15
    assert (settings.data / "alerts.rules").stat().st_mode & 0o777 == 0o600


async def test_a_file_that_cannot_be_read_is_a_fault_and_the_rules_go_on(tmp_path: Path, hook: Webhook) -> None:
    settings = settings_of(tmp_path, f"process.away > 0 for 0s -> webhook {hook.url}")
    path = settings.data / "alerts.rules"
    async with alerting(settings) as alerts:
        weigh(alerts, WELL)
        path.unlink()
        path.mkdir()
        weigh(alerts, AWAY)
        page = alerts.page(now=datetime.now(UTC))

    assert [alert.state for alert in page.items] == ["firing"]
    assert "alerts.rules cannot be read" in page.faults[0]


async def test_a_trial_tells_everybody_and_says_whom_it_did_not_reach(tmp_path: Path, hook: Webhook) -> None:
    settings = settings_of(tmp_path, f"ops = webhook {hook.url}\nprocess.away > 0 for 0s -> mail a@example.com, ops")
    async with alerting(settings) as alerts:
        told = await alerts.try_all(now=datetime.now(UTC))

    assert [(each.recipient, each.fault) for each in told] == [
        ("mail a@example.com", "no mail server is set (BANYAN_SMTP_URL)"),
        ("webhook 127.0.0.1", ""),
    ]
    assert hook.got[0].document["state"] == "trial"
