"""Alerts of a running Banyan, with the rules of its first start: a real webhook and a real mail server hear of each
fault within 15 seconds, of its end, and of nothing while all is well."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from banyan.monitor.domain import rules
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.monitor.receivers import MailServer, Webhook, mail_server, until, webhook
from tests.processes.visitors import visiting

WITHIN = 15.0
QUIET_SECONDS = 20
OVER_WITHIN = 90.0


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    with webhook() as hook:
        yield hook


@pytest.fixture(scope="module")
def post() -> Iterator[MailServer]:
    with mail_server() as post:
        yield post


@pytest.fixture(scope="module")
def door(hook: Webhook, post: MailServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontDoor]:
    file: Path = tmp_path_factory.mktemp("alerts") / "alerts.rules"
    file.write_text(rules.default_file(operators=f"webhook {hook.url}, mail operator@example.com"))
    told = {"BANYAN_ALERT_RULES": str(file), "BANYAN_SMTP_URL": post.url, "BANYAN_ALERT_CALM_SECONDS": "2"}
    with banyan_up("--demo", environ=told) as door:
        yield door


def pids(door: FrontDoor) -> dict[str, int]:
    return {process["name"]: process["pid"] for process in door.status()["processes"]}


def until_all_is_well(door: FrontDoor, hook: Webhook) -> None:
    """Every alert that was told has been told to be over."""

    def open_ones() -> set[str]:
        states = {got.document["id"]: got.document["state"] for got in hook.got}
        return {each for each, state in states.items() if state == "firing"}

    until(
        lambda: not open_ones() and door.status()["ready"], within=OVER_WITHIN, what=lambda: door.banyan("alert", "ls")
    )


def test_while_all_is_well_nobody_is_told_of_anything(door: FrontDoor, hook: Webhook, post: MailServer) -> None:
    with visiting(door, "/", pause=0.2) as old, visiting(door, "/courses", pause=0.2) as new:
        time.sleep(QUIET_SECONDS)

    assert old.served
    assert new.served
    assert [got.document["text"] for got in hook.got] == []
    assert post.mails == []
    shown = json.loads(door.banyan("alert", "ls", "--json"))["items"]
    assert [alert for alert in shown if alert["state"] != "waiting"] == []


def test_processes_and_servers_that_are_killed_are_told_and_so_is_that_they_are_back(
    door: FrontDoor, hook: Webhook, post: MailServer
) -> None:
    victims = ["postgres-core", "web", "relay", "envoy"]
    found = pids(door)
    for name in victims:
        os.kill(found[name], signal.SIGKILL)

    for name in victims:
        until(lambda name=name: hook.about(name, figure="process.restarts"), within=WITHIN, what=lambda name=name: name)
    until_all_is_well(door, hook)

    for name in victims:
        states = [each["state"] for each in hook.about(name, figure="process.restarts")]
        assert states == ["firing", "over"], name
    for beginning in ("[Banyan] web: process.restarts is ", "[Banyan] Over: web: process.restarts is "):
        until(
            lambda beginning=beginning: any(mail["subject"].startswith(beginning) for mail in post.mails),
            within=WITHIN,
            what=lambda: [mail["subject"] for mail in post.mails],
        )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("learning", "hang"),
        ("postgres-aside", "hang"),
        ("postgres-front", "slow"),
        ("relay", "slow"),
        ("envoy", "disk-full"),
    ],
)
def test_a_fault_that_no_visitor_may_feel_is_told(door: FrontDoor, hook: Webhook, name: str, kind: str) -> None:
    before = len(hook.about(name, state="firing"))
    door.banyan("fault", "add", name, kind, "--for", "40s")
    try:
        until(lambda: len(hook.about(name, state="firing")) > before, within=WITHIN)
    finally:
        door.banyan("fault", "rm", name)
    until_all_is_well(door, hook)

    assert {each["state"] for each in hook.about(name)} == {"firing", "over"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_monitor_itself_is_replaced_and_says_so(door: FrontDoor, hook: Webhook, number: signal.Signals) -> None:
    pid = pids(door)["monitor"]
    before = len(hook.about("monitor", state="firing", figure="process.restarts"))
    os.kill(pid, number)

    until(lambda: pids(door)["monitor"] not in (pid, None), within=WITHIN)
    until(
        lambda: len(hook.about("monitor", state="firing", figure="process.restarts")) > before,
        within=WITHIN,
        what=lambda: (door.data / "logs" / "monitor.log").read_text()[-2000:],
    )
    until_all_is_well(door, hook)


def test_a_restart_that_somebody_wants_is_no_alert(door: FrontDoor, hook: Webhook) -> None:
    before = [got.document for got in hook.got]

    for name in ("web", "postgres-front", "envoy"):
        door.banyan("restart", name)
        until(lambda: door.status()["ready"], within=30)
    time.sleep(4)

    assert [got.document for got in hook.got][len(before) :] == []


def test_a_trial_reaches_everybody(door: FrontDoor, hook: Webhook, post: MailServer) -> None:
    said = door.banyan("alert", "test")

    assert said.splitlines() == ["mail operator@example.com: told", "webhook 127.0.0.1: told"]
    assert hook.got[-1].document["state"] == "trial"
    assert post.mails[-1]["subject"] == "[Banyan] This is a trial"
