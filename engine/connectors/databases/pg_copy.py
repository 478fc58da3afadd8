"""Rows as COPY has them: CSV text, made from Arrow and made into Arrow, a few megabytes at a time.

Law: null is an empty cell, an empty text is a quoted one, so that both survive. What does not become the column's
type exactly is refused by the column's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from engine.model.errors import DataQualityError

_BLOCK = 1 << 20
_COLUMN = re.compile(r"CSV column #(\d+)")
MICROSECONDS = (-62_135_596_800_000_000, 253_402_300_799_999_999)  # the years 1 to 9999
DAYS = (-719_162, 2_932_896)
_WITHOUT_HEADER = csv.WriteOptions(include_header=False, batch_size=8_192)


def text_of(batches: Iterable[pa.RecordBatch]) -> Iterator[Any]:
    """Batches as blocks of CSV."""
    for batch in batches:
        plain = pa.RecordBatch.from_arrays([_written(each) for each in batch.columns], names=batch.schema.names)
        sink = pa.BufferOutputStream()
        csv.write_csv(plain, sink, _WITHOUT_HEADER)
        block = memoryview(sink.getvalue())
        for at in range(0, len(block), _BLOCK):
            yield block[at : at + _BLOCK]


def _written(column: pa.Array) -> pa.Array:
    types = pa.types
    if (
        types.is_binary(column.type)
        or types.is_large_binary(column.type)
        or types.is_fixed_size_binary(column.type)
    ):
        return pa.array([None if each is None else f"\\x{each.hex()}" for each in column.to_pylist()], pa.string())
    if types.is_time(column.type) or types.is_string_view(column.type):
        return column.cast(pa.string())
    return column


def rows_of(blocks: Iterable[bytes], schema: pa.Schema, where: str) -> Iterator[pa.RecordBatch]:
    """Blocks of whole CSV lines as batches of this schema."""
    convert = csv.ConvertOptions(
        column_types={one.name: pa.string() if _by_hand(one) else one.type for one in schema},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
    )
    parse = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    for block in blocks:
        read = csv.ReadOptions(column_names=schema.names, block_size=len(block) + 1, use_threads=False)
        try:
            table = csv.read_csv(pa.BufferReader(block), read, parse, convert)
        except pa.ArrowInvalid as error:
            raise _unreadable(error, schema, where) from error
        for batch in table.to_batches():
            columns = [_read(column, one, where) for column, one in zip(batch.columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _by_hand(one: pa.Field) -> bool:
    """What Arrow's CSV reader cannot read by itself."""
    return bool(pa.types.is_binary(one.type) or pa.types.is_decimal256(one.type))


def _read(column: pa.Array, one: pa.Field, where: str) -> pa.Array:
    if not _by_hand(one):
        return column
    if pa.types.is_decimal256(one.type):
        return _conformed(column, one, where)
    return pa.array([None if each is None else bytes.fromhex(each[2:]) for each in column.to_pylist()], one.type)


def _unreadable(error: pa.ArrowInvalid, schema: pa.Schema, where: str) -> DataQualityError:
    found = _COLUMN.search(str(error))
    return _refused(schema.field(int(found[1])), where) if found else _refused(None, where)


def _refused(one: pa.Field | None, where: str) -> DataQualityError:
    column = f"column '{one.name}' has a value that is no {one.type}" if one is not None else "a row cannot be read"
    return DataQualityError(
        f"{where}: {column} (infinity, NaN, a year beyond 1 to 9999, or too many digits); convert it in a `query`, "
        "or leave the column out with `columns`."
    )


def conformed(batch: pa.RecordBatch, schema: pa.Schema, where: str) -> pa.RecordBatch:
    """A batch as ADBC hands it out, as the schema says."""
    return pa.RecordBatch.from_arrays(
        [_conformed(column, one, where) for column, one in zip(batch.columns, schema, strict=True)], schema=schema
    )


def _conformed(column: pa.Array, one: pa.Field, where: str) -> pa.Array:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_timestamp(one.type) or pa.types.is_date(one.type):
        _within(column, one, where)
    if column.type == one.type:
        return column
    try:
        return column.cast(one.type)
    except pa.ArrowInvalid as error:
        raise _refused(one, where) from error


def _within(column: pa.Array, one: pa.Field, where: str) -> None:
    """Infinity arrives as a number far away."""
    days = pa.types.is_date(one.type)
    ends = pc.min_max(column.view(pa.int32() if days else pa.int64()))
    low, high = DAYS if days else MICROSECONDS
    if ends["min"].is_valid and not low <= ends["min"].as_py() <= ends["max"].as_py() <= high:
        raise _refused(one, where)


def column_of(texts: list[str | None], one: pa.Field, where: str) -> pa.Array:
    """Values as the server writes them in text, as a column of this field."""
    if pa.types.is_string(one.type):
        return pa.array(texts, one.type)
    if pa.types.is_boolean(one.type):
        return pa.array([None if each is None else each == "t" for each in texts], one.type)
    column = pa.array(texts, pa.string())
    if pa.types.is_binary(one.type):
        return _read(column, one, where)
    try:
        return column.cast(one.type)
    except pa.ArrowInvalid as error:
        raise _refused(one, where) from error


def lines(rows: Iterable[Any]) -> Iterator[bytes]:
    """COPY's rows, one each, put together into blocks."""
    held: list[Any] = []
    size = 0
    for row in rows:
        held.append(row)
        size += len(row)
        if size >= _BLOCK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
