"""Arrow batches as the text that LOAD DATA reads: tabs, backslashes, \\N.

Law: whole columns are turned to text by Arrow, never row by row. Null, empty text, tabs, newlines and NUL stay what
they are; binary travels as hexadecimal digits. Instants are written in UTC, for a session whose zone is UTC.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

_ESCAPED = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\\0"))


def _large(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


_TAB, _NEWLINE, _NOTHING = _large("\t"), _large("\n"), _large("")


def rows_of(batch: pa.RecordBatch) -> memoryview:
    """The batch as lines, each ended by a newline."""
    cells = [pc.fill_null(cell(column), "\\N") for column in batch.columns]
    lines = pc.binary_join_element_wise(*cells, _TAB)
    lines = pc.binary_join_element_wise(lines, _NEWLINE, _NOTHING)
    return _data(lines)


def cell(column: pa.Array) -> pa.Array:
    """One column as large text, escaped; null stays null."""
    given, types = column.type, pa.types
    if types.is_dictionary(given):
        column = column.dictionary_decode()
        given = column.type
    if types.is_boolean(given):
        return pc.if_else(column, _large("1"), _large("0"))
    if types.is_timestamp(given):
        return _wall(column).cast(pa.large_string())
    if _binary(given):
        return _hexadecimal(column)
    text = column.cast(pa.large_string())
    return _escaped(text) if _text(given) else text


def _text(given: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(given) or types.is_large_string(given) or types.is_string_view(given))


def _binary(given: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_binary(given) or types.is_large_binary(given) or types.is_fixed_size_binary(given))


def _wall(column: pa.Array) -> pa.Array:
    """Microseconds without a zone: an instant's digits in UTC."""
    unzoned = column.cast(pa.timestamp(column.type.unit))
    return unzoned.cast(pa.timestamp("us"))  # nanoseconds that would be lost are an error


def _escaped(text: pa.Array) -> pa.Array:
    for raw, written in _ESCAPED:
        text = pc.replace_substring(text, raw, written)
    return text


def _hexadecimal(column: pa.Array) -> pa.Array:
    return pa.array([None if each is None else each.hex() for each in column.to_pylist()], pa.large_string())


def _data(lines: pa.Array) -> memoryview:
    """The bytes of a text array whose values lie behind one another."""
    offsets, data = lines.buffers()[1], lines.buffers()[2]
    if data is None or not len(lines):
        return memoryview(b"")
    wide = pa.types.is_large_string(lines.type) or pa.types.is_large_binary(lines.type)
    bounds = memoryview(offsets).cast("q" if wide else "i")
    return memoryview(data)[bounds[lines.offset] : bounds[lines.offset + len(lines)]]


def assignments(schema: pa.Schema, quoted: Sequence[str], bits: Sequence[bool]) -> tuple[str, str]:
    """The column list of LOAD DATA and its SET clause: binary is read from its digits, bits as numbers."""
    columns, sets = [], []
    for at, (one, name, bit) in enumerate(zip(schema, quoted, bits, strict=True)):
        if bit or _binary(one.type):
            columns.append(f"@c{at}")
            sets.append(f"{name} = {f'CAST(@c{at} AS UNSIGNED)' if bit else f'UNHEX(@c{at})'}")
        else:
            columns.append(name)
    return ", ".join(columns), ", ".join(sets)


def tuples_of(batch: pa.RecordBatch) -> list[bytes]:
    """The batch as the tuples of an INSERT, one per row."""
    cells = [pc.fill_null(_literal(column), "NULL") for column in batch.columns]
    lines = pc.binary_join_element_wise(*cells, _large(","))
    lines = pc.binary_join_element_wise(_large("("), lines, _large(")"), _NOTHING)
    return [each.encode() for each in lines.to_pylist()]


def _literal(column: pa.Array) -> pa.Array:
    """One column as SQL: numbers bare, so that any column takes them; everything else quoted and escaped."""
    given, types = column.type, pa.types
    text = cell(column)
    if types.is_integer(given) or types.is_boolean(given) or types.is_decimal(given):
        return text
    if _binary(given):
        return pc.binary_join_element_wise(_large("X'"), text, _large("'"), _NOTHING)
    text = pc.replace_substring(text, "'", "\\'")
    return pc.binary_join_element_wise(_large("'"), text, _large("'"), _NOTHING)
