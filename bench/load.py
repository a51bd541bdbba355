"""Load on a page: as fast as it goes by `wrk`, or at a given pace by `bench.paced`."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench import servers
from bench.figures import Window, percentile

BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: ko-KR,ko;q=0.9,en;q=0.8",
    "Cookie: oldsite_sid=6d1f0a2b9c; banyan_locale=ko; theme=dark",
)
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_MARGIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Full:
    """What wrk counted; milliseconds."""

    per_second: float
    p50: float
    p99: float
    requests: int
    failed: int


@dataclass(slots=True)
class Paced:
    """What the paced generator saw: (sent, finished, seconds since due, side) of each answer."""

    answers: list[tuple[float, float, float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def window(self) -> Window:
        took = [1000 * seconds for _, _, seconds, _ in self.answers]
        if not took:
            raise RuntimeError(f"no request was answered: {self.failures[:3]}")
        return Window(p50=percentile(took, 50), p99=percentile(took, 99), failed=len(self.failures))


def full(
    url: str, *, connections: int, seconds: float, headers: Sequence[str] = (), script: Path | None = None
) -> Full:
    """`script` is Lua that says which requests wrk makes, where they are more than GETs of one address."""
    command = [servers.program("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    command += ["--timeout", "10s", *(part for header in headers for part in ("-H", header))]
    command += [*(["-s", str(script)] if script else []), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _MARGIN_SECONDS, check=True)
    return parse_wrk(done.stdout)


def parse_wrk(said: str) -> Full:
    served = re.search(r"(\d+) requests in", said)
    speed = re.search(r"Requests/sec:\s*([\d.]+)", said)
    if not served or not speed:
        raise ValueError(f"wrk said something else: {said[:300]}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    failed = int(bad[1]) if bad else 0
    failed += sum(int(number) for number in sockets.groups()) if sockets else 0
    return Full(
        per_second=float(speed[1]),
        p50=_milliseconds(said, "50"),
        p99=_milliseconds(said, "99"),
        requests=int(served[1]),
        failed=failed,
    )


def _milliseconds(said: str, percent: str) -> float:
    found = re.search(rf"\b{percent}%\s+([\d.]+)(us|ms|s|m)\b", said)
    if not found:
        raise ValueError(f"wrk told no {percent} % in {said[:300]}")
    return float(found[1]) * _UNITS[found[2]]


def paced(
    url: str,
    *,
    rate: float,
    seconds: float,
    connections: int = 32,
    timeout: float = 10,
    headers: Sequence[str] = (),
) -> Paced:
    with paced_meanwhile(
        url, rate=rate, seconds=seconds, connections=connections, timeout=timeout, headers=headers, to_its_end=True
    ) as outcome:
        pass
    return outcome


@contextmanager
def paced_meanwhile(
    url: str,
    *,
    rate: float,
    seconds: float,
    connections: int = 32,
    timeout: float = 10,
    headers: Sequence[str] = (),
    bodies: Path | None = None,
    to_its_end: bool = False,
) -> Iterator[Paced]:
    """Load while the block runs, at most `seconds`; the outcome is filled in when the block has ended.

    With `bodies`, a file of one a line, these are sent in turn.
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    command = [sys.executable, "-m", "bench.paced", parts.netloc, path]
    command += [str(rate), str(seconds), str(connections), str(timeout), *headers]
    command += ["--bodies", str(bodies)] if bodies else []
    outcome = Paced()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=servers.ROOT)
    try:
        yield outcome
        if not to_its_end:
            process.terminate()
        said, _ = process.communicate(timeout=seconds + timeout + _MARGIN_SECONDS)
    finally:
        process.kill()
        process.communicate()
    answers, outcome.failures = json.loads(said)
    outcome.answers = [(sent, finished, took, side) for sent, finished, took, side in answers]
