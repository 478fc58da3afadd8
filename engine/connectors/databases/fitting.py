"""Rows made to fit the columns they are written to.

Law: a number or a time is written exactly or refused: where a database would round or cut without a word, Arrow's
safe cast stands before it. Columns are found by name, case aside where the database's names are so. Nested values
become JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import pyarrow as pa

from engine.model.errors import ConfigurationError, DataQualityError


def names_in(columns: Sequence[str], target: pa.Schema, where: str) -> list[str]:
    """The target's own spelling of each column. ConfigurationError for one that it lacks or that comes twice."""
    folded = {name.lower(): name for name in target.names}
    found = []
    for name in columns:
        spelled = name if name in target.names else folded.get(name.lower())
        if spelled is None:
            raise ConfigurationError(f"{where} has no column '{name}'; {_near(name, target.names)}")
        found.append(spelled)
    twice = {name for name in found if found.count(name) > 1}
    if twice:
        raise ConfigurationError(f"{where}: column '{min(twice)}' comes twice; leave one out with `columns`.")
    return found


def _near(name: str, there: Sequence[str]) -> str:
    close = get_close_matches(name, there, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"it has {', '.join(there[:20])}{' ...' if len(there) > 20 else ''}."


def fitted(batch: pa.RecordBatch, target: Sequence[pa.Field], where: str) -> pa.RecordBatch:
    """The batch with every column fit for its field of `target` (in the batch's order)."""
    given = batch.columns
    columns = [_fit(column, one, to, where) for column, one, to in zip(given, batch.schema, target, strict=True)]
    if all(made is before for made, before in zip(columns, given, strict=True)):
        return batch
    fields = [pa.field(one.name, column.type) for one, column in zip(batch.schema, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _fit(column: pa.Array, one: pa.Field, to: pa.Field, where: str) -> pa.Array:
    types = pa.types
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_nested(column.type):
        column = pa.array(list(_as_json(column)), pa.string())
    if types.is_float16(column.type):
        column = column.cast(pa.float32())
    if not _could_be_bent(column.type, to.type):
        return column
    both_times = types.is_timestamp(column.type) and types.is_timestamp(to.type)
    wanted = pa.timestamp(to.type.unit, column.type.tz) if both_times else to.type
    try:
        return column.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataQualityError(
            f"{where}: column '{one.name}' ({column.type}) has a value that does not fit into {to.type}; "
            "nothing was loaded. Widen the target's column, or convert it in `columns`."
        ) from error


def _could_be_bent(given: pa.DataType, to: pa.DataType) -> bool:
    """Whether the database would round, cut or wrap what does not fit."""
    types = pa.types
    if given == to:
        return False
    if types.is_decimal(given) or types.is_floating(given):
        return bool(types.is_decimal(to) or types.is_integer(to)) and not (
            types.is_floating(given) and types.is_decimal(to)
        )
    if types.is_integer(given):
        return bool(types.is_integer(to))
    if types.is_timestamp(given):
        return bool(types.is_date(to) or (types.is_timestamp(to) and given.unit != to.unit))
    return False


def _as_json(column: pa.Array) -> Iterator[str | None]:
    for each in column.to_pylist():
        yield None if each is None else json.dumps(each, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)
