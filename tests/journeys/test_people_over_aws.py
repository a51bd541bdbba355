"""People and events, with events carried by SNS and SQS (docs/guides/sns-sqs.md): nobody notices."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks
from tests.messaging.wire import Faults
from tests.messaging.wire_beside import WireBeside, wire_beside
from tests.ministack import environ

from . import browser
from .front_door import FrontDoor, banyan_up, free_port
from .test_people import count_on, free_course, sign_in, until_count
from .test_people import test_everything_a_learner_needs_works_without_javascript as test_without_javascript
from .test_people import test_from_the_old_home_through_a_lesson_and_out_of_both_sides as test_through_a_lesson

__all__ = ["test_through_a_lesson", "test_without_javascript"]


@pytest.fixture(scope="module")
def wire(aws: str) -> Iterator[WireBeside]:
    with wire_beside(aws) as wire:
        yield wire


@pytest.fixture(scope="module")
def demo(wire: WireBeside) -> Iterator[FrontDoor]:
    """AWS is away when it starts, and comes back later."""
    wire.wire.faults = Faults(answer_500=1.0)
    told = {**environ(wire.url), "BANYAN_BROKER": "sns+sqs", "BANYAN_QUEUE_PREFIX": "journey"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        mended = wire.mend_after("GetCallerIdentity", times=2)
        with banyan_up("--demo") as door:
            mended.join(10)
            yield door


def test_banyan_up_has_made_what_it_needs_and_says_what_it_waited_for(demo: FrontDoor) -> None:
    relay = [json.loads(line) for line in (demo.data / "logs" / "relay.log").read_text().splitlines()]
    assert [line["event"] for line in relay if line["event"].startswith("waiting for")] == ["waiting for what it needs"]
    assert "made by a test" in next(line["reason"] for line in relay if "reason" in line)
    assert demo.banyan("event", "provision", "--plan").strip() == "= nothing to do"


def test_the_commands_of_the_guide_work(demo: FrontDoor) -> None:
    guide = ROOT / "docs" / "guides" / "sns-sqs.md"
    said = [
        demo.banyan(*shlex.split(line)[1:])
        for block in blocks(guide)
        if block.kind == "by"
        for line in block.code.splitlines()
    ]
    assert [text.splitlines()[0] for text in said[:2]] == ["= nothing to do"] * 2
    assert '"sns:Publish"' in said[2]


def test_only_who_tells_or_hears_of_events_knows_the_keys_to_aws(demo: FrontDoor) -> None:
    state = json.loads((demo.data / "run" / "state.json").read_text())
    knows = {
        one["name"]
        for one in state["processes"]
        if b"AWS_SECRET_ACCESS_KEY" in Path(f"/proc/{one['pid']}/environ").read_bytes()
    }
    assert knows == {"iam", "learning", "live", "relay"}


async def test_what_happens_while_aws_is_away_is_told_when_it_is_back(demo: FrontDoor, wire: WireBeside) -> None:
    async with browser.visitor(locale="en-US") as visitor, browser.visitor(locale="en-US") as watcher:
        slug = await free_course(visitor.page, demo, 2)
        await watcher.page.goto(f"{demo.url}/courses/{slug}")
        before = await count_on(watcher.page)
        await sign_in(visitor.page, demo)

        wire.cut()
        await visitor.page.goto(f"{demo.url}/courses/{slug}")
        async with visitor.page.expect_navigation():
            await visitor.page.locator("form[action$='/enrolment'] button:visible").first.click()
        assert f"/courses/{slug}" in visitor.page.url or "/learn/" in visitor.page.url
        assert await count_on(watcher.page) == before
        wire.mend()

        await until_count(watcher.page, before + 1)


@pytest.mark.parametrize(
    ("given", "missing"), [({}, "AWS_REGION"), ({"AWS_REGION": "ap-northeast-2"}, "AWS_ACCESS_KEY_ID")]
)
def test_without_a_region_or_credentials_it_does_not_begin_and_says_why(
    tmp_path: Path, given: dict[str, str], missing: str
) -> None:
    told = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    told |= {"BANYAN_BROKER": "sns+sqs", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path), **given}
    command = [sys.executable, "-m", "banyan", "up", "--demo", "--data", f"{tmp_path}/data", "--port", f"{free_port()}"]
    done = subprocess.run(command, env=told, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert missing in done.stderr
