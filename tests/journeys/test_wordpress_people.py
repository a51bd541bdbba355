"""People work with their WordPress through Banyan as they always did: sign in, publish, upload, comment."""

import hashlib
import random
import zipfile
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from playwright.async_api import Page, expect

from . import browser
from .front_door import FrontDoor
from .wordpress import WordPress

pytestmark = pytest.mark.xdist_group("wordpress")

FIFTY_MEGABYTES = 50 * 1024 * 1024
MINUTES = 60_000
WELCOME_PICTURES = r"ERR_NAME_NOT_RESOLVED \(https://s\.w\.org/images/block-editor/"


async def test_an_operator_publishes_a_post_and_a_reader_comments_on_it(old_site: WordPress, door: FrontDoor) -> None:
    async with browser.visitor(locale="en-US", tolerated=[WELCOME_PICTURES]) as operator:
        await _sign_in(operator.page, old_site, door)
        await operator.screenshot("dashboard")
        post = await _publish(operator.page, door, title="반얀나무 아래 첫 강의", text="천천히 자라서 오래 갑니다.")
        assert unquote(post).startswith(door.url)
        assert unquote(post).endswith("/반얀나무-아래-첫-강의/")

        async with browser.visitor(locale="ko-KR") as reader:
            await reader.page.goto(post)
            await expect(reader.page.get_by_role("heading", level=1)).to_have_text("반얀나무 아래 첫 강의")
            await _comment(reader.page, name="김하늘", text="잘 읽었습니다 & 고맙습니다 <3")
            await expect(reader.page.get_by_text("Your comment is awaiting moderation")).to_be_visible()
            assert reader.page.url.startswith(post)
            await reader.screenshot("comment-waits")

            await _approve_comments(operator.page, door)
            await reader.page.goto(post)
            await expect(reader.page.get_by_text("잘 읽었습니다 & 고맙습니다 <3")).to_be_visible()
            await expect(reader.page.get_by_text("awaiting moderation")).to_have_count(0)
            await reader.screenshot("comment-shown", whole_page=True)


async def test_a_file_of_50_mb_arrives_as_it_was_sent(old_site: WordPress, door: FrontDoor, tmp_path: Path) -> None:
    lecture = tmp_path / "lecture.zip"
    with zipfile.ZipFile(lecture, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("lecture.bin", random.Random(50).randbytes(FIFTY_MEGABYTES))
    sent = hashlib.sha256(lecture.read_bytes()).hexdigest()

    async with browser.visitor(locale="en-US") as operator:
        await _sign_in(operator.page, old_site, door)
        await operator.page.goto(f"{door.url}/wp-admin/media-new.php")
        await operator.page.locator("input[type=file][id^=html5_]").set_input_files(lecture)
        await expect(operator.page.locator(".media-item a.edit-attachment")).to_be_visible(timeout=2 * MINUTES)
        await operator.screenshot("uploaded")

    [stored] = old_site.uploads.rglob("lecture.zip")
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == sent
    download = hashlib.sha256()
    with httpx.stream("GET", f"{door.url}/wp-content/uploads/{stored.relative_to(old_site.uploads)}") as answer:
        for piece in answer.iter_bytes():
            download.update(piece)
    assert (answer.status_code, download.hexdigest()) == (200, sent)


async def _sign_in(page: Page, old_site: WordPress, door: FrontDoor) -> None:
    await page.goto(f"{door.url}/wp-admin/")
    await expect(page).to_have_title("Log In ‹ 반얀 강의 — WordPress")
    await page.get_by_label("Username or Email Address").fill(old_site.user)
    await page.get_by_label("Password", exact=True).fill(old_site.password)
    await page.get_by_role("button", name="Log In").click()
    await expect(page).to_have_url(f"{door.url}/wp-admin/")
    await expect(page.get_by_role("heading", name="Dashboard", level=1)).to_be_visible()


async def _publish(page: Page, door: FrontDoor, *, title: str, text: str) -> str:
    """Write and publish a post in the block editor; its address."""
    await page.goto(f"{door.url}/wp-admin/post-new.php")
    await page.get_by_role("button", name="Close dialog").click()  # the welcome guide
    await page.get_by_role("textbox", name="Add title").fill(title)
    await page.keyboard.press("Enter")
    await page.keyboard.insert_text(text)
    await page.get_by_role("button", name="Publish", exact=True).click()
    await page.get_by_role("region", name="Editor publish").get_by_role("button", name="Publish", exact=True).click()
    link = page.get_by_role("region", name="Editor publish").get_by_role("link", name="View Post")
    address = await link.get_attribute("href")
    assert address is not None
    return address


async def _comment(page: Page, *, name: str, text: str) -> None:
    await page.get_by_role("textbox", name="Comment").fill(text)
    await page.get_by_role("textbox", name="Name").fill(name)
    await page.get_by_role("textbox", name="Email").fill("reader@banyan.test")
    await page.get_by_role("button", name="Post Comment").click()


async def _approve_comments(page: Page, door: FrontDoor) -> None:
    await page.goto(f"{door.url}/wp-admin/edit-comments.php?comment_status=moderated")
    await page.locator("#cb-select-all-1").check()
    await page.locator("#bulk-action-selector-top").select_option("approve")
    await page.locator("#doaction").click()
    await expect(page.get_by_text("1 comment approved")).to_be_visible()
