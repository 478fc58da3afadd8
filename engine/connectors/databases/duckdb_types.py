"""DuckDB's types as Arrow's nine kinds, both ways.

Law: a value is handed out exactly or not at all. What Arrow or other systems cannot carry (intervals, bits, times
with a zone, UUIDs, enums) becomes text; lists, structs and maps become JSON; a type that has no text of its own is
refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from engine.dataflow.kinds import INSTANT, field, kind_of
from engine.model.dataset import DataKind
from engine.model.errors import DataQualityError

_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")

_PLAIN: Mapping[str, pa.DataType] = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "UBIGINT": pa.uint64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BLOB": pa.binary(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP_S": pa.timestamp("s"),
    "TIMESTAMP_MS": pa.timestamp("ms"),
    "TIMESTAMP_NS": pa.timestamp("ns"),
    "TIMESTAMP WITH TIME ZONE": INSTANT,
}
_AS_TEXT = frozenset({"UUID", "TIME", "TIME WITH TIME ZONE", "TIME_NS", "INTERVAL", "BIT", "BIGNUM", '"NULL"'})
_AS_WIDE = frozenset({"HUGEINT", "UHUGEINT"})  # CAST refuses what 38 digits do not hold


@dataclass(frozen=True, slots=True)
class Plan:
    """How one column is read: the expression that is selected and the field it arrives as."""

    expression: str
    field: pa.Field


def plan(name: str, quoted: str, type: str, *, nullable: bool = True) -> Plan:
    """How to read a column of this type. DataQualityError for one that cannot be read."""
    if type in _PLAIN:
        kind = kind_of(pa.field(name, _PLAIN[type]))
        return Plan(quoted, field(name, kind, nullable=nullable, type=_PLAIN[type]))
    wide = _DECIMAL.fullmatch(type)
    if wide:
        exact = pa.decimal128(int(wide[1]), int(wide[2]))
        return Plan(quoted, field(name, DataKind.DECIMAL, nullable=nullable, type=exact))
    if type in _AS_WIDE:
        whole = field(name, DataKind.DECIMAL, nullable=nullable, type=pa.decimal128(38, 0))
        return Plan(f"CAST({quoted} AS DECIMAL(38,0))", whole)
    if type in _AS_TEXT or type.startswith("ENUM("):
        return Plan(f"CAST({quoted} AS VARCHAR)", field(name, DataKind.STRING, nullable=nullable))
    if type == "JSON":
        return Plan(f"CAST({quoted} AS VARCHAR)", field(name, DataKind.JSON, nullable=nullable))
    if type.endswith("]") or type.startswith(("STRUCT(", "MAP(")):
        return Plan(f"CAST(to_json({quoted}) AS VARCHAR)", field(name, DataKind.JSON, nullable=nullable))
    raise DataQualityError(
        f"Column '{name}' is of DuckDB's type {type[:60]}, which no kind of column carries; "
        "convert it in a `query`, or leave it out with `columns`."
    )


def columns_sql(schema: pa.Schema, quote: Sequence[str], keys: Sequence[str] = ()) -> list[str]:
    """The column definitions of a table that is made for a schema; `quote`: the quoted names, in its order."""
    return [
        f"{quoted} {type_for(each)}{'' if each.nullable and each.name not in keys else ' NOT NULL'}"
        for each, quoted in zip(schema, quote, strict=True)
    ]


def type_for(one: pa.Field) -> str:
    """DuckDB's type for a field."""
    kind, types = kind_of(one), pa.types
    if kind is DataKind.DECIMAL:
        if one.type.precision > 38:
            raise DataQualityError(
                f"Column '{one.name}' is {one.type}; DuckDB's decimals have at most 38 digits. "
                "Narrow it in `columns`."
            )
        return f"DECIMAL({one.type.precision},{one.type.scale})"
    if kind is DataKind.INTEGER:
        return _integer(one.type)
    if kind is DataKind.FLOAT:
        return "FLOAT" if types.is_float32(one.type) or types.is_float16(one.type) else "DOUBLE"
    if kind is DataKind.TIMESTAMP:
        if one.type.unit == "ns":
            return "TIMESTAMP_NS" if one.type.tz is None else "TIMESTAMPTZ"
        return "TIMESTAMP" if one.type.tz is None else "TIMESTAMPTZ"
    return _OTHERS[kind]


_OTHERS: Mapping[DataKind, str] = {
    DataKind.STRING: "VARCHAR",
    DataKind.BOOLEAN: "BOOLEAN",
    DataKind.DATE: "DATE",
    DataKind.JSON: "JSON",
    DataKind.BINARY: "BLOB",
}


def _integer(given: pa.DataType) -> str:
    names = {8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT"}
    return ("U" if pa.types.is_unsigned_integer(given) else "") + names[given.bit_width]
