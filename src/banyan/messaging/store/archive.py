"""A day as a Parquet file, and back, a few megabytes at a time. Only `program.py` loads this: Arrow is large."""

import hashlib
import heapq
import io
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("request_id", pa.string()),
        pa.field("traceparent", pa.string()),
        pa.field("data", pa.string(), nullable=False),
    ]
)
_REPEATED = ["type", "source", "key"]
_GROUP_BYTES = 4_000_000
_GROUP_ROWS = 20_000
_READ_ROWS = 1_000
_AHEAD = 1_000_000

Event = dict[str, Any]


@dataclass(slots=True)
class Extent:
    """What a file holds; `ids` is a hash of all its ids in their order."""

    rows: int
    first_id: str
    last_id: str
    first_position: int
    last_position: int
    ids: str


async def write(path: Path, batches: AsyncIterator[Sequence[Event]]) -> Extent | None:
    """Rows in the order of their positions; None and no file if there are none."""
    waiting: list[Event] = []
    size, summed = 0, _Sum()
    writer: pq.ParquetWriter | None = None
    try:
        async for batch in batches:
            waiting += batch
            size += sum(len(row["data"]) for row in batch)
            if size < _GROUP_BYTES and len(waiting) < _GROUP_ROWS:
                continue
            writer = writer or _writer(path)
            _write_group(writer, waiting, summed)
            waiting, size = [], 0
        if waiting:
            writer = writer or _writer(path)
            _write_group(writer, waiting, summed)
    finally:
        if writer is not None:
            writer.close()
    return summed.extent()


def _writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=_REPEATED)


def _write_group(writer: pq.ParquetWriter, rows: list[Event], summed: "_Sum") -> None:
    for row in rows:
        summed.add(row["id"], row["position"])
    writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), row_group_size=len(rows))


def extent(file: io.IOBase | Path) -> Extent | None:
    """Of every row that is really in it. Raises OSError or pyarrow's own errors for what is no such file."""
    summed = _Sum()
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(_READ_ROWS, columns=["id", "position"]):
            for row in batch.to_pylist():
                summed.add(row["id"], row["position"])
    return summed.extent()


class _Sum:
    def __init__(self) -> None:
        self._ids = hashlib.sha256()
        self._found: Extent | None = None

    def add(self, event_id: str, position: int) -> None:
        self._ids.update(UUID(event_id).bytes)
        found = self._found
        if found is None:
            self._found = Extent(1, event_id, event_id, position, position, "")
            return
        found.rows += 1
        found.first_id, found.last_id = min(found.first_id, event_id), max(found.last_id, event_id)
        found.last_position = position

    def extent(self) -> Extent | None:
        if self._found is not None:
            self._found.ids = self._ids.hexdigest()
        return self._found


def rows_after(file: io.IOBase | Path, position: int) -> Iterator[Event]:
    """In their order; groups that end before are not read."""
    with pq.ParquetFile(file) as parquet:
        for group in _groups(parquet, "position", lambda _, highest: highest > position):
            for batch in parquet.iter_batches(_READ_ROWS, row_groups=[group]):
                for row in batch.to_pylist():
                    if row["position"] > position:
                        yield row


def find(file: io.IOBase | Path, event_id: str) -> Event | None:
    with pq.ParquetFile(file) as parquet:
        for group in _groups(parquet, "id", lambda lowest, highest: lowest <= event_id <= highest):
            for batch in parquet.iter_batches(_READ_ROWS, row_groups=[group]):
                places = batch.column("id").to_pylist()
                if event_id in places:
                    found: Event = batch.slice(places.index(event_id), 1).to_pylist()[0]
                    return found
    return None


def _groups(parquet: pq.ParquetFile, column: str, wanted: Callable[[Any, Any], bool]) -> Iterator[int]:
    place = SCHEMA.get_field_index(column)
    for group in range(parquet.num_row_groups):
        statistics = parquet.metadata.row_group(group).column(place).statistics
        if statistics is None or not statistics.has_min_max or wanted(statistics.min, statistics.max):
            yield group


def merged(files: Sequence[tuple[int, Callable[[], Iterator[Event]]]]) -> Iterator[Event]:
    """Of several files in one order; each with its lowest position, and opened when it is its turn."""
    waiting = sorted(files, key=lambda file: file[0])
    opened: list[tuple[int, int, Event, Iterator[Event]]] = []
    counter = itertools.count()

    def push(rows: Iterator[Event]) -> None:
        row = next(rows, None)
        if row is not None:
            heapq.heappush(opened, (row["position"], next(counter), row, rows))

    while opened or waiting:
        while waiting and (not opened or waiting[0][0] <= opened[0][0]):
            push(waiting.pop(0)[1]())
        if opened:
            _, _, row, rows = heapq.heappop(opened)
            yield row
            push(rows)


class Ranged(io.RawIOBase):
    """A file that is somewhere else, read by ranges; `fetch` answers `length` bytes from `start`."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size = size
        self._fetch = fetch
        self._place = 0
        self._held, self._held_from = b"", 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._place + size)
        if not self._held_from <= self._place <= end <= self._held_from + len(self._held):
            ahead = min(self._size, max(end, self._place + _AHEAD))
            self._held, self._held_from = self._fetch(self._place, ahead - self._place), self._place
        start = self._place - self._held_from
        found = self._held[start : start + max(0, end - self._place)]
        self._place += len(found)
        return found
