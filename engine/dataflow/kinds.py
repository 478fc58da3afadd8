"""The nine kinds of values and the Arrow types that carry them (TYP-01, TYP-02).

Law: every Arrow type that a connector hands out has a kind here, or is refused by name. JSON travels as text,
marked in its field's metadata. A timestamp with a zone is an instant in UTC; one without is a wall clock and stays
one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pyarrow as pa

from engine.model.dataset import Column, DataKind
from engine.model.errors import DataQualityError

MARK = b"penstock.kind"
REQUIRED = b"penstock.required"  # of a target's column: takes no null, and nothing fills it in when it is left out
LENGTH = b"penstock.length"  # of a target's text: so many characters at most
INSTANT = pa.timestamp("us", tz="UTC")
DECIMAL = pa.decimal128(38, 9)  # where a system does not say how wide its numbers are

_PLAIN: Mapping[DataKind, pa.DataType] = {
    DataKind.STRING: pa.string(),
    DataKind.INTEGER: pa.int64(),
    DataKind.FLOAT: pa.float64(),
    DataKind.DECIMAL: DECIMAL,
    DataKind.BOOLEAN: pa.bool_(),
    DataKind.DATE: pa.date32(),
    DataKind.TIMESTAMP: INSTANT,
    DataKind.JSON: pa.string(),
    DataKind.BINARY: pa.binary(),
}


def field(
    name: str,
    kind: DataKind,
    *,
    nullable: bool = True,
    type: pa.DataType | None = None,
    required: bool = False,
    length: int | None = None,
) -> pa.Field:
    """An Arrow field of a kind; `type` where the kind's plain one is not exact enough. `required` and `length` are
    what a destination knows of a target's column (see REQUIRED and LENGTH)."""
    metadata = {MARK: kind.value.encode()} if kind is DataKind.JSON else None
    plain = pa.field(name, type or _PLAIN[kind], nullable=nullable, metadata=metadata)
    return limited(plain, required=required, length=length)


def limited(one: pa.Field, *, required: bool = False, length: int | None = None) -> pa.Field:
    """The same field with what its system has to say of values (see REQUIRED and LENGTH)."""
    known = dict(one.metadata or {})
    if required:
        known[REQUIRED] = b"1"
    if length is not None:
        known[LENGTH] = str(length).encode()
    return one.with_metadata(known) if known else one


def travelling(one: pa.Field) -> pa.Field:
    """The field that carries another one's values between systems: types that only Arrow tells apart are one."""
    kind, types = kind_of(one), pa.types
    given = one.type.value_type if types.is_dictionary(one.type) else one.type
    if kind in (DataKind.STRING, DataKind.JSON, DataKind.BINARY, DataKind.DATE):
        return field(one.name, kind, nullable=one.nullable)
    if types.is_timestamp(given):
        given = INSTANT if given.tz is not None else pa.timestamp("us")
    elif types.is_float16(given):
        given = pa.float32()
    return field(one.name, kind, nullable=one.nullable, type=given)


def length_of(one: pa.Field) -> int | None:
    """How many characters a text may have; None where that is not known or not limited."""
    given = (one.metadata or {}).get(LENGTH)
    return int(given) if given else None


def kind_of(one: pa.Field) -> DataKind:
    """The kind of a field. DataQualityError for what cannot be handed on (durations, intervals, unions)."""
    if one.metadata and one.metadata.get(MARK) == DataKind.JSON.value.encode():
        return DataKind.JSON
    kind = _kind(one.type)
    if kind is None:
        raise DataQualityError(
            f"Column '{one.name}' is of type {one.type}, which no kind of column carries; "
            "convert it in the query, or leave it out with `columns`."
        )
    return kind


def _kind(given: pa.DataType) -> DataKind | None:
    types = pa.types
    if types.is_dictionary(given):
        return _kind(given.value_type)
    tests = (
        (types.is_boolean, DataKind.BOOLEAN),
        (types.is_integer, DataKind.INTEGER),
        (types.is_floating, DataKind.FLOAT),
        (types.is_decimal, DataKind.DECIMAL),
        (types.is_string, DataKind.STRING),
        (types.is_large_string, DataKind.STRING),
        (types.is_string_view, DataKind.STRING),
        (types.is_null, DataKind.STRING),
        (types.is_date, DataKind.DATE),
        (types.is_timestamp, DataKind.TIMESTAMP),
        (types.is_time, DataKind.STRING),
        (types.is_binary, DataKind.BINARY),
        (types.is_large_binary, DataKind.BINARY),
        (types.is_fixed_size_binary, DataKind.BINARY),
        (types.is_struct, DataKind.JSON),
        (types.is_list, DataKind.JSON),
        (types.is_large_list, DataKind.JSON),
        (types.is_fixed_size_list, DataKind.JSON),
        (types.is_map, DataKind.JSON),
    )
    return next((kind for test, kind in tests if test(given)), None)


def columns_of(schema: pa.Schema) -> tuple[Column, ...]:
    """A schema as it is remembered with a dataset."""
    return tuple(
        Column(name=one.name, kind=kind_of(one), nullable=one.nullable, detail=_detail(one.type)) for one in schema
    )


def _detail(given: pa.DataType) -> str:
    types = pa.types
    if types.is_decimal(given):
        return f"decimal({given.precision},{given.scale})"
    if types.is_timestamp(given) and given.tz is None:
        return "without time zone"
    if types.is_integer(given) and given.bit_width != 64:
        return str(given)
    return ""


def fingerprint(schema: pa.Schema) -> str:
    """Names and kinds, in any order: what a change of the source's columns changes (INC-10)."""
    lines = sorted(f"{one.name}\t{kind_of(one).value}" for one in schema)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
