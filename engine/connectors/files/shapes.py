"""Columns as they travel: what formats hand out, put into the types that every destination knows; and one schema
for many files.

Law: nothing is rounded. Nanoseconds that microseconds cannot hold, or a column that is text in one file and a
number in another, are errors that name file and column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from engine.connectors.files.names import shown
from engine.dataflow.kinds import INSTANT, MARK, field, kind_of
from engine.model.dataset import DataKind
from engine.model.errors import DataQualityError

BATCH_BYTES = 8 << 20
_ENCODE = msgspec.json.Encoder(decimal_format="number").encode


def travelling(schema: pa.Schema) -> pa.Schema:
    """A format's own schema as it is handed on."""
    return pa.schema([_travelling(each) for each in schema])


def _travelling(one: pa.Field) -> pa.Field:
    kind = kind_of(one)
    given = one.type.value_type if pa.types.is_dictionary(one.type) else one.type
    types = pa.types
    if kind is DataKind.JSON:
        return field(one.name, kind, nullable=one.nullable)
    if kind is DataKind.STRING:
        given = pa.string()
    elif kind is DataKind.BINARY:
        given = pa.binary()
    elif types.is_timestamp(given):
        given = INSTANT if given.tz is not None else pa.timestamp("us")
    elif types.is_date(given):
        given = pa.date32()
    elif types.is_float16(given):
        given = pa.float32()
    return pa.field(one.name, given, nullable=one.nullable)


def converted(batch: pa.RecordBatch, schema: pa.Schema, name: str) -> pa.RecordBatch:
    """A batch in the columns of `schema`; those it does not have are null."""
    columns = [
        _column(batch.column(one.name), one, name)
        if one.name in batch.schema.names
        else pa.nulls(len(batch), one.type)
        for one in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def slices(batch: pa.RecordBatch, most: int, rows: int = 1 << 20) -> Iterator[pa.RecordBatch]:
    """A batch in parts of so many bytes and rows at most, as its rows are on average."""
    step = max(1, min(rows, most * batch.num_rows // max(1, batch.nbytes)))
    for at in range(0, batch.num_rows, step):
        yield batch.slice(at, step)


def _column(column: pa.Array, one: pa.Field, name: str) -> pa.Array:
    if column.type == one.type:
        return column
    if pa.types.is_nested(column.type):
        return pa.array([json_text(value) for value in column.to_pylist()], pa.string())
    try:
        return pc.cast(column, one.type)
    except pa.ArrowInvalid as error:
        raise DataQualityError(
            f"Column '{shown(one.name)}' of '{shown(name)}' does not fit {one.type}: "
            f"{shown(str(error).splitlines()[0])}. Convert it where it is written."
        ) from error


def json_text(value: Any) -> str | None:
    """A nested value as the text it travels as."""
    return None if value is None else _ENCODE(value).decode()


def common(schemas: Sequence[tuple[str, pa.Schema]]) -> pa.Schema:
    """One schema for several files: columns by name, widened where nothing is lost. DataQualityError names the two
    files that do not go together."""
    found: dict[str, tuple[str, pa.Field]] = {}
    for name, schema in schemas:
        for one in schema:
            before = found.get(one.name)
            found[one.name] = (name, one) if before is None else (before[0], _wider(before, (name, one)))
    missing = {key for key in found for _, schema in schemas if key not in schema.names}
    return pa.schema([one.with_nullable(one.nullable or key in missing) for key, (_, one) in found.items()])


def _wider(before: tuple[str, pa.Field], now: tuple[str, pa.Field]) -> pa.Field:
    (first, one), (second, other) = before, now
    joined = _joined(one.type, other.type)
    marks = ((one.metadata or {}).get(MARK), (other.metadata or {}).get(MARK))
    empty = pa.types.is_null(one.type) or pa.types.is_null(other.type)
    if joined is None or (marks[0] != marks[1] and not empty):
        raise DataQualityError(
            f"Column '{shown(one.name)}' is {kind_of(one).value} in '{shown(first)}' and {kind_of(other).value} in "
            f"'{shown(second)}'; say which it shall be in `types`, or read the files apart."
        )
    kept = other if pa.types.is_null(one.type) else one
    return pa.field(one.name, joined, nullable=one.nullable or other.nullable, metadata=kept.metadata)


def _joined(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if one == other or pa.types.is_null(other):
        return one
    for test, join in _JOINS:
        if test(one) and test(other):
            return join(one, other)
    return other if pa.types.is_null(one) else None


def _number(given: pa.DataType) -> bool:
    return bool(pa.types.is_integer(given) or pa.types.is_floating(given))


def _day(given: pa.DataType) -> bool:
    return bool(pa.types.is_date(given) or (pa.types.is_timestamp(given) and given.tz is None))


def _exact(given: pa.DataType) -> bool:
    return bool(pa.types.is_integer(given) or pa.types.is_decimal(given))


def _decimal(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    scales = [each.scale if pa.types.is_decimal(each) else 0 for each in (one, other)]
    whole = max(each.precision - each.scale if pa.types.is_decimal(each) else 19 for each in (one, other))
    precision = whole + max(scales)
    return (
        pa.decimal128(precision, max(scales)) if precision <= 38 else pa.decimal256(min(precision, 76), max(scales))
    )


_JOINS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType, pa.DataType], pa.DataType]], ...] = (
    (pa.types.is_integer, lambda one, other: pa.int64()),
    (_number, lambda one, other: pa.float64()),
    (_exact, _decimal),
    (_day, lambda one, other: pa.timestamp("us")),
)
