"""This process traces to a collector, for as long as a test needs it."""

import contextlib
from collections.abc import Iterator

from banyan.infra.telemetry import tracing
from banyan.infra.telemetry.export import Receiver, Recorder

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"


@contextlib.contextmanager
def recording(process: str, **receivers: Receiver) -> Iterator[Recorder]:
    recorder = Recorder(process, receivers)
    tracing.make_by(recorder.maker)
    try:
        yield recorder
    finally:
        tracing.make_by(None)
        recorder.end()
