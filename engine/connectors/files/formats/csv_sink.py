"""CSV, written so that nothing of a value is lost.

Law: null is an empty cell, the empty string is `""`; only what must be is quoted. Decimals are written with all
their digits, floats with as many as bring the same float back, instants in UTC with a Z, wall clocks without,
binary in base64, JSON as its text.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.connectors.files.shapes import converted, travelling


class CsvSink:
    """Writes batches as lines; a whole batch at a time, in Arrow."""

    def __init__(self, file: Any, schema: pa.Schema, *, delimiter: str, header: bool) -> None:
        self._file, self._schema, self._delimiter = file, travelling(schema), delimiter
        self._special = f'[\\x{{{ord(delimiter):x}}}"\\r\\n]|^$|^\\s|\\s$|^\\\\\\.$'
        if header and len(schema):
            names = pa.array(schema.names, pa.string())
            self._file.write(delimiter.join(self._quoted(names).to_pylist()).encode() + b"\n")

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        plain = converted(batch, self._schema, "rows")
        cells: Sequence[Any] = [self._cells(column) for column in plain.columns]
        if not cells or not batch.num_rows:
            return
        lines = pc.binary_join_element_wise(*cells, self._delimiter, null_handling="replace", null_replacement="")
        ended = pc.binary_join_element_wise(lines, pa.scalar("\n", lines.type), pa.scalar("", lines.type))
        self._file.write(_text(ended))

    def close(self) -> None:
        """Every line is written as it comes."""

    def _cells(self, column: pa.Array) -> pa.Array:
        types = pa.types
        if types.is_string(column.type):
            return self._quoted(column)
        if types.is_binary(column.type):
            return pa.array([None if cell is None else _base64(cell) for cell in column.to_pylist()], pa.string())
        text = pc.cast(column, pa.string())
        if types.is_decimal(column.type) and column.type.scale > 6:
            return _without_exponent(column, text)
        return text

    def _quoted(self, column: pa.Array) -> pa.Array:
        special = pc.match_substring_regex(column, self._special)
        if not pc.any(special).as_py():
            return column
        doubled = pc.replace_substring(column, '"', '""')
        quote = pa.scalar('"', pa.string())
        return pc.if_else(special, pc.binary_join_element_wise(quote, doubled, quote, pa.scalar("")), column)


def _base64(cell: bytes) -> str:
    # Empty bytes are not null: base64 of nothing is quoted as the empty string is.
    return base64.b64encode(cell).decode() if cell else '""'


def _without_exponent(column: pa.Array, text: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring(text, "E")).as_py():
        return text
    return pa.array([None if cell is None else format(cell, "f") for cell in column.to_pylist()], pa.string())


def _text(lines: pa.Array) -> memoryview:
    """The characters of an array of strings, which lie one after the other."""
    offsets = memoryview(lines.buffers()[1]).cast("i")
    start, end = offsets[lines.offset], offsets[lines.offset + len(lines)]
    return memoryview(lines.buffers()[2])[start:end]
