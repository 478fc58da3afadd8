"""What the columns of a CSV are, guessed from its first block.

Law: a guess never loses what the text says: numbers with leading zeros, with more digits than a float holds or
larger than 64 bits stay text, so do times of day and dates with slashes. A column that is empty in the first
block is text.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from engine.connectors.files.options import ReadOptions
from engine.connectors.files.wanted import WALL_CLOCK
from engine.dataflow.kinds import INSTANT
from engine.model.dataset import DataKind

_LEADING_ZERO = r"^[+-]?0\d"
_MANY_DIGITS = r"^[^eE]*?(?:\d\.?){16,}"
_OFFSET = r"(?:Z|[+-]\d\d(?::?\d\d)?)$"
_CLOCK = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?"
_NANOS = r"\.\d{7,}"


def kinds(texts: pa.Table, guessed: pa.Table, options: ReadOptions) -> pa.Schema:
    """The columns of a file: as they are told, else as the first block looks."""
    return pa.schema([_column(name, texts[name], guessed[name].type, options) for name in texts.column_names])


def _column(name: str, text: pa.ChunkedArray, guess: pa.DataType, options: ReadOptions) -> pa.Field:
    told = options.types.get(name)
    if told is not None:
        zoned = told.kind is DataKind.TIMESTAMP and told.type is None and _any(text, _OFFSET)
        return told.field(name, zoned)
    return pa.field(name, _type(text, guess))


def _type(text: pa.ChunkedArray, guess: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_integer(guess):
        return pa.string() if _any(text, _LEADING_ZERO) else pa.int64()
    if types.is_floating(guess):
        lossy = _any(text, _LEADING_ZERO) or _any(text, _MANY_DIGITS)
        return pa.string() if lossy else pa.float64()
    if types.is_timestamp(guess):
        if _any(text, _NANOS):
            return pa.string()
        return WALL_CLOCK if guess.tz is None else INSTANT
    if types.is_string(guess):
        return _far_times(text)
    if types.is_null(guess):
        return guess  # another file may know; else it is text
    return guess if types.is_boolean(guess) or types.is_date32(guess) else pa.string()


def _far_times(text: pa.ChunkedArray) -> pa.DataType:
    """Times beyond what nanoseconds reach, which Arrow leaves as text."""
    if _all(text, _CLOCK + "$"):
        return WALL_CLOCK
    return INSTANT if _all(text, _CLOCK + _OFFSET) else pa.string()


def _all(text: pa.ChunkedArray, pattern: str) -> bool:
    return bool(text.null_count < len(text) and pc.all(pc.match_substring_regex(text, pattern)).as_py())


def _any(text: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(text, pattern)).as_py())
