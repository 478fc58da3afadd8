"""PostgreSQL's types as Arrow's nine kinds, both ways.

Law: a value is handed out exactly or not at all. UUIDs, enums, intervals (ISO 8601), times, network addresses,
ranges, bits and XML become text; arrays, composites and hstore-like become JSON; money a decimal; a numeric without
bounds has 38 digits, nine of them after the point. Years are 1 to 9999: infinity and BC are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from engine.dataflow.kinds import DECIMAL, INSTANT, field, kind_of
from engine.model.dataset import DataKind
from engine.model.errors import DataQualityError

PLAIN: Mapping[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "text": pa.string(),
    "varchar": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": INSTANT,
}
_NUMBERS = frozenset({"oid", "xid", "cid"})  # unsigned, 32 bits


@dataclass(frozen=True, slots=True)
class Plan:
    """How one column is read: the expression that is selected and the field it arrives as."""

    expression: str
    field: pa.Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """A type of the catalog."""

    name: str
    category: str = "U"
    kind: str = "b"  # base, enum, composite, range ...


def plan(name: str, quoted: str, type: Type, modifier: int, *, nullable: bool = True) -> Plan:
    """How to read a column of this type."""
    if type.name in PLAIN:
        arrow = PLAIN[type.name]
        return Plan(quoted, field(name, kind_of(pa.field(name, arrow)), nullable=nullable, type=arrow))
    if type.name == "numeric":
        return Plan(quoted, field(name, DataKind.DECIMAL, nullable=nullable, type=_decimal(modifier)))
    if type.name == "money":
        exact = field(name, DataKind.DECIMAL, nullable=nullable, type=pa.decimal128(19, 2))
        return Plan(f"{quoted}::numeric(19,2)", exact)
    if type.name in _NUMBERS:
        return Plan(f"{quoted}::text::int8", field(name, DataKind.INTEGER, nullable=nullable))
    if type.name in ("json", "jsonb"):
        return Plan(f"{quoted}::text", field(name, DataKind.JSON, nullable=nullable))
    if type.category == "A" or type.kind == "c":
        return Plan(f"to_json({quoted})::text", field(name, DataKind.JSON, nullable=nullable))
    return Plan(f"{quoted}::text", field(name, DataKind.STRING, nullable=nullable))


def _decimal(modifier: int) -> pa.DataType:
    if modifier < 4:
        return DECIMAL
    precision, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
    if scale > 1000:  # eleven bits with a sign
        scale -= 2048
    if precision > 76 or not 0 <= scale <= precision:
        return DECIMAL
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def type_for(one: pa.Field) -> str:
    """PostgreSQL's type for a field."""
    kind, types = kind_of(one), pa.types
    if kind is DataKind.DECIMAL:
        if one.type.scale < 0:
            raise DataQualityError(f"Column '{one.name}' is {one.type}; give it a scale of 0 or more in `columns`.")
        return f"numeric({one.type.precision},{one.type.scale})"
    if kind is DataKind.INTEGER:
        return _integer(one.type)
    if kind is DataKind.FLOAT:
        return "real" if types.is_float32(one.type) or types.is_float16(one.type) else "double precision"
    if kind is DataKind.TIMESTAMP:
        return "timestamp" if one.type.tz is None else "timestamptz"
    return _OTHERS[kind]


_OTHERS: Mapping[DataKind, str] = {
    DataKind.STRING: "text",
    DataKind.BOOLEAN: "boolean",
    DataKind.DATE: "date",
    DataKind.JSON: "jsonb",
    DataKind.BINARY: "bytea",
}


def _integer(given: pa.DataType) -> str:
    bits = given.bit_width + (1 if pa.types.is_unsigned_integer(given) else 0)
    if bits > 64:
        return "numeric(20,0)"
    return "smallint" if bits <= 16 else "integer" if bits <= 32 else "bigint"
