"""The files of lessons: signed addresses that end, and parts of a file."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import async_playwright

from banyan.demo import catalogue, clips
from tests.conftest import need

from .classroom import Classroom, Person, opened
from .school import School
from .test_lessons import COURSE, FIRST, INTRO

BYTES = bytes(range(256)) * 1000


@pytest.fixture
async def learner(school: School, classroom: Classroom) -> Person:
    await school.publish("spring-boot", COURSE)
    learner = Person()
    await classroom.enrol("spring-boot", learner)
    classroom.folder.mkdir()
    (classroom.folder / "clip.webm").write_bytes(BYTES)
    return learner


async def address(classroom: Classroom, who: Person | None, lesson_id: object = FIRST.id) -> str:
    return str((await classroom.get(f"/api/v1/lessons/{lesson_id}", who)).json()["media"]["url"])


async def test_the_learner_gets_the_file_for_some_time_and_may_keep_it_so_long(
    classroom: Classroom, learner: Person
) -> None:
    answer = await classroom.get(await address(classroom, learner), learner)

    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, BYTES, "video/webm")
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] in ("private, max-age=3600", "private, max-age=3599")


async def test_an_address_plays_for_nobody_else_and_for_nothing_else(classroom: Classroom, learner: Person) -> None:
    url = await address(classroom, learner)
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    path = urlsplit(url).path
    later = f"{path}?expires={int(query['expires']) + 60}&signature={query['signature']}"

    for wrong, who in (
        (url, Person()),
        (url, None),
        (path, learner),
        (later, learner),
        (url.replace(str(FIRST.id), str(INTRO.id)), learner),
        (url.replace("clip", "other"), learner),
        (url.replace("clip.webm", "..clip.webm"), learner),
        (url[:-1] + ("0" if url[-1] != "0" else "1"), learner),
        (f"{path}?expires={query['expires']}&signature=%00", learner),
        (f"{path}?expires={query['expires']}&signature=%EC%97%86%EC%9D%8C", learner),
    ):
        answer = await classroom.get(wrong, who)
        assert (answer.status_code, answer.json()["type"]) == (403, "/_banyan/problems/address-not-valid"), wrong
    assert (await classroom.get(f"{path}?expires=x&signature=x", learner)).status_code == 422


async def test_an_address_ends(school: School, classroom: Classroom, learner: Person, tmp_path: Path) -> None:
    async with opened(school.database, tmp_path, lifetime=timedelta(seconds=-1)) as late:
        answer = await late.get(await address(late, learner), learner)

    assert answer.status_code == 403


async def test_a_preview_plays_for_everybody(classroom: Classroom, learner: Person) -> None:
    for who in (None, Person(), learner):
        assert (await classroom.get(await address(classroom, who, INTRO.id), who)).status_code == 200


async def test_a_file_that_is_gone_is_not_found(classroom: Classroom, learner: Person) -> None:
    (classroom.folder / "clip.webm").unlink()

    answer = await classroom.get(await address(classroom, learner), learner)

    assert (answer.status_code, answer.json()["type"]) == (404, "/_banyan/problems/media-unknown")


SIZE = len(BYTES)
WHOLE = (200, None, SIZE)


@pytest.mark.parametrize(
    ("asked", "status", "part", "length"),
    [
        ("bytes=0-99", 206, f"bytes 0-99/{SIZE}", 100),
        ("bytes=100-", 206, f"bytes 100-{SIZE - 1}/{SIZE}", SIZE - 100),
        ("bytes=-5", 206, f"bytes {SIZE - 5}-{SIZE - 1}/{SIZE}", 5),
        ("bytes=0-", 206, f"bytes 0-{SIZE - 1}/{SIZE}", SIZE),
        ("bytes=5-99999999", 206, f"bytes 5-{SIZE - 1}/{SIZE}", SIZE - 5),
        ("BYTES=0-0", 206, f"bytes 0-0/{SIZE}", 1),
        (f"bytes={SIZE}-", 416, f"bytes */{SIZE}", None),
        ("bytes=-0", 416, f"bytes */{SIZE}", None),
        ("bytes=5-1", *WHOLE),
        ("bytes=x-y", *WHOLE),
        ("bytes=", *WHOLE),
        ("bytes=-", *WHOLE),
        ("lines=0-5", *WHOLE),
        ("0-5", *WHOLE),
        ("bytes=" + "9" * 5000 + "-", *WHOLE),
        ("bytes=" + ",".join(["0-0"] * 5000), *WHOLE),
    ],
)
async def test_parts_of_a_file(
    classroom: Classroom, learner: Person, asked: str, status: int, part: str | None, length: int | None
) -> None:
    url = await address(classroom, learner)

    answer = await classroom.get(url, learner, range=asked)
    head = await classroom.http.head(url, headers={**learner.headers, "range": asked})

    assert (answer.status_code, answer.headers.get("content-range")) == (status, part)
    if length is not None:
        assert (len(answer.content), answer.headers["content-length"]) == (length, str(length))
    assert (head.status_code, head.content, head.headers.get("content-range")) == (status, b"", part)


async def test_several_parts_come_as_one_answer(classroom: Classroom, learner: Person) -> None:
    answer = await classroom.get(await address(classroom, learner), learner, range="bytes=0-1, 10-11")

    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")
    assert b"\x00\x01" in answer.content
    assert b"\x0a\x0b" in answer.content


async def test_a_part_of_another_edition_is_the_whole_file(classroom: Classroom, learner: Person) -> None:
    url = await address(classroom, learner)
    tag = (await classroom.get(url, learner)).headers["etag"]

    same = await classroom.get(url, learner, **{"range": "bytes=0-9", "if-range": tag})
    other = await classroom.get(url, learner, **{"range": "bytes=0-9", "if-range": '"another"'})

    assert (same.status_code, len(same.content)) == (206, 10)
    assert (other.status_code, len(other.content)) == (200, SIZE)


@pytest.mark.parametrize("name", ["demo-0.webm", "demo-98.webm", "demo-../x.webm", "x", ""])
def test_the_demo_makes_no_clip_that_it_did_not_promise(tmp_path: Path, name: str) -> None:
    clips.make(name, tmp_path / "clip.webm")

    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / clips.name(97)
    clips.make(path.name, path)
    return path


async def test_a_clip_plays_in_a_browser_as_long_as_it_says_and_from_where_one_likes(clip: Path) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=need("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = await browser.new_page()
        await page.goto(clip.as_uri())
        played = await page.evaluate("""async () => {
            const video = document.querySelector("video");
            video.muted = true;
            await video.play();
            await new Promise(done => video.addEventListener("timeupdate", done, {once: true}));
            const start = video.currentTime;
            const sought = new Promise(done => video.addEventListener("seeked", done, {once: true}));
            video.currentTime = 70;
            await sought;
            await video.play();
            await new Promise(done => setTimeout(done, 600));
            return [video.duration, start < 30, video.currentTime > 70, video.videoWidth, video.error];
        }""")
        await browser.close()

    assert played == [97, True, True, 480, None]


def test_every_video_of_the_demo_has_a_clip_of_its_length() -> None:
    for course in catalogue.courses(60):
        for lesson in (lesson for section in course.sections for lesson in section.lessons):
            assert (lesson.clip == clips.name(lesson.duration_seconds)) == (lesson.kind == "video")
            assert bool(lesson.text) == (lesson.kind == "text")
            assert "{" not in lesson.text
