"""Rows that a Python task hands on: whatever it has, as a staged dataset.

Law: taken one batch at a time, never gathered. Rows that are mappings become columns by what the first of them
hold; a later one that does not fit is named by its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.dataflow.kinds import travelling
from engine.dataflow.staging import Staged
from engine.dataflow.streams import Batches
from engine.model.errors import DataQualityError, LogicError
from engine.ports.stream import Stream

ROWS = 10_000  # of mappings in one batch


def stage(data: Any, folder: Path, staging: Path) -> Mapping[str, Any]:
    """Everything that `data` holds, on the disk; the reference to it."""
    stream = stream_of(data)
    staged = Staged(folder, staging, stream.schema)
    try:
        for batch in stream:
            if batch.num_rows:
                staged.write(batch)
        return staged.publish({"reads": []})
    finally:
        staged.abandon()
        stream.close()


def stream_of(data: Any) -> Stream:
    """A stream, a table, a reader, record batches or mappings, as a stream."""
    if isinstance(data, pa.Table):
        return Batches(data.schema, data.to_batches())
    if isinstance(data, pa.RecordBatch):
        return Batches(data.schema, [data])
    if isinstance(getattr(data, "schema", None), pa.Schema):
        close = getattr(data, "close", None)
        return Batches(data.schema, iter(data), close)
    if isinstance(data, str | bytes | Mapping) or not isinstance(data, Iterable):
        raise LogicError(
            f"Rows are a stream, a table, record batches or mappings, not {type(data).__name__}; "
            "for a single row, give a list of one."
        )
    items = iter(data)
    first = next(items, None)
    if isinstance(first, pa.RecordBatch):
        return Batches(first.schema, chain([first], items))
    return _of_mappings(chain([] if first is None else [first], items))


def _of_mappings(rows: Iterator[Any]) -> Stream:
    head = _some(rows)
    if not head:
        raise LogicError("There are no rows, so nobody knows their columns; give an empty pyarrow table instead.")
    names = list(dict.fromkeys(name for row in head for name in _checked(row)))
    schema = pa.schema([travelling(one) for one in _table(head, 1, names, None).schema])

    def batches() -> Iterator[pa.RecordBatch]:
        first, part = 1, head
        while part:
            yield from _table(part, first, names, schema).to_batches()
            first, part = first + len(part), _some(rows)

    return Batches(schema, batches())


def _some(rows: Iterator[Any]) -> list[Any]:
    return list(islice(rows, ROWS))


def _checked(row: Any) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        raise LogicError(f"A row is a mapping of column to value, not {type(row).__name__}.")
    return row


def _table(rows: list[Any], first: int, names: list[str], schema: pa.Schema | None) -> pa.Table:
    unknown = next((name for row in rows for name in _checked(row) if name not in names), None)
    if unknown is not None:
        raise DataQualityError(
            f"Column '{unknown}' comes up after row {ROWS}; give it to the first rows, null or not."
        )
    columns = {name: [row.get(name) for row in rows] for name in names}
    try:
        return pa.table(
            {
                name: pa.array(values, None if schema is None else schema.field(name).type)
                for name, values in columns.items()
            },
            schema=schema,
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise DataQualityError(
            f"The values of rows {first} to {first + len(rows) - 1} do not go together: "
            f"{str(error).splitlines()[0]}."
        ) from error
