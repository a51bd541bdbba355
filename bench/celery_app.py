"""The peer's side: a Celery application whose three queues are three consumers. Where what is, BENCH_* say.

Each worker hears with one task in one queue and writes down what it heard, in a database of its own.
"""

import os
import time

import psycopg
from celery import Celery

NAME = "bench.hear"
LATE = "BENCH_CELERY_LATE"
BROKER = "BENCH_CELERY_BROKER"
DATABASE = "BENCH_CELERY_DATABASE"
VISIBILITY_SECONDS = 5  # an hour by default: what a dead worker held would come back after the measurement
HEARD = (
    "CREATE TABLE bench_celery (place bigint GENERATED ALWAYS AS IDENTITY, booking text NOT NULL,"
    " key text NOT NULL, number integer NOT NULL, at float8 NOT NULL)"
)

app = Celery("bench", broker=os.environ.get(BROKER, "redis://127.0.0.1:1/0"))
app.conf.update(
    task_ignore_result=True,
    task_acks_late=os.environ.get(LATE) == "1",
    task_reject_on_worker_lost=os.environ.get(LATE) == "1",
    broker_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=False,
    task_default_queue="nobody",
)

_kept: list["psycopg.Connection[tuple[object, ...]]"] = []


@app.task(name=NAME, autoretry_for=(psycopg.Error,), default_retry_delay=0.5, max_retries=None)
def hear(booking: str, key: str, number: int) -> None:
    at = time.monotonic()
    if not _kept or _kept[0].closed or _kept[0].broken:
        _kept[:] = [psycopg.connect(os.environ[DATABASE], autocommit=True, connect_timeout=3)]
    _kept[0].execute(
        "INSERT INTO bench_celery (booking, key, number, at) VALUES (%s, %s, %s, %s)", (booking, key, number, at)
    )
