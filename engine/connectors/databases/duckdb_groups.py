"""Rows on their way into a DuckDB table in whole row groups, so that two threads write them and keep their order.

Law: DuckDB gives each batch of a stream to the thread that is free, and puts together in the stream's order what
the threads have made. A batch that is exactly a row group stays where it was written; all others are copied once
more, by one thread, which is what makes a second one useless. Groups are made only where they are small enough to
hold a few of them. Rows that turn out wider than the first ones come in smaller batches: slower, in no more memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import pyarrow as pa

from engine.connectors.databases.duckdb_session import Session

ROWS = 122_880  # of a row group; a file made with other ones is written right, and slower
# What DuckDB needs for a thread: a group's rows once more, and a block or two of each column. Half of it did for
# rows of numbers and of text, of 16 to 150 bytes; where it has more, it is faster, because it seldom hands pages
# back to the system that Arrow asks for the moment after.
PER_COLUMN_MB = 0.5
MOST_GROUPS = 1.5  # what rows may grow to before a group is ended early


@contextmanager
def in_row_groups(session: Session, rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatchReader]:
    """The same rows as two threads take them in order; as they are where memory would not do."""
    first = next(rows, None)
    if first is None or not first.num_rows:
        yield _again(first, rows)
        return
    group = first.nbytes / first.num_rows * ROWS
    threads = session.threads_in_order
    arrow_mb = threads * group / 1e6
    needed_mb = arrow_mb + PER_COLUMN_MB * threads * len(rows.schema)
    if threads < 2 or arrow_mb + needed_mb > session.memory_in_order:
        yield _again(first, rows)
        return
    with session.in_order(len(rows.schema)) as limit:

        def whole() -> Iterator[pa.RecordBatch]:
            limit(int(session.memory_in_order - arrow_mb))  # the threads have been counted
            yield from groups(chain((first,), rows), rows.schema, MOST_GROUPS * group)

        yield pa.RecordBatchReader.from_batches(rows.schema, whole())


def _again(first: pa.RecordBatch | None, rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(rows.schema, rows if first is None else chain((first,), rows))


def groups(batches: Iterator[pa.RecordBatch], schema: pa.Schema, most_bytes: float) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of ROWS, or fewer where those take more than `most_bytes`."""
    held: list[list[pa.Array]] = [[] for _ in schema]
    count, size = 0, 0
    for batch in batches:
        while count + batch.num_rows >= ROWS or (count and size + batch.nbytes > most_bytes):
            taken = ROWS - count if count + batch.num_rows >= ROWS else 0
            _hold(held, batch.slice(0, taken))
            yield _joined(held, schema)
            batch = batch.slice(taken)
            count = size = 0
        _hold(held, batch)
        count += batch.num_rows
        size += batch.nbytes
    if count:
        yield _joined(held, schema)


def _hold(held: list[list[pa.Array]], batch: pa.RecordBatch) -> None:
    for parts, column in zip(held, batch.columns, strict=True):
        parts.append(column)


def _joined(held: list[list[pa.Array]], schema: pa.Schema) -> pa.RecordBatch:
    """What is held as one batch; held no more. Column by column, so that no more than one is there twice."""
    columns = []
    for parts in held:
        columns.append(pa.concat_arrays(parts))
        parts.clear()
    return pa.RecordBatch.from_arrays(columns, schema=schema)
