"""The bench's own sums, pages and load generator; what it measures is not repeated here."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import chart, events_report, figures, flips, learners, load, machine, paced, report
from bench.events_report import Drain, Pushed
from bench.figures import Window
from bench.flips import Flip
from bench.machine import Machine
from bench.report import Bar, Goal, Panel, Plan, Run, Section, Table

ROOT = Path(__file__).parents[2]


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(100, 0, -1)]

    assert [figures.percentile(values, percent) for percent in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert figures.percentile([7.0], 99) == 7.0
    with pytest.raises(ValueError, match="nothing"):
        figures.percentile([], 50)


def test_a_difference_is_taken_within_each_round() -> None:
    assert figures.median_difference([2, 12, 103], [1, 10, 100]) == 2


def test_requests_are_due_at_an_even_pace() -> None:
    dues = figures.due_times(start=10.0, rate=500, seconds=2)

    assert len(dues) == 1000
    assert dues[0] == 10.0
    assert dues[500] == 11.0


@pytest.mark.parametrize(
    ("disturbed", "holds"),
    [
        (Window(p50=1.2, p99=14.9, failed=0), True),
        (Window(p50=1.3, p99=5.0, failed=0), False),
        (Window(p50=1.0, p99=15.1, failed=0), False),
        (Window(p50=1.0, p99=5.0, failed=1), False),
    ],
)
def test_the_bystander_rule_holds_within_its_limits(disturbed: Window, holds: bool) -> None:
    idle = [Window(p50=1.0, p99=5.0, failed=0)] * 5

    assert figures.bystander(idle=idle, disturbed=[disturbed] * 5).holds is holds


def test_one_bad_window_of_five_is_weather_but_a_failure_in_it_is_not() -> None:
    idle = [Window(p50=1.0, p99=5.0, failed=0)] * 5
    slow, failing = Window(p50=9.0, p99=90.0, failed=0), Window(p50=1.0, p99=5.0, failed=1)

    assert figures.bystander(idle=idle, disturbed=[*idle[:4], slow]).holds
    assert not figures.bystander(idle=idle, disturbed=[*idle[:4], failing]).holds


def test_only_an_answer_to_a_request_sent_after_the_move_counts_for_it() -> None:
    moved = [Flip("old", given=10.0, done=10.05), Flip("new", given=11.0, done=11.05)]
    answers = [
        (9.9, 10.02, 0.1, "old"),  # asked before the move
        (10.01, 10.03, 0.0, "new"),
        (10.04, 10.07, 0.0, "old"),
        (11.02, 11.03, 0.0, "new"),
    ]

    assert flips.until_first_answer(moved, answers) == pytest.approx([0.07, 0.03])
    assert flips.until_first_answer(moved, answers[:3]) == pytest.approx([0.07])  # the second was never seen


WRK = """Running 2s test @ http://127.0.0.1:18431/
  1 threads and 4 connections
  Latency Distribution
     50%  834.00us
     75%   10.71ms
     90%   13.52ms
     99%    1.50s
  915 requests in 2.00s, 20.67MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
  Non-2xx or 3xx responses: 4
Requests/sec:    457.13
"""


def test_what_wrk_says_is_read_with_its_units_and_every_kind_of_failure() -> None:
    assert load.parse_wrk(WRK) == load.Full(per_second=457.13, p50=0.834, p99=1500.0, requests=915, failed=7)
    with pytest.raises(ValueError, match="wrk said"):
        load.parse_wrk("unable to connect")


@pytest.mark.parametrize(
    ("received", "complete"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-le", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_an_answer_is_complete_when_its_last_byte_is_there(received: bytes, complete: bool) -> None:
    assert (paced.complete_head(received) is not None) is complete


@contextmanager
def server(answers: list[bytes]) -> Iterator[int]:
    """Gives these answers to the requests of one connection after the other; an empty one hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        waiting = iter(answers)
        answer = next(waiting, None)
        while answer is not None:
            connection, _ = listener.accept()
            with connection:
                while answer and connection.recv(65536):
                    connection.sendall(answer)
                    answer = next(waiting, None)
                if answer == b"" and connection.recv(65536):
                    answer = next(waiting, None)

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        yield listener.getsockname()[1]


def paced_answers(port: int, *, rate: int, seconds: float) -> tuple[list[list[object]], list[str]]:
    command = [sys.executable, "-m", "bench.paced", f"127.0.0.1:{port}", "/x", str(rate), str(seconds), "1", "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    answers, failures = json.loads(done.stdout)
    return answers, failures


def test_the_generator_counts_answers_with_their_side_and_failures_with_their_reason() -> None:
    good = b"HTTP/1.1 200 OK\r\nx-banyan-side: new\r\ncontent-length: 2\r\n\r\nok"
    bad = b"HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n"

    with server([good, bad, b"", good]) as port:
        answers, failures = paced_answers(port, rate=100, seconds=0.04)

    assert [side for *_, side in answers] == ["new", "new"]
    assert failures == ["status 503", "closed before the answer was complete"]


def test_a_server_that_stalls_is_charged_for_the_requests_that_wait_meanwhile() -> None:
    good = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    listener = socket.create_server(("127.0.0.1", 0))
    stalled = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            for number in range(10):
                connection.recv(65536)
                if number == 0:
                    stalled.wait(0.3)
                connection.sendall(good)

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        answers, failures = paced_answers(listener.getsockname()[1], rate=100, seconds=0.1)

    took = [float(str(seconds)) for _, _, seconds, _ in answers]
    assert failures == []
    assert len(took) == 10
    assert min(took) > 0.15  # each was due within the first 0.1 s and was answered only after 0.3 s


def test_the_generator_posts_the_bodies_in_turn(tmp_path: Path) -> None:
    bodies = tmp_path / "bodies"
    bodies.write_text('{"n": 1}\n{"n": 2}')
    received: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while asked := connection.recv(65536):
                received.append(asked)
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        with load.paced_meanwhile(
            url, rate=100, seconds=0.03, connections=1, headers=["Origin: o"], bodies=bodies, to_its_end=True
        ) as outcome:
            pass

    assert [asked.rpartition(b"\r\n\r\n")[2] for asked in received] == [b'{"n": 1}', b'{"n": 2}', b'{"n": 1}']
    assert all(asked.startswith(b"POST /x HTTP/1.1\r\n") and b"\r\nOrigin: o\r\n" in asked for asked in received)
    assert (len(outcome.answers), outcome.failures) == (3, [])


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_makes_the_requests_of_a_script_in_turn(tmp_path: Path) -> None:
    requests = ['wrk.format("PUT", "/a", {}, string.format("%d", n))', 'wrk.format("PUT", "/b", {}, "x")']
    script = learners.lua(tmp_path / "requests.lua", requests)
    received: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):  # the test has ended
            while True:
                connection, _ = listener.accept()
                with connection:
                    while asked := connection.recv(65536):
                        received.append(asked)
                        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        done = load.full(f"http://127.0.0.1:{listener.getsockname()[1]}", connections=1, seconds=1, script=script)

    assert done.failed == 0
    asked_for = [(asked.split()[1], asked.rpartition(b"\r\n\r\n")[2]) for asked in received]
    assert len(asked_for) > 4
    assert [path for path, _ in asked_for[:4]] in ([b"/a", b"/b"] * 2, [b"/b", b"/a"] * 2)
    numbers = [int(body) for path, body in asked_for if path == b"/a"]
    assert numbers == list(range(numbers[0], numbers[0] + 2 * len(numbers), 2))


PUSHED = [
    Pushed(rate, events=100, took=[9.0] * 298 + [slow] * 2, lost=lost, cpu_ms={"relay": 0.5}, behind=0.002)
    for rate, slow, lost in ((100, 20.0, 0), (500, 20.0, 1))
]


def test_an_event_that_one_subscriber_did_not_hear_misses_the_goal_however_quick_the_others() -> None:
    section = events_report.report_of(PUSHED, [10.0] * 100, 0, [Drain(20_000, 1.5, 0.2)], pages=20, rate=10)

    assert [goal.met for goal in section.goals] == [True, False, True, True]
    assert "1 lost" in section.goals[1].measured


def test_a_page_that_was_not_told_misses_the_goal() -> None:
    section = events_report.report_of(PUSHED, [10.0] * 100, 1, [Drain(9_000, 1.0, 0.2)], pages=20, rate=10)

    assert [goal.met for goal in section.goals[2:]] == [False, False]


def sections() -> list[Section]:
    section = Section(
        "pages",
        "Pages",
        "What it is.",
        tables=[Table("Pages", ("page", "ms"), [("a | b", "1.00")], "A note.")],
        goals=[Goal("cheap", "<= 2 ms", "1.00 ms", True), Goal("quick", "<= 1 ms", "3.00 ms", False)],
        panels=[Panel("Costs & <more>", "ms", [Bar("ours", 1.0, True), Bar('"peer"', 34.6, False)])],
        left_out=["WordPress: it is not installed"],
    )
    return [section]


def run_of(found: list[Section]) -> Run:
    return Run(
        command="make bench",
        at=datetime(2025, 6, 1, 12, 0, tzinfo=UTC),
        commit="abc1234",
        machine=Machine("A processor", 2, 23.5, "6.1"),
        versions={"Envoy": "1.40.0"},
        sections=found,
        plan=Plan(rounds=5, seconds=2.0, quick=False),
    )


def test_the_page_says_what_was_met_missed_and_left_out_and_how_to_measure_again() -> None:
    page = report.page(run_of(sections()), chart="benchmarks.svg")

    assert "| cheap | <= 2 ms | 1.00 ms | met |" in page
    assert "| quick | <= 1 ms | 3.00 ms | **missed** |" in page
    assert "Not measured: WordPress: it is not installed." in page
    assert "| a \\| b | 1.00 |" in page
    assert "`make bench`" in page
    assert "(benchmarks.svg)" in page
    assert "A processor, 2 cores" in page
    assert "Warning" not in page


def test_the_page_warns_when_the_machine_was_busy() -> None:
    found = sections()
    found[0].others_busy = 0.42

    assert "other programs used 42% of it" in report.page(run_of(found), chart=None)


def test_the_chart_is_well_formed_and_says_its_figures_in_words() -> None:
    drawing = ElementTree.fromstring(chart.draw(sections()[0].panels))

    bars = [each for each in drawing.iter() if each.tag.endswith("rect")]
    assert [bar.get("class") for bar in bars] == ["ours", "peer"]
    assert float(bars[1].get("width") or 0) > 30 * float(bars[0].get("width") or 0)
    assert drawing.get("role") == "img"
    assert '"peer" 34.6 ms' in (drawing.get("aria-label") or "")


def test_a_figure_has_three_digits_that_mean_something() -> None:
    shown = [report.figure(value) for value in (0.123, 9.876, 12.34, 123.4, 12_345.6, -0.5)]

    assert shown == ["0.12", "9.88", "12.3", "123", "12,346", "-0.50"]


def test_the_cpu_time_of_a_process_includes_its_children() -> None:
    spin = "import time\nwhile time.process_time() < 0.2: pass"
    nested = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {spin!r}]); print(); time.sleep(30)"
    with subprocess.Popen([sys.executable, "-uc", nested], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = machine.cpu_seconds([process.pid])
        process.kill()

    assert used >= 0.15  # the kernel tells it in ticks of 10 ms, user and system time each rounded down


def test_the_sections_are_listed() -> None:
    command = [sys.executable, "-m", "bench", "--list"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout.split() == [
        "gateway",
        "flips",
        "pages",
        "people",
        "signin",
        "events",
        "bystander",
        "faults",
        "replica",
        "telemetry",
        "start",
    ]
