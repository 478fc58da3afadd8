"""Kinds of columns as people write them: `type: decimal(12,2)`.

    string  string(50)  integer  float  decimal  decimal(12,2)  boolean  date  json  binary
    timestamp  timestamp with time zone     an instant, kept in UTC
    timestamp without time zone             a wall clock

Law: what is not one of these is refused with the near spelling; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

import pyarrow as pa

from engine.dataflow.kinds import field
from engine.model.dataset import DataKind
from engine.model.errors import ConfigurationError

WALL_CLOCK = pa.timestamp("us")
_WRITTEN = re.compile(r"\s*([a-z][a-z ]*?)\s*(?:\(\s*(\d{1,9})\s*(?:,\s*(\d{1,2})\s*)?\))?\s*", re.IGNORECASE)
_SPELLINGS: Mapping[str, DataKind] = {
    **{kind.value: kind for kind in DataKind},
    "text": DataKind.STRING,
    "varchar": DataKind.STRING,
    "int": DataKind.INTEGER,
    "bigint": DataKind.INTEGER,
    "double": DataKind.FLOAT,
    "numeric": DataKind.DECIMAL,
    "bool": DataKind.BOOLEAN,
    "datetime": DataKind.TIMESTAMP,
    "timestamptz": DataKind.TIMESTAMP,
    "timestamp with time zone": DataKind.TIMESTAMP,
    "timestamp without time zone": DataKind.TIMESTAMP,
}
_NAIVE = frozenset({"datetime", "timestamp without time zone"})


def field_as_written(name: str, text: str) -> pa.Field:
    """The column that `type: text` asks for."""
    found = _WRITTEN.fullmatch(text)
    word = " ".join(found.group(1).lower().split()) if found else ""
    kind = _SPELLINGS.get(word)
    if found is None or kind is None:
        raise _unknown(name, text, word)
    first, second = found.group(2), found.group(3)
    if kind is DataKind.DECIMAL and first is not None:
        return field(name, kind, type=_decimal(name, int(first), int(second or 0)))
    if kind is DataKind.STRING and first is not None and second is None:
        return field(name, kind, length=int(first))
    if first is not None:
        raise ConfigurationError(f"Column '{name}': '{word}' takes nothing in parentheses.")
    return field(name, kind, type=WALL_CLOCK if word in _NAIVE else None)


def _decimal(name: str, precision: int, scale: int) -> pa.DataType:
    if not 1 <= precision <= 76 or scale > precision:
        raise ConfigurationError(
            f"Column '{name}': write decimal(PRECISION,SCALE) with a precision of 1 to 76 and no larger scale, "
            "for example decimal(12,2)."
        )
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def _unknown(name: str, text: str, word: str) -> ConfigurationError:
    near = get_close_matches(word, _SPELLINGS, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    there_are = ", ".join(kind.value for kind in DataKind)
    return ConfigurationError(f"Column '{name}': '{text[:40]}' is no kind of column; {hint}there are {there_are}.")
