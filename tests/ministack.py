"""A server that speaks SNS, SQS and S3 as AWS does, for the whole session."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def environ(url: str) -> dict[str, str]:
    """What a process is told to find it. Any credentials do."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "ap-northeast-2",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def ministack(*services: str) -> Iterator[str]:
    """Its URL, on a port of its own on loopback."""
    with ministack_process(*services) as (url, _):
        yield url


@contextmanager
def ministack_process(*services: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Its URL and itself, for a test that stops it for a while."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="by-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        told = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "STATE_DIR": folder,
            "SERVICES": ",".join(services),
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "ERROR",
        }
        server = subprocess.Popen(
            [Path(sys.executable).with_name("ministack")],
            env={**os.environ, **told},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_up(f"{url}/_ministack/health", server)
            yield url, server
        finally:
            server.send_signal(signal.SIGCONT)
            server.terminate()
            server.wait(20)


def _wait_until_up(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert server.poll() is None, "ministack has ended"
            assert time.monotonic() < deadline, "ministack does not answer"
            time.sleep(0.1)
