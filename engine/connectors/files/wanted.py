"""The kinds that a reader is told (`types`), as they are written in a pipeline.

    string  integer  float  decimal(12,2)  boolean  json  binary
    date          date(%d/%m/%Y)
    timestamp     timestamp(%d/%m/%Y %H:%M)      with or without a zone, as the cells have it
    timestamp with time zone     timestamp without time zone

Law: a kind that is told is kept or the cell is refused; it is never guessed again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import pyarrow as pa

from engine.connectors.files.names import shown
from engine.dataflow.kinds import DECIMAL, INSTANT, field
from engine.model.dataset import DataKind
from engine.model.errors import ConfigurationError

WALL_CLOCK = pa.timestamp("us")
_WRITTEN = re.compile(r"\s*([A-Za-z][A-Za-z ]*?)\s*(?:\((.*)\))?\s*\Z", re.DOTALL)
_SPELLINGS: Mapping[str, DataKind] = {
    **{kind.value: kind for kind in DataKind},
    "text": DataKind.STRING,
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
_ZONED = frozenset({"timestamptz", "timestamp with time zone"})
_NAIVE = frozenset({"datetime", "timestamp without time zone"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one column shall be."""

    kind: DataKind
    type: pa.DataType | None = None  # None: a timestamp whose cells say whether they have a zone
    format: str | None = None  # of dates and timestamps, as strptime takes it

    def field(self, name: str, zoned: bool = False) -> pa.Field:
        """The column; `zoned`: the cells of a timestamp carry offsets."""
        plain = (INSTANT if zoned else WALL_CLOCK) if self.kind is DataKind.TIMESTAMP else None
        return field(name, self.kind, type=self.type or plain)


def wanted(given: Mapping[str, str]) -> dict[str, Wanted]:
    """The `types` of a reader. ConfigurationError for a kind there is not."""
    return {column: _one(column, str(text)) for column, text in given.items()}


def _one(column: str, text: str) -> Wanted:
    found = _WRITTEN.match(text)
    name = " ".join(found.group(1).lower().split()) if found else ""
    kind = _SPELLINGS.get(name)
    if found is None or kind is None:
        near = get_close_matches(name, _SPELLINGS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConfigurationError(
            f"types.{shown(column)}: '{shown(text)}' is no kind of column; {hint}"
            f"There are {', '.join(kind.value for kind in DataKind)}."
        )
    inner = found.group(2)
    if kind is DataKind.DECIMAL:
        return Wanted(kind=kind, type=_decimal(column, inner))
    if kind in (DataKind.DATE, DataKind.TIMESTAMP):
        plain = INSTANT if name in _ZONED else WALL_CLOCK if name in _NAIVE or inner else None
        return Wanted(kind=kind, type=pa.date32() if kind is DataKind.DATE else plain, format=inner)
    if inner is not None:
        raise ConfigurationError(f"types.{shown(column)}: '{kind.value}' takes nothing in parentheses.")
    return Wanted(kind=kind, type=field("", kind).type)


def _decimal(column: str, inner: str | None) -> pa.DataType:
    if inner is None:
        return DECIMAL
    numbers = re.fullmatch(r"\s*(\d{1,2})\s*(?:,\s*(\d{1,2})\s*)?", inner)
    precision, scale = (int(numbers.group(1)), int(numbers.group(2) or 0)) if numbers else (0, 0)
    if not 1 <= precision <= 76 or scale > precision:
        raise ConfigurationError(
            f"types.{shown(column)}: write decimal(PRECISION,SCALE) with a precision of 1 to 76, e.g. "
            f"decimal(12,2)."
        )
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
