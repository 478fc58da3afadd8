"""Streams of batches: made from iterators, counted, made even in size.

Law: lazy throughout: a batch is asked for when its consumer wants it, and dropped when the next one comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

from engine.ports.stream import Stream


class Batches:
    """A stream over an iterator of batches."""

    def __init__(
        self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], close: Callable[[], None] | None = None
    ) -> None:
        self.schema = schema
        self._batches = iter(batches)
        self._close = close

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def close(self) -> None:
        """End the iterator, then whatever it read from."""
        ending = getattr(self._batches, "close", None)
        if ending is not None:
            ending()
        close, self._close = self._close, None
        if close is not None:
            close()


class Counted:
    """A stream that knows how much of it has gone by."""

    def __init__(self, stream: Stream, told: Callable[[int], None] | None = None) -> None:
        self._stream = stream
        self._told = told
        self.rows = 0
        self.bytes = 0

    @property
    def schema(self) -> pa.Schema:
        return self._stream.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._stream:
            self.rows += batch.num_rows
            self.bytes += batch.nbytes
            yield batch
            if self._told is not None:
                self._told(self.rows)

    def close(self) -> None:
        self._stream.close()


def even(batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of about `rows`: many small ones put together, a huge one cut."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        for part in _cut(batch, rows):
            held.append(part)
            count += part.num_rows
            if count >= rows:
                yield _joined(held, schema)
                held, count = [], 0
    if held:
        yield _joined(held, schema)


def _cut(batch: pa.RecordBatch, rows: int) -> Iterator[pa.RecordBatch]:
    if batch.num_rows <= rows:
        yield batch
        return
    for at in range(0, batch.num_rows, rows):
        yield batch.slice(at, rows)


def _joined(held: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(held) == 1:
        return held[0]
    return pa.Table.from_batches(held, schema).combine_chunks().to_batches()[0]
