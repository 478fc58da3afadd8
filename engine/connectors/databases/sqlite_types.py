"""SQLite's declared types as Arrow's nine kinds, both ways.

Law: a column is read by its declared type, and a value that is none of it is refused by the column's name. Times
are ISO 8601 text (or whole seconds since 1970), with an offset where they are instants. Decimals that we make are
`DECIMAL_TEXT(p,s)`, because SQLite would keep a DECIMAL as a float; a DECIMAL of others is read, and written where
its 15 digits hold the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow.kinds import DECIMAL, INSTANT, field, kind_of
from engine.model.dataset import DataKind
from engine.model.errors import DataQualityError

_WIDTH = re.compile(r"\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_FLOAT_DIGITS = 15
_WALL = pa.timestamp("us")


def field_for(name: str, declared: str, *, nullable: bool = True) -> pa.Field:
    """The field of a column that was declared so."""
    kind, exact = _kind(declared.upper())
    return field(name, kind, nullable=nullable, type=exact)


def _kind(declared: str) -> tuple[DataKind, pa.DataType | None]:
    name = declared.split("(")[0].strip()
    if "BOOL" in name:
        return DataKind.BOOLEAN, None
    if "JSON" in name:
        return DataKind.JSON, None
    if "TIMESTAMP" in name or "DATETIME" in name:
        zoned = name.endswith("TZ") or "WITH TIME ZONE" in name
        return DataKind.TIMESTAMP, INSTANT if zoned else _WALL
    if name == "DATE":
        return DataKind.DATE, None
    if "DEC" in name or "NUMERIC" in name or "NUMBER" in name:
        return DataKind.DECIMAL, _decimal(declared)
    if "INT" in name:
        return DataKind.INTEGER, None
    if "BLOB" in name or "BINARY" in name or "BYTEA" in name:
        return DataKind.BINARY, None
    if any(word in name for word in ("REAL", "FLOA", "DOUB")):
        return DataKind.FLOAT, None
    return DataKind.STRING, None


def _decimal(declared: str) -> pa.DataType:
    found = _WIDTH.search(declared)
    if found is None or not 0 < int(found[1]) <= 76 or int(found[2] or 0) > int(found[1]):
        return DECIMAL
    precision, scale = int(found[1]), int(found[2] or 0)
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def guessed(name: str, values: Sequence[Any]) -> pa.Field:
    """The field of an expression without a declared type, by what its first rows have."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return field(name, DataKind.INTEGER)
    if kinds and kinds <= {int, float}:
        return field(name, DataKind.FLOAT)
    return field(name, DataKind.BINARY if kinds == {bytes} else DataKind.STRING)


# Out of SQLite


def column_of(values: Sequence[Any], one: pa.Field, where: str) -> pa.Array:
    """A column's values as Arrow."""
    try:
        return _READ[kind_of(one)](values, one.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, InvalidOperation, OverflowError) as error:
        raise DataQualityError(
            f"{where}: column '{one.name}' has a value that is no {one.type}, though it is declared so; convert it "
            "in a `query`, or leave the column out with `columns`."
        ) from error


def _as_it_is(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    return pa.array(values, type)


def _text(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # numbers among the texts: SQLite does not mind, and has a text
        return pa.array([_spelled(value) for value in values], type)


def _spelled(value: Any) -> str | None:
    if isinstance(value, bytes):
        raise ValueError("bytes")
    return None if value is None else str(value)


def _boolean(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    known = {None: None, 0: False, 1: True, "0": False, "1": True, "false": False, "true": True}
    try:
        return pa.array([known[value.lower() if isinstance(value, str) else value] for value in values], type)
    except KeyError as error:
        raise ValueError("no boolean") from error


def _number(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    exact = [None if value is None else Decimal(str(value)) for value in values]
    return pa.array([None if value is None else str(value) for value in exact], pa.string()).cast(type)


def _day(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    return pa.array([None if value is None else date.fromisoformat(str(value)[:10]) for value in values], type)


def _time(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    try:
        # Arrow reads text that is all of one form; what is mixed is read one by one.
        return pc.cast(pa.array(values, pa.string()), type)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else _moment(value, type.tz is not None) for value in values], type)


def _moment(value: Any, zoned: bool) -> datetime:
    if isinstance(value, int):
        found = datetime.fromtimestamp(value, UTC)
    else:
        found = datetime.fromisoformat(value)
    if zoned:
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


_READ: Mapping[DataKind, Callable[[Sequence[Any], pa.DataType], pa.Array]] = {
    DataKind.STRING: _text,
    DataKind.JSON: _text,
    DataKind.INTEGER: _as_it_is,
    DataKind.FLOAT: _as_it_is,
    DataKind.BINARY: _as_it_is,
    DataKind.BOOLEAN: _boolean,
    DataKind.DECIMAL: _number,
    DataKind.DATE: _day,
    DataKind.TIMESTAMP: _time,
}

# Into SQLite


def definition(one: pa.Field, *, key: bool = False) -> str:
    """The declared type for a field."""
    kind = kind_of(one)
    if kind is DataKind.DECIMAL:
        return f"DECIMAL_TEXT({one.type.precision},{one.type.scale})"
    if kind is DataKind.TIMESTAMP:
        return "TIMESTAMP" if one.type.tz is None else "TIMESTAMPTZ"
    if kind is DataKind.INTEGER and one.type.bit_width == 64 and pa.types.is_unsigned_integer(one.type):
        return "DECIMAL_TEXT(20,0)"
    return _DECLARED[kind]


_DECLARED: Mapping[DataKind, str] = {
    DataKind.STRING: "TEXT",
    DataKind.INTEGER: "INTEGER",
    DataKind.FLOAT: "REAL",
    DataKind.BOOLEAN: "BOOLEAN",
    DataKind.DATE: "DATE",
    DataKind.JSON: "JSON",
    DataKind.BINARY: "BLOB",
}


def values_of(column: pa.Array, declared: str, name: str, where: str) -> Sequence[Any]:
    """An Arrow column's values as SQLite keeps them, in a column that was declared so."""
    types = pa.types
    if types.is_decimal(column.type):
        values: Sequence[Any] = column.cast(pa.string()).to_pylist()
        if _kept_as_float(declared):
            _check_digits(values, name, where)
        return values
    if types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
        raise DataQualityError(
            f"{where}: column '{name}' has a value that is not a number (NaN), which SQLite would keep as null; "
            "convert it in a `query` of the source, or leave the column out with `columns`. Nothing was loaded."
        )
    if types.is_timestamp(column.type):
        column = _times(column)
    elif types.is_date(column.type) or types.is_time(column.type) or types.is_string_view(column.type):
        column = column.cast(pa.string())
    elif types.is_uint64(column.type):
        column = column.cast(pa.decimal128(20, 0)).cast(pa.string())
    plain: Sequence[Any] = column.to_pylist()
    return plain


def _kept_as_float(declared: str) -> bool:
    name = declared.upper().split("(")[0]
    return not any(word in name for word in ("TEXT", "CHAR", "CLOB", "BLOB")) and name != ""


def _check_digits(values: Sequence[str | None], name: str, where: str) -> None:
    for value in values:
        if value is not None and len(value.replace(".", "").lstrip("-0").rstrip("0")) > _FLOAT_DIGITS:
            raise DataQualityError(
                f"{where}: column '{name}' has a number of more than {_FLOAT_DIGITS} digits, which SQLite would "
                "keep as a float there; declare the column DECIMAL_TEXT(p,s)."
            )


def _times(column: pa.Array) -> pa.Array:
    zoned = column.type.tz is not None
    plain = column.cast(pa.timestamp("us", column.type.tz))
    if zoned:
        plain = plain.cast(pa.timestamp("us", "UTC"))
    suffix = "+00:00" if zoned else ""
    texts = pc.strftime(plain, "%Y-%m-%d %H:%M:%S")
    return pc.binary_join_element_wise(texts, suffix, "")
