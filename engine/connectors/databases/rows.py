"""A read of a table or query, as it is handed out: batches, how far they reach, what was read.

Law: the rows are cut into batches of at most some megabytes whatever their width, and nothing is held that was
handed out. A read of a database starts anew when it is repeated; it is confirmed to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from engine.connectors.databases.newness import Reach
from engine.dataflow.kinds import columns_of
from engine.model.dataset import DatasetTouch, Direction
from engine.ports.source import Seen
from engine.ports.stream import RawText

ROWS = 65_536
BYTES = 4 << 20


class Rows:
    """See engine.ports.source.Reading."""

    acknowledges = False

    def __init__(
        self,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        *,
        dataset: str,
        uri: str,
        reach: Reach | None = None,
        close: Callable[[], None] | None = None,
        rows: int = ROWS,
    ) -> None:
        self.schema = schema
        self._dataset, self._uri, self._reach, self._close = dataset, uri, reach, close
        self._rows = 0
        self._batches = self._told(gathered(batches, schema, rows))

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def _told(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self._rows += batch.num_rows
            if self._reach is not None:
                self._reach.saw(batch)
            yield batch

    def touches(self) -> Sequence[DatasetTouch]:
        return [
            DatasetTouch(
                direction=Direction.READ,
                dataset=self._dataset,
                uri=self._uri,
                rows=self._rows,
                columns=columns_of(self.schema),
                transformation="extract",
            )
        ]

    def seen(self) -> Seen | None:
        return self._reach.seen() if self._reach is not None else None

    def position(self) -> Any:
        return None

    def raw(self) -> RawText | None:
        return None

    def acknowledge(self) -> None:
        """Nobody waits for it."""

    def close(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            close()


def gathered(batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """Small batches put together until they are `rows` or some megabytes, larger ones cut."""
    held: list[pa.RecordBatch] = []
    count = size = 0
    for part in _cut(batches, rows):
        held.append(part)
        count += part.num_rows
        size += part.nbytes
        if count >= rows or size >= BYTES:
            yield _joined(held, schema)
            held, count, size = [], 0, 0
    if held:
        yield _joined(held, schema)


def _cut(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        wide = batch.nbytes > 2 * BYTES
        step = max(1, min(rows, BYTES * batch.num_rows // batch.nbytes)) if wide else rows
        for at in range(0, batch.num_rows, step):
            yield batch.slice(at, step)


def _joined(held: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(held) == 1:
        return held[0]
    return pa.Table.from_batches(held, schema).combine_chunks().to_batches()[0]
