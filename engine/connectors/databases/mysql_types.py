"""MySQL's and MariaDB's types as Arrow's nine kinds, both ways.

Law: the server's text is turned into values column by column, exactly or not at all. TINYINT(1) is a boolean,
DATETIME a wall clock, TIMESTAMP an instant; a zero date is no date and is refused. TIME, UUID, ENUM and SET are
text, BIT(1) is a boolean and longer bits a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pymysql.constants import FIELD_TYPE, FLAG

from engine.dataflow.kinds import INSTANT, field, kind_of
from engine.model.dataset import DataKind
from engine.model.errors import DataQualityError

_BINARY_CHARSET = 63
_FIXED: Mapping[int, pa.DataType] = {
    FIELD_TYPE.FLOAT: pa.float32(),
    FIELD_TYPE.DOUBLE: pa.float64(),
    FIELD_TYPE.DATE: pa.date32(),
    FIELD_TYPE.NEWDATE: pa.date32(),
    FIELD_TYPE.DATETIME: pa.timestamp("us"),
    FIELD_TYPE.TIMESTAMP: INSTANT,
    FIELD_TYPE.TIME: pa.string(),
    FIELD_TYPE.YEAR: pa.int16(),
    FIELD_TYPE.NULL: pa.string(),
}
_WHOLE: Mapping[int, tuple[pa.DataType, pa.DataType]] = {
    FIELD_TYPE.TINY: (pa.int8(), pa.uint8()),
    FIELD_TYPE.SHORT: (pa.int16(), pa.uint16()),
    FIELD_TYPE.INT24: (pa.int32(), pa.uint32()),
    FIELD_TYPE.LONG: (pa.int32(), pa.uint32()),
    FIELD_TYPE.LONGLONG: (pa.int64(), pa.uint64()),
}
_NUMBERS = frozenset({FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL})
MAX_DIGITS = 65
# The comment of a DATETIME that holds instants in UTC: TIMESTAMP itself reaches from 1970 to 2038 only.
INSTANT_MARK = "[penstock:instant]"


def is_bits(wire: Any) -> bool:
    """Whether a column is of type BIT, which takes numbers only as numbers."""
    return bool(wire.type_code == FIELD_TYPE.BIT)


def field_of(wire: Any, json: frozenset[str] = frozenset(), instants: frozenset[str] = frozenset()) -> pa.Field:
    """The Arrow field of a column as the wire describes it. `json`, `instants`: columns known to hold such."""
    nullable = not wire.flags & FLAG.NOT_NULL
    if wire.type_code == FIELD_TYPE.DATETIME and wire.name in instants:
        return field(wire.name, DataKind.TIMESTAMP, nullable=nullable)
    if wire.type_code == FIELD_TYPE.JSON or wire.name in json:
        return field(wire.name, DataKind.JSON, nullable=nullable)
    given = _type(wire)
    return field(wire.name, kind_of(pa.field(wire.name, given)), nullable=nullable, type=given)


def _type(wire: Any) -> pa.DataType:
    code = wire.type_code
    if code in _FIXED:
        return _FIXED[code]
    if code == FIELD_TYPE.BIT:
        return pa.bool_() if wire.length == 1 else pa.uint64()
    if code == FIELD_TYPE.TINY and wire.length == 1:
        return pa.bool_()
    if code in _WHOLE:
        return _WHOLE[code][1 if wire.flags & FLAG.UNSIGNED else 0]
    if code in _NUMBERS:
        return _decimal(wire)
    return pa.binary() if wire.charsetnr == _BINARY_CHARSET else pa.string()


def _decimal(wire: Any) -> pa.DataType:
    # The wire says how long the text may be: digits, a sign unless unsigned, a point where there are decimals.
    digits = wire.length - (0 if wire.flags & FLAG.UNSIGNED else 1) - (1 if wire.scale else 0)
    digits = min(max(digits, wire.scale, 1), MAX_DIGITS)
    return pa.decimal128(digits, wire.scale) if digits <= 38 else pa.decimal256(digits, wire.scale)


def array_of(values: Sequence[Any], one: pa.Field, wire: Any) -> pa.Array:
    """One column of rows as the server wrote them. DataQualityError for what is no value of the column's type."""
    try:
        return _array(values, one, wire)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeDecodeError, ValueError) as error:
        raise _refused(one) from error


def _array(values: Sequence[Any], one: pa.Field, wire: Any) -> pa.Array:
    types = pa.types
    if wire.type_code == FIELD_TYPE.BIT:
        numbers = [None if each is None else int.from_bytes(each, "big") for each in values]
        return pa.array(numbers, pa.uint64()).cast(one.type)
    if types.is_boolean(one.type):
        return pc.not_equal(pa.array(values, pa.string()).cast(pa.int8()), 0)
    if types.is_binary(one.type):
        return pa.array(values, pa.binary())
    text = pa.array(values, pa.string())
    if types.is_timestamp(one.type) and one.type.tz is not None:
        return text.cast(pa.timestamp("us")).cast(one.type)  # the session's zone is UTC
    return text if types.is_string(one.type) else text.cast(one.type)


def _refused(one: pa.Field) -> DataQualityError:
    if pa.types.is_date(one.type) or pa.types.is_timestamp(one.type):
        return DataQualityError(
            f"Column '{one.name}' holds a date that is none (a zero date such as 0000-00-00); make it NULL in the "
            f"source, or read it with `query` and NULLIF."
        )
    return DataQualityError(f"Column '{one.name}' holds a value that is no {one.type}.")


def type_for(one: pa.Field, *, key: bool = False) -> str:
    """The type of a column that is made for a field. `key`: it is to be indexed, and so has to be short."""
    kind = kind_of(one)
    if kind is DataKind.DECIMAL:
        return _decimal_for(one)
    if kind is DataKind.INTEGER:
        return _integer_for(one.type)
    if kind is DataKind.FLOAT:
        return "FLOAT" if one.type.bit_width < 64 else "DOUBLE"
    if kind is DataKind.TIMESTAMP:
        return "DATETIME(6)"
    if key and kind in (DataKind.STRING, DataKind.BINARY):
        return "VARCHAR(255)" if kind is DataKind.STRING else "VARBINARY(255)"
    return _OTHERS[kind]


_OTHERS: Mapping[DataKind, str] = {
    DataKind.STRING: "LONGTEXT",
    DataKind.BOOLEAN: "TINYINT(1)",
    DataKind.DATE: "DATE",
    DataKind.JSON: "JSON",
    DataKind.BINARY: "LONGBLOB",
}


def _decimal_for(one: pa.Field) -> str:
    if one.type.precision > MAX_DIGITS or not 0 <= one.type.scale <= 30:
        raise DataQualityError(
            f"Column '{one.name}' is {one.type}; MySQL's decimals have at most 65 digits, 30 of them after the "
            "point. Narrow it in `columns`."
        )
    return f"DECIMAL({one.type.precision},{one.type.scale})"


def _integer_for(given: pa.DataType) -> str:
    names = {8: "TINYINT", 16: "SMALLINT", 32: "INT", 64: "BIGINT"}
    if given.bit_width == 8 and not pa.types.is_unsigned_integer(given):
        return "TINYINT(4)"  # TINYINT(1) would be read back as a boolean
    return names[given.bit_width] + (" UNSIGNED" if pa.types.is_unsigned_integer(given) else "")
