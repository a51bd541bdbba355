"""The load generators: what they ask, what they count, and who is charged for a stall."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import learners, load, paced

ROOT = Path(__file__).parents[2]

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
