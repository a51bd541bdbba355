"""Searching the log files from their ends: rotated, endless, or full of garbage."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from banyan.contracts.monitor import LogPage
from banyan.infra.supervisor.logs import rotate
from banyan.kit.paging import CursorNotOurs, encode_cursor
from banyan.monitor.adapters.logs import Logs
from banyan.monitor.domain.loglines import Search

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def line(number: float, event: str, *, process: str = "web", level: str = "info", **more: object) -> str:
    at = (NOON + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
    return json.dumps({"event": event, "level": level, "at": at, "process": process, **more}, ensure_ascii=False) + "\n"


def write(folder: Path, name: str, *lines: str) -> None:
    with (folder / name).open("a", encoding="utf-8") as file:
        file.writelines(lines)


def page(
    folder: Path, words: str = "", *, process: str = "", after: str | None = None, limit: int = 50, **search: str
) -> LogPage:
    wanted = Search(tuple(words.split()), search.get("level", ""), search.get("request_id", ""))
    return Logs(folder).page(wanted, process=process, after=after, limit=limit)


def events(found: LogPage) -> list[str]:
    return [each.event for each in found.items]


def test_several_logs_read_as_one_the_newest_first(tmp_path: Path) -> None:
    write(tmp_path, "web.log", line(1, "one"), line(4, "four"))
    write(tmp_path, "iam.log", line(2, "two", process="iam"), line(3, "three", process="iam"))

    found = page(tmp_path)

    assert events(found) == ["four", "three", "two", "one"]
    assert [each.process for each in found.items] == ["web", "iam", "iam", "web"]
    assert found.next is None


def test_pages_follow_each_other_through_rotated_files_even_if_one_is_rotated_meanwhile(tmp_path: Path) -> None:
    write(tmp_path, "web.log.1", *(line(number, f"web {number}") for number in range(0, 20, 2)))
    write(tmp_path, "web.log", *(line(number, f"web {number}") for number in range(20, 40, 2)))
    write(tmp_path, "iam.log", *(line(number, f"iam {number}", process="iam") for number in range(1, 40, 2)))

    first = page(tmp_path, limit=7)
    rotate(tmp_path / "web.log", 3)
    write(tmp_path, "web.log", line(100, "new"))
    seen = events(first)
    after = first.next
    while after is not None:
        following = page(tmp_path, limit=7, after=after)
        seen += events(following)
        after = following.next

    assert [int(event.split()[1]) for event in seen] == list(range(39, -1, -1))


def test_all_words_must_stand_in_a_line_in_any_case_and_any_script(tmp_path: Path) -> None:
    write(
        tmp_path,
        "web.log",
        line(1, "Sign-in refused", account="kim"),
        line(2, "수강 신청", course="파이썬"),
        line(3, 'said "no"'),
    )

    assert events(page(tmp_path, "refused kim")) == ["Sign-in refused"]
    assert events(page(tmp_path, "파이썬")) == ["수강 신청"]
    assert events(page(tmp_path, '"no"')) == ['said "no"']
    assert events(page(tmp_path, "refused lee")) == []


def test_filters_choose_process_level_and_request(tmp_path: Path) -> None:
    write(
        tmp_path,
        "web.log",
        line(1, "fine"),
        line(2, "odd", level="warning", request_id="abc"),
        line(3, "bad", level="error"),
    )
    write(tmp_path, "iam.log", line(4, "fine too", process="iam", request_id="abc"))

    assert events(page(tmp_path, level="warning")) == ["bad", "odd"]
    assert events(page(tmp_path, request_id="abc")) == ["fine too", "odd"]
    assert events(page(tmp_path, process="iam")) == ["fine too"]


def test_the_access_log_is_envoys(tmp_path: Path) -> None:
    said = {"at": "2026-03-02T12:00:09.000Z", "method": "GET", "path": "/courses", "status": 503, "request_id": "abc"}
    write(tmp_path, "access.log", json.dumps(said) + "\n")
    write(tmp_path, "envoy.log", line(1, "[2026-03-02][1][warning][main] slow", process="envoy"))

    found = page(tmp_path, process="envoy")

    assert [(each.event, each.level, each.process) for each in found.items] == [
        ("GET /courses 503", "error", "envoy"),
        ("[2026-03-02][1][warning][main] slow", "warning", "envoy"),
    ]
    assert found.items[0].request_id == "abc"


def test_what_a_database_calls_an_error_is_one(tmp_path: Path) -> None:
    write(tmp_path, "postgres-core.log", line(1, "2026-03-02 12:00:01 UTC [7] FATAL:  no", process="postgres-core"))

    assert events(page(tmp_path, level="error")) == ["2026-03-02 12:00:01 UTC [7] FATAL:  no"]


def test_garbage_is_shown_as_text_beside_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, "web.log", line(1, "before"))
    with (tmp_path / "web.log").open("ab") as file:
        file.write(b'{"event": "cut of\n\xff\xfe\x00\n[1, 2]\n' + b"[" * 5000 + b"\n\n")
    write(tmp_path, "web.log", line(2, "after"))

    found = page(tmp_path)

    assert found.items[0].event == "after"
    assert found.items[-1].event == "before"
    assert found.items[3].event.startswith("\ufffd\ufffd")
    assert [each.event for each in found.items][2] == "[1, 2]"
    assert len(found.items) == 6


def test_a_line_without_end_is_shown_in_part_and_ends_nothing(tmp_path: Path) -> None:
    write(tmp_path, "web.log", line(1, "before"), "x" * 2_000_000 + "\n", line(2, "after"))

    found = page(tmp_path)

    assert found.items[0].event == "after"
    assert found.items[-1].event == "before"
    assert all(len(each.event) <= 4000 for each in found.items)


def test_a_search_gives_up_after_so_many_bytes_and_says_where_to_go_on(tmp_path: Path) -> None:
    write(tmp_path, "web.log", line(0, "needle"), *(line(number, "hay " * 50) for number in range(1, 4000)))
    logs = Logs(tmp_path, most_bytes=200_000)

    pages = 0
    after: str | None = None
    found: list[str] = []
    while pages == 0 or after is not None:
        answer = logs.page(Search(("needle",)), process="", after=after, limit=50)
        found += events(answer)
        after = answer.next
        pages += 1

    assert found == ["needle"]
    assert pages > 3


@pytest.mark.parametrize("name", ["../secrets/x", "/etc/passwd", "..", "web.log", "secrets"])
def test_nothing_else_can_be_asked_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "secrets").mkdir()
    write(tmp_path / "secrets", "x.log", line(1, "secret"))
    write(tmp_path / "logs", "web.log", line(1, "ours"))

    assert events(page(tmp_path / "logs", process=name)) == []


def test_no_link_leads_out_and_no_pipe_keeps_us(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    write(tmp_path, "elsewhere", line(1, "secret"))
    (tmp_path / "logs" / "web.log").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "logs" / "iam.log")
    write(tmp_path / "logs", "notes.txt", line(1, "no log"))

    assert events(page(tmp_path / "logs")) == []


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "",
        encode_cursor("no json"),
        encode_cursor("[]"),
        encode_cursor('{"web": 1}'),
        encode_cursor('{"web": [1, -1]}'),
        encode_cursor('{"web": [true, 1]}'),
        encode_cursor("[" * 3000),
    ],
)
def test_a_cursor_that_is_not_ours_is_refused(tmp_path: Path, cursor: str) -> None:
    write(tmp_path, "web.log", line(1, "one"))

    with pytest.raises(CursorNotOurs):
        page(tmp_path, after=cursor)


def test_a_cursor_reaches_into_no_other_file(tmp_path: Path) -> None:
    write(tmp_path, "web.log", line(1, "one"))
    (tmp_path / "other").write_text("secret")
    inode = (tmp_path / "other").stat().st_ino

    found = page(tmp_path, after=encode_cursor(json.dumps({"web": [inode, 6], "../other": [inode, 6]})))

    assert events(found) == []
