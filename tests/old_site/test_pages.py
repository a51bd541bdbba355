"""What a visitor of the old site sees; one success case for each page, as its company tested it."""

import importlib
import io
import sqlite3
import uuid
from html import escape
from urllib.parse import quote, unquote
from xml.etree import ElementTree

import openpyxl
import pytest

from banyan.demo import catalogue

PAGES = [
    ("/", "배움나무 추천강의"),
    ("/courses", "총 <b>"),
    ("/courses?page=20", "다시 배우는"),
    ("/courses?cate=music", "음악"),
    ("/courses?free=1&sort=hit", "무료"),
    ("/courses?page=-1", "[1]"),
    ("/index.php", "배움나무 추천강의"),
    ("/index.php?mod=course&act=list&cate=office", "오피스/업무"),
    ("/index.php?mod=board&act=list&bbs=notice", "공지사항"),
    ("/index.php?mod=board&act=list", "글쓰기"),
    ("/index.php?mod=board&act=view&id=14", "가입인사"),
    ("/index.php?mod=page&act=use", "이용약관"),
    ("/index.php?mod=page&act=privacy", "개인정보취급방침"),
    ("/login", "비밀번호"),
    ("/signup", "중복확인"),
    ("/cart", "장바구니가 비어 있습니다"),
    ("/notice", "홈페이지 개편 예고"),
    ("/notice/1", "문을 열었습니다"),
    ("/board", "글쓰기"),
    ("/board/19", "파이썬 강의 순서"),
    ("/search?q=%ED%8C%8C%EC%9D%B4%EC%8D%AC", "파이썬"),
    ("/search?q=%25%25", "총 <b>0</b>건"),
    ("/ranking", "인기강의 TOP 20"),
    ("/teacher/2", "박서연"),
    ("/faq", "자주 묻는 질문"),
    ("/company", "임직원 일동"),
]


@pytest.mark.parametrize(("path", "text"), PAGES)
def test_a_page_answers(visitor, path, text):
    answer = visitor.get(path)

    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    assert text in answer.text


def test_every_course_has_a_page_under_its_slug(visitor, courses):
    for course in courses[:12]:
        page = visitor.get(f"/courses/{quote(course.slug)}")

        assert escape(course.title) in page.text
        assert f'<span id="cnt">{course.learners:,}</span>' in page.text
        assert all(escape(lesson.title) in page.text for lesson in course.sections[0].lessons)


def test_the_old_address_shows_the_same_course(visitor, courses):
    page = visitor.get("/index.php?mod=course&act=view&id=8")

    assert courses[7].title in page.text


def test_looking_at_a_course_counts_a_view(visitor, courses):
    def views():
        return int(visitor.get("/api/hit?id=11").text)

    before = views()
    visitor.get(f"/courses/{quote(courses[10].slug)}")

    assert views() == before + 2


@pytest.mark.parametrize(
    "path", ["/nothing", "/courses/nothing", "/index.php?mod=x", "/teacher/1", "/notice/14", "/order"]
)
def test_what_is_not_there_is_said_with_200(visitor, path):
    answer = visitor.get(path)

    assert answer.status_code == 200
    assert "요청하신 페이지를 찾을 수 없습니다" in answer.text


def test_signing_in_and_out_by_form(sign_in):
    visitor = sign_in("learner")
    mine = visitor.get("/mypage").text

    left = visitor.get("/logout")

    assert "김하늘" in mine
    assert left.status_code == 302
    assert visitor.get("/mypage").headers["location"].endswith("/login?url=/mypage")


def test_signing_in_returns_to_the_page_with_a_korean_address(visitor, courses):
    form = {"userid": "learner@banyan.test", "passwd": "banyan-demo", "url": f"/courses/{courses[0].slug}"}

    assert (
        unquote(visitor.post("/login", data=form).headers["location"]) == f"http://localhost/courses/{courses[0].slug}"
    )


@pytest.mark.parametrize("elsewhere", ["//evil.test/", "https://evil.test/", "/\\evil.test", "javascript:alert(1)"])
def test_signing_in_never_leads_to_another_site(visitor, elsewhere):
    form = {"userid": "learner@banyan.test", "passwd": "banyan-demo", "url": elsewhere}

    assert visitor.post("/login", data=form).headers["location"] == "http://localhost/"


def test_a_wrong_password_is_refused(visitor):
    answer = visitor.post("/login", data={"userid": "learner@banyan.test", "passwd": "wrong"})

    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


def test_redirects_carry_the_public_host(visitor):
    answer = visitor.get("/mypage", headers={"X-Forwarded-Host": "www.shop.test:9000", "X-Forwarded-Proto": "https"})

    assert answer.headers["location"] == "https://www.shop.test:9000/login?url=/mypage"


def test_signing_up_signs_in(visitor):
    address = f"{uuid.uuid4().hex}@banyan.test"
    free = visitor.get("/api/check_id", query_string={"userid": address}).text

    answer = visitor.post("/signup", data={"userid": address, "passwd": "비밀번호", "name": "새 <b>회원</b>"})

    assert (free, visitor.get("/api/check_id", query_string={"userid": address}).text) == ("Y", "N")
    assert answer.headers["location"] == "http://localhost/mypage"
    assert "새 &lt;b&gt;회원&lt;/b&gt;" in visitor.get("/mypage").text


def test_the_gateway_identity_is_believed_only_when_told_so(visitor, monkeypatch):
    headers = {"x-banyan-user": catalogue.account_id(1)}
    before = visitor.get("/mypage", headers=headers).status_code

    monkeypatch.setenv("OLD_SITE_TRUST_BANYAN", "1")

    assert before == 302
    assert "김하늘" in visitor.get("/mypage", headers=headers).text
    for nobody in ("learner@banyan.test", "1", "nobody", "' or 1=1 --", headers["x-banyan-user"].upper()):
        assert visitor.get("/mypage", headers={"x-banyan-user": nobody}).status_code == 302


@pytest.mark.parametrize("path", ["/", "/board", "/mypage"])
def test_whom_the_gateway_signed_in_sees_a_link_to_sign_out_and_no_box_to_sign_in(visitor, monkeypatch, path):
    monkeypatch.setenv("OLD_SITE_TRUST_BANYAN", "1")

    signed_in = visitor.get(path, headers={"x-banyan-user": catalogue.account_id(1)}).text

    assert '<a href="/logout">로그아웃</a>' in signed_in
    assert 'action="/login"' not in signed_in
    assert "김하늘" in signed_in


def test_an_account_that_the_old_site_never_saw_becomes_a_member_once(visitor, monkeypatch, free_course):
    monkeypatch.setenv("OLD_SITE_TRUST_BANYAN", "1")
    headers = {"x-banyan-user": str(uuid.uuid4())}

    visitor.post("/enroll", data={"id": free_course.number}, headers=headers)
    mine = visitor.get("/mypage", headers=headers).text
    other = visitor.get("/mypage", headers={"x-banyan-user": str(uuid.uuid4())}).text
    by_password = visitor.post("/login", data={"userid": headers["x-banyan-user"], "passwd": "!"})

    assert escape(free_course.title) in mine
    assert escape(free_course.title) not in other
    assert "일치하지" in by_password.text or "\\uc77c\\uce58" in by_password.text


def test_a_database_from_before_learns_the_accounts_of_its_members(tmp_path, monkeypatch):
    path = tmp_path / "old.sqlite"
    database = sqlite3.connect(path)
    database.execute("create table tb_member (idx integer primary key autoincrement, userid text unique, name text)")
    database.execute("insert into tb_member values (1, 'learner@banyan.test', '김하늘'), (2, 'other@x.test', '남')")
    database.commit()
    monkeypatch.setenv("OLD_SITE_DB", str(path))

    for _ in range(2):
        importlib.import_module("old_site.app").setup()

    found = database.execute("select idx, banyan_id from tb_member order by idx").fetchall()
    assert found == [(1, catalogue.account_id(1)), (2, None)]


def test_enrolling_in_a_free_course_opens_its_lessons(visitor, free_course):
    address = f"{uuid.uuid4().hex}@banyan.test"
    visitor.post("/signup", data={"userid": address, "passwd": "1234", "name": "수강생"})
    locked = f"/lecture.php?c={free_course.number}&l=5"
    before = visitor.get(locked).text

    visitor.post("/enroll", data={"id": free_course.number})
    visitor.post("/enroll", data={"id": free_course.number})

    assert "수강신청 후 이용하실 수 있습니다" in before or "\\uc218" in before
    assert "다음 강" in visitor.get(locked).text
    assert visitor.get("/mypage").text.count(f"openLecture({free_course.number},1)") == 1
    assert "강의실 입장" in visitor.get(f"/courses/{quote(free_course.slug)}").text


def test_a_preview_lesson_is_open_to_everybody(visitor, courses):
    assert courses[0].sections[0].lessons[0].title in visitor.get("/lecture.php?c=1&l=1").text


def test_a_paid_course_goes_through_the_cart_to_an_order(sign_in, paid_course):
    visitor = sign_in("learner")
    visitor.post("/cart/add", data={"id": paid_course.number})
    visitor.post("/cart/add", data={"id": 1})
    visitor.post("/cart/del", data={"id": 1})
    cart = visitor.get("/cart").text

    answer = visitor.post("/order", data={"pay": "bank"})
    done = visitor.get(answer.headers["location"].removeprefix("http://localhost")).text

    assert escape(paid_course.title) in cart
    assert f"{paid_course.price:,}" in done
    assert "입금대기" in visitor.get("/mypage").text
    assert "장바구니가 비어 있습니다" in visitor.get("/cart").text


def test_writing_on_the_board_and_commenting(sign_in):
    visitor = sign_in("learner")
    written = visitor.post("/board/write", data={"subject": "<i>제목</i>", "content": "첫 줄\n둘째 줄"})
    path = written.headers["location"].removeprefix("http://localhost")
    visitor.post(f"{path}/comment", data={"content": "댓글 <script>"})
    page = visitor.get(path).text

    visitor.post(f"{path}/delete")

    assert "&lt;i&gt;제목&lt;/i&gt;" in page
    assert "첫 줄<br>둘째 줄" in page.replace("\r", "")
    assert "댓글 &lt;script&gt;" in page
    assert "찾을 수 없습니다" in visitor.get(path).text


def test_writing_asks_for_the_form_when_signed_in_and_for_a_login_when_not(visitor, sign_in):
    assert visitor.get("/board/write").status_code == 302
    assert "제목" in sign_in("learner").get("/board/write").text


def test_nobody_deletes_what_another_wrote(sign_in):
    visitor = sign_in("learner")

    visitor.post("/board/19/delete")

    assert "파이썬 강의 순서" in visitor.get("/board/19").text


def test_a_course_guide_is_a_download_that_notepad_opens(visitor, courses):
    answer = visitor.get("/download.php?id=1")

    assert courses[0].title in answer.data.decode("cp949")
    assert answer.headers["content-disposition"].startswith("attachment; filename=guide_1.txt")


def test_search_engines_find_their_files(visitor, courses):
    sitemap = ElementTree.fromstring(visitor.get("/sitemap.xml").data)
    feed = ElementTree.fromstring(visitor.get("/rss.xml").data)

    assert len(sitemap) == 6 + len(courses)
    assert unquote(sitemap[6][0].text) == f"http://localhost/courses/{courses[0].slug}"
    assert len(feed.findall(".//item")) == 20
    assert "Sitemap: http://localhost/sitemap.xml" in visitor.get("/robots.txt").text


def test_badges_are_gifs(visitor):
    moved = visitor.get("/favicon.ico")
    with visitor.get(moved.headers["location"]) as picture:
        assert picture.data.startswith(b"GIF89a")


@pytest.mark.parametrize("path", ["/admin", "/admin/member", "/admin/order", "/admin/excel"])
def test_the_admin_area_is_closed_to_learners(visitor, sign_in, path):
    for someone in (visitor, sign_in("learner")):
        answer = someone.get(path)
        assert "location.href=" in answer.text
        assert len(answer.data) < 1000


def test_the_admin_area_opens_for_the_admin(sign_in):
    admin = sign_in("admin")

    assert "회원 엑셀" in admin.get("/admin").text
    assert "learner@banyan.test" in admin.get("/admin/member?k=learner@").text
    assert "주문관리" in admin.get("/admin/order").text


def test_an_order_is_confirmed_by_the_admin(sign_in, paid_course):
    visitor = sign_in("instructor")
    visitor.post("/cart/add", data={"id": paid_course.number})
    visitor.post("/order")
    orders = sign_in("admin").get("/admin/order").text
    newest = orders.split('name="idx" value="')[1].split('"')[0]

    visitor.post("/admin/order", data={"idx": newest})

    assert "입금완료" in visitor.get("/admin/order").text


@pytest.mark.parametrize("what", ["member", "course"])
def test_the_admin_downloads_excel(sign_in, what):
    answer = sign_in("admin").get(f"/admin/excel?what={what}")
    sheet = openpyxl.load_workbook(io.BytesIO(answer.data), read_only=True).active

    assert sheet.max_row > {"member": 2000, "course": 300}[what]
    assert next(sheet.iter_rows(max_row=1))[0].value == "번호"
