"""Small streams and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.dataflow.conform import conform
from engine.dataflow.streams import Batches


@dataclass(frozen=True, slots=True)
class Result:
    """Rows as a target would get them, and what the log was told."""

    table: pa.Table
    notes: tuple[str, ...]

    def column(self, name: str) -> list[Any]:
        return self.table.column(name).to_pylist()


def conformed(
    rows: pa.Table,
    target: pa.Schema | None = None,
    *,
    columns: Mapping[str, Any] | None = None,
    drift: str = "fail",
    nulls: str = "keep",
    keep: Sequence[str] = (),
    batch: int = 1_000,
) -> Result:
    """Everything through `conform`, in batches of `batch` rows."""
    notes: list[str] = []
    stream = conform(
        Batches(rows.schema, rows.combine_chunks().to_batches(max_chunksize=batch)),
        columns=columns or {},
        target=target,
        drift=drift,
        nulls=nulls,
        keep=keep,
        where="shop:orders",
        note=notes.append,
    )
    return Result(pa.Table.from_batches(list(stream), stream.schema), tuple(notes))


def one(values: Sequence[Any], type: pa.DataType | None = None) -> pa.Table:
    """A table of one column, x."""
    return pa.table({"x": pa.array(values, type)})


def into(type: pa.DataType, **more: Any) -> pa.Schema:
    """A target of one column, x."""
    return pa.schema([pa.field("x", type, **more)])
