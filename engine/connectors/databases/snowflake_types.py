"""Snowflake's types as Arrow's nine kinds, both ways.

Law: whole numbers are 64 bits or refused; times are microseconds or refused. Rows travel there as Parquet whose
times, dates, binary and JSON are text: how Snowflake reads those types of Parquet depends on its options.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow.kinds import INSTANT, field, kind_of
from engine.model.dataset import DataKind
from engine.model.errors import DataQualityError

_TYPES: Mapping[int, tuple[DataKind, pa.DataType | None]] = {
    1: (DataKind.FLOAT, None),
    2: (DataKind.STRING, None),
    3: (DataKind.DATE, None),
    5: (DataKind.JSON, None),
    6: (DataKind.TIMESTAMP, INSTANT),
    7: (DataKind.TIMESTAMP, INSTANT),
    8: (DataKind.TIMESTAMP, pa.timestamp("us")),
    9: (DataKind.JSON, None),
    10: (DataKind.JSON, None),
    11: (DataKind.BINARY, None),
    12: (DataKind.STRING, None),  # a time of day
    13: (DataKind.BOOLEAN, None),
}


def field_of(described: Any) -> pa.Field:
    """The field of a column as the driver describes it."""
    name, code = described.name, described.type_code
    nullable = described.is_nullable is not False
    if code == 0:
        if not described.scale:
            return field(name, DataKind.INTEGER, nullable=nullable)
        exact = pa.decimal128(described.precision or 38, described.scale)
        return field(name, DataKind.DECIMAL, nullable=nullable, type=exact)
    if code not in _TYPES:
        raise DataQualityError(
            f"Column '{name}' is of a type of Snowflake that no kind of column carries; convert it in a `query`, "
            "or leave it out with `columns`."
        )
    kind, arrow = _TYPES[code]
    return field(name, kind, nullable=nullable, type=arrow)


def as_field(column: pa.Array, one: pa.Field) -> pa.Array:
    """A column as it arrived, as its field has it."""
    types = pa.types
    try:
        if types.is_timestamp(column.type) and types.is_timestamp(one.type) and column.type.tz != one.type.tz:
            column = column.cast(pa.timestamp(column.type.unit, one.type.tz))
        return column.cast(one.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataQualityError(
            f"Column '{one.name}' has a value that is no {one.type}; convert it in a `query`."
        ) from error


def type_for(one: pa.Field) -> str:
    """Snowflake's type for a field."""
    kind = kind_of(one)
    if kind is DataKind.DECIMAL:
        if one.type.precision > 38 or not 0 <= one.type.scale <= 37:
            raise DataQualityError(
                f"Column '{one.name}' is {one.type}; Snowflake's numbers have at most 38 digits. Narrow it in "
                "`columns`."
            )
        return f"NUMBER({one.type.precision},{one.type.scale})"
    if kind is DataKind.TIMESTAMP:
        return "TIMESTAMP_NTZ" if one.type.tz is None else "TIMESTAMP_TZ"
    return _MADE[kind]


_MADE: Mapping[DataKind, str] = {
    DataKind.STRING: "VARCHAR",
    DataKind.INTEGER: "NUMBER(38,0)",
    DataKind.FLOAT: "FLOAT",
    DataKind.BOOLEAN: "BOOLEAN",
    DataKind.DATE: "DATE",
    DataKind.JSON: "VARIANT",
    DataKind.BINARY: "BINARY",
}


def carried(column: pa.Array, one: pa.Field) -> pa.Array:
    """A column as it travels in Parquet."""
    kind = kind_of(one)
    if kind is DataKind.TIMESTAMP:
        wall = column.cast(pa.timestamp(one.type.unit)).cast(pa.timestamp("us")).cast(pa.string())
        return pc.binary_join_element_wise(wall, "+00:00", "") if one.type.tz is not None else wall
    if kind is DataKind.BINARY:
        return pa.array([None if each is None else each.hex() for each in column.to_pylist()], pa.string())
    if kind in (DataKind.DATE, DataKind.STRING, DataKind.JSON):
        return column.cast(pa.string())
    if kind is DataKind.INTEGER and pa.types.is_uint64(column.type):
        return column.cast(pa.decimal128(20, 0))
    return column


def staged_type(one: pa.Field) -> str:
    """The type of the stage's column that takes it."""
    kind = kind_of(one)
    text = (DataKind.TIMESTAMP, DataKind.BINARY, DataKind.DATE, DataKind.JSON)
    return "VARCHAR" if kind in text else type_for(one)


def unpacked(column: str, from_: pa.Field, to: str) -> str:
    """The expression that makes a stage's column a value of the target's type."""
    kind = kind_of(from_)
    if kind is DataKind.JSON:
        return f"PARSE_JSON({column})" if to.startswith(("VARIANT", "OBJECT", "ARRAY")) else column
    if kind is DataKind.BINARY:
        return f"TO_BINARY({column}, 'HEX')"
    return f"CAST({column} AS {to})"
