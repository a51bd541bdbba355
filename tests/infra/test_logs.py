"""What processes write down of a failure."""

import subprocess
import sys

import msgspec

FAILING = """
import asyncpg, structlog
from banyan.infra import logs

logs.configure("iam")
fault = asyncpg.UniqueViolationError("duplicate key value violates unique constraint")
fault.detail = "Key (email)=(haneul@banyan.test) already exists."
try:
    try:
        raise fault
    except asyncpg.PostgresError as cause:
        raise ExceptionGroup("both", [RuntimeError("no account"), fault]) from cause
except ExceptionGroup:
    structlog.get_logger().exception("request failed")
"""


def test_a_failure_is_written_down_without_the_row_that_the_database_repeats() -> None:
    done = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, check=True, timeout=60)

    (line,) = done.stdout.splitlines()
    told = msgspec.json.decode(line, type=dict[str, str])
    assert told["event"] == "request failed"
    assert told["exception"].startswith("Traceback")
    assert "duplicate key value violates unique constraint" in told["exception"]
    assert "RuntimeError: no account" in told["exception"]
    assert "haneul" not in line
