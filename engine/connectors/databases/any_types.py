"""Types as SQLAlchemy tells them, and Arrow's nine kinds, both ways.

Law: what a dialect reports is taken for what it is; what SQLAlchemy does not know becomes text. A database without
instants keeps them as UTC's wall clock.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import types

from engine.dataflow.kinds import DECIMAL, INSTANT, field, kind_of
from engine.model.dataset import DataKind
from engine.model.errors import DataQualityError

_WALL = pa.timestamp("us")


def field_for(name: str, given: types.TypeEngine[Any], *, nullable: bool = True) -> pa.Field:
    """The field of a column of this type."""
    kind, exact = _kind(given)
    return field(name, kind, nullable=nullable, type=exact)


def _kind(given: types.TypeEngine[Any]) -> tuple[DataKind, pa.DataType | None]:
    if isinstance(given, types.Boolean):
        return DataKind.BOOLEAN, None
    if isinstance(given, types.Integer):
        small = {"SMALLINT": pa.int16(), "TINYINT": pa.int16()}.get(type(given).__name__)
        return DataKind.INTEGER, small
    if isinstance(given, types.Float | types.Double):
        return DataKind.FLOAT, None
    if isinstance(given, types.Numeric):
        return DataKind.DECIMAL, _decimal(given.precision, given.scale)
    if isinstance(given, types.DateTime):
        return DataKind.TIMESTAMP, INSTANT if given.timezone else _WALL
    if isinstance(given, types.Date):
        return DataKind.DATE, None
    if isinstance(given, types.JSON | types.ARRAY):
        return DataKind.JSON, None
    if isinstance(given, types.LargeBinary | types.BINARY | types.VARBINARY):
        return DataKind.BINARY, None
    return DataKind.STRING, None


def _decimal(precision: int | None, scale: int | None) -> pa.DataType:
    if precision is None or precision > 76 or not 0 <= (scale or 0) <= precision:
        return DECIMAL
    return pa.decimal128(precision, scale or 0) if precision <= 38 else pa.decimal256(precision, scale or 0)


def guessed(name: str, values: Sequence[Any]) -> pa.Field:
    """The field of a query's column, by what its first rows have."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) != 1:
        return field(name, DataKind.FLOAT if kinds and kinds <= {int, float} else DataKind.STRING)
    (kind,) = kinds
    if kind is datetime:
        zoned = any(value.tzinfo for value in values if value is not None)
        return field(name, DataKind.TIMESTAMP, type=INSTANT if zoned else _WALL)
    known = {
        bool: DataKind.BOOLEAN,
        int: DataKind.INTEGER,
        float: DataKind.FLOAT,
        Decimal: DataKind.DECIMAL,
        bytes: DataKind.BINARY,
        dict: DataKind.JSON,
        list: DataKind.JSON,
    }
    return field(name, DataKind.DATE if kind.__name__ == "date" else known.get(kind, DataKind.STRING))


def column_of(values: Sequence[Any], one: pa.Field, where: str) -> pa.Array:
    """A column's values as Arrow."""
    kind = kind_of(one)
    try:
        if kind is DataKind.JSON:
            return pa.array(
                [value if isinstance(value, str | None) else _json(value) for value in values], one.type
            )
        if kind is DataKind.STRING:
            return pa.array([value if isinstance(value, str | None) else str(value) for value in values], one.type)
        if kind is DataKind.DECIMAL:
            exact = [None if value is None else format(Decimal(value), "f") for value in values]
            return pa.array(exact, pa.string()).cast(one.type)
        if kind is DataKind.TIMESTAMP:
            return pa.array([_zoned(value, one.type.tz is not None) for value in values], one.type)
        return pa.array(values, one.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, ArithmeticError) as error:
        raise DataQualityError(
            f"{where}: column '{one.name}' has a value that is no {one.type}; convert it in a `query`, or leave "
            "the column out with `columns`."
        ) from error


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _zoned(value: Any, wanted: bool) -> Any:
    if isinstance(value, datetime) and (value.tzinfo is not None) is not wanted:
        return value.replace(tzinfo=UTC) if wanted else value.astimezone(UTC).replace(tzinfo=None)
    return value


def type_for(one: pa.Field, *, key: bool = False) -> types.TypeEngine[Any]:
    """SQLAlchemy's type for a field; a key's text is bounded, because few databases index any length."""
    kind = kind_of(one)
    if kind is DataKind.STRING:
        return types.String(255) if key else types.Text()
    if kind is DataKind.DECIMAL:
        return types.Numeric(one.type.precision, one.type.scale)
    if kind is DataKind.TIMESTAMP:
        return types.DateTime(timezone=one.type.tz is not None)
    if kind is DataKind.INTEGER:
        return types.BigInteger() if one.type.bit_width > 32 else types.Integer()
    plain: dict[DataKind, types.TypeEngine[Any]] = {
        DataKind.FLOAT: types.Double(),
        DataKind.BOOLEAN: types.Boolean(),
        DataKind.DATE: types.Date(),
        DataKind.JSON: types.JSON(),
        DataKind.BINARY: types.LargeBinary(),
    }
    return plain[kind]


def values_of(column: pa.Array, to: sa.Column[Any]) -> list[Any]:
    """An Arrow column's values as the dialect binds them."""
    values: list[Any] = column.to_pylist()
    if isinstance(to.type, types.JSON):
        return [json.loads(value) if isinstance(value, str) else value for value in values]
    if isinstance(to.type, types.DateTime):
        return [_zoned(value, bool(to.type.timezone)) for value in values]
    return values
