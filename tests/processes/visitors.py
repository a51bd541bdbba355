"""Visitors of a front door: they fetch pages all the time and note every failure with its moment."""

import http.client
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.journeys.front_door import FrontDoor


@dataclass
class Visits:
    """`failures` are (monotonic time, what went wrong)."""

    path: str
    served: int = 0
    failures: list[tuple[float, str]] = field(default_factory=list)

    def failed_for(self) -> float:
        """Seconds from the first failure to the last."""
        return self.failures[-1][0] - self.failures[0][0] if self.failures else 0.0


@contextmanager
def visiting(door: FrontDoor, path: str, *, pause: float = 0.01, timeout: float = 20) -> Iterator[Visits]:
    """Two visitors fetch `path`, one on a connection it keeps, one on a new one each time, until the block ends."""
    visits = Visits(path)
    over = threading.Event()
    visitors = [
        threading.Thread(target=_visit, args=(door, visits, over, keep, pause, timeout), daemon=True)
        for keep in (True, False)
    ]
    for visitor in visitors:
        visitor.start()
    try:
        yield visits
    finally:
        over.set()
        for visitor in visitors:
            visitor.join(timeout + 5)


def _visit(door: FrontDoor, visits: Visits, over: threading.Event, keep: bool, pause: float, timeout: float) -> None:
    connection = http.client.HTTPConnection(*door.address, timeout=timeout)
    while not over.is_set():
        try:
            connection.request("GET", visits.path)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                visits.served += 1
            else:
                visits.failures.append((time.monotonic(), f"status {answer.status}"))
        except (OSError, http.client.HTTPException) as fault:
            visits.failures.append((time.monotonic(), repr(fault)))
            connection.close()
        if not keep:
            connection.close()
        time.sleep(pause)
    connection.close()


@dataclass(frozen=True, slots=True)
class Load:
    """What `wrk` counted."""

    requests: int
    failed: int
    report: str


@contextmanager
def under_load(wrk: str, url: str, *, connections: int = 4, at_most_seconds: int = 240) -> Iterator[list[Load]]:
    """Load on `url` by wrk while the block runs. The list holds one Load afterwards."""
    loads: list[Load] = []
    process = subprocess.Popen(
        [wrk, "-t1", f"-c{connections}", f"-d{at_most_seconds}s", "--timeout", "10s", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield loads
        process.send_signal(signal.SIGINT)  # wrk stops and reports
        report, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    loads.append(_counted(report))


def _counted(report: str) -> Load:
    served = re.search(r"(\d+) requests in", report)
    assert served, report
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report)
    failed = int(bad[1]) if bad else 0
    failed += sum(int(number) for number in sockets.groups()) if sockets else 0
    return Load(int(served[1]), failed, report)
