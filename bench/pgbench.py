"""How fast this machine's PostgreSQL commits by itself: pgbench on the server that Banyan's operations use."""

import asyncio
import os
import re
import subprocess
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from banyan.contracts.events import LessonStarted
from banyan.infra import databases, embedded, postgres
from banyan.infra.postgres import Database
from banyan.kit.ids import uuid7
from banyan.messaging import outbox
from bench import site
from bench.figures import median
from bench.report import Plan, Section, Table, figure, with_range

CLIENTS = 8
_TABLES = """
CREATE TABLE bench_row (id uuid PRIMARY KEY, key text NOT NULL, data jsonb NOT NULL);
CREATE TABLE bench_event (LIKE event INCLUDING DEFAULTS, PRIMARY KEY (id));
CREATE TABLE bench_outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL)
"""
_DROP = "DROP TABLE IF EXISTS bench_row, bench_event, bench_outbox"
_DATA = """jsonb_build_object('enrolment_id', gen_random_uuid(), 'course_id', gen_random_uuid(),
    'lesson_id', gen_random_uuid(), 'account_id', gen_random_uuid(), 'at', now())"""
_ROW = f"INSERT INTO bench_row VALUES (gen_random_uuid(), 'k', {_DATA});".replace("\n", " ")
_EVENT = f"""WITH stored AS (INSERT INTO bench_event (id, type, key, data, at)
    VALUES (uuidv7(), '{LessonStarted.TYPE}', 'k', {_DATA}, now()) RETURNING id)
    INSERT INTO bench_outbox (event_id) SELECT id FROM stored;""".replace("\n", " ")
SCRIPTS = {
    "pgbench, one row": f"{_ROW}\n",
    "pgbench, an event and its outbox row": f"BEGIN;\n{_EVENT}\nCOMMIT;\n",
    "pgbench, a row, an event and its outbox row": f"BEGIN;\n{_ROW}\n{_EVENT}\nCOMMIT;\n",
}
OURS = "Banyan, `outbox.add` in one process"


def measure(demo: site.Demo, plan: Plan, section: Section, folder: Path) -> None:
    """Skips, with the reason, where there is no pgbench."""
    program = embedded.binary("pgbench")
    if not program.exists():
        section.left_out.append("pgbench's raw rates, because these binaries of PostgreSQL have none")
        return
    rounds, seconds = (1, 1.0) if plan.quick else (3, 2.0)
    rates: dict[str, list[float]] = {name: [] for name in (*SCRIPTS, OURS)}
    with ExitStack() as stack:
        asyncio.run(_execute(demo, _TABLES))
        stack.callback(lambda: asyncio.run(_execute(demo, _DROP)))
        for turn in range(rounds):
            for number, (name, script) in enumerate(SCRIPTS.items()):
                rates[name].append(_pgbench(demo, program, folder / f"{turn}-{number}.sql", script, seconds))
            rates[OURS].append(asyncio.run(_of_ours(demo, seconds)))
    section.tables.append(_table(rates))


def _table(rates: dict[str, list[float]]) -> Table:
    most = median(rates["pgbench, an event and its outbox row"])
    rows = [(name, with_range(each), figure(median(each) / most)) for name, each in rates.items()]
    return Table(
        "How fast events can be told at all",
        ("transaction", "commits/s", "of the second row"),
        rows,
        f"{CLIENTS} connections at full speed to `postgres-core`, nobody reading but the relay. pgbench writes to"
        " tables of its own that nobody is told of and that have fewer indexes and no triggers: its rates are what the"
        " disk and the processor allow.",
    )


def _pgbench(demo: site.Demo, program: Path, file: Path, script: str, seconds: float) -> float:
    file.write_text(script)
    url = urlsplit(databases.url(demo.settings, "learning"))
    where = parse_qs(url.query)
    command = [str(program), "-n", "-f", str(file), "-c", str(CLIENTS), "-T", str(max(1, round(seconds)))]
    command += ["-h", where["host"][0], "-p", where["port"][0], "-U", str(url.username), url.path.strip("/")]
    environ = {**os.environ, "PGPASSWORD": unquote(url.password or "")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pgbench: {done.stderr.strip()[-500:]}")
    return float(found[1])


async def _of_ours(demo: site.Demo, seconds: float) -> float:
    """Transactions that tell of one event, by asyncpg from one process."""
    database = postgres.database(demo.settings, "learning", size=CLIENTS)
    end = time.monotonic() + seconds
    told = await asyncio.gather(*(_tell_until(database, end) for _ in range(CLIENTS)))
    while await database.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
        await asyncio.sleep(0.05)
    await database.close()
    return sum(told) / seconds


async def _tell_until(database: Database, end: float) -> int:
    told = 0
    while time.monotonic() < end:
        event = LessonStarted(
            enrolment_id=str(uuid7()), course_id="", lesson_id=str(uuid7()), account_id="", at=datetime.now(UTC)
        )
        async with database.transaction() as tx:
            await outbox.add(tx, event)
        told += 1
    return told


async def _execute(demo: site.Demo, sql: str) -> None:
    database = postgres.database(demo.settings, "learning", size=1)
    async with database.connection() as connection:
        await connection.execute(sql)
    await database.close()
