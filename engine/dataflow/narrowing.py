"""Conversions that may lose something: done where a column says `lossy: true`, and counted (C-31).

Law: what a value cannot become even with loss (a number too large, text that is none) is still Unfit. A value
counts when it is not the same afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow import parsing
from engine.dataflow.cells import attempt, cast, refuse

_WIDEST = 76  # digits of decimal256


class Narrowing:
    """One conversion of one column, and how many values it has changed."""

    def __init__(self, what: str, convert: Callable[[pa.Array], tuple[pa.Array, int]]) -> None:
        self.what, self._convert = what, convert
        self.changed = 0

    def __call__(self, column: pa.Array) -> pa.Array:
        found, changed = self._convert(column)
        self.changed += changed
        return found


def _count(changed: pa.Array) -> int:
    return pc.sum(changed).as_py() or 0


def cut(length: int) -> Narrowing:
    """Text of at most so many characters."""

    def convert(column: pa.Array) -> tuple[pa.Array, int]:
        long = pc.greater(pc.utf8_length(column), length)
        changed = _count(long)
        return (pc.utf8_slice_codeunits(column, 0, length), changed) if changed else (column, 0)

    return Narrowing(f"cut to {length} characters", convert)


def shorter_float(to: pa.DataType) -> Narrowing:
    """Floating point of fewer bits; what is beyond its range is Unfit."""

    def convert(column: pa.Array) -> tuple[pa.Array, int]:
        found = pc.cast(column, to)
        refuse(pc.and_(pc.is_inf(found), pc.invert(pc.is_inf(column))), f"does not fit into {to}")
        return found, _count(pc.not_equal(pc.cast(found, column.type), column)) - _count(pc.is_nan(column))

    return Narrowing(f"made {to}", convert)


def whole(to: pa.DataType) -> Narrowing:
    """Numbers without what is after the point; nan becomes null."""

    def convert(column: pa.Array) -> tuple[pa.Array, int]:
        numbers, empty = _without_nan(column)
        rounded = pc.trunc(numbers)
        changed = _count(pc.not_equal(rounded, numbers))
        return cast(rounded, to, f"does not fit into {to}"), changed + empty

    return Narrowing("cut to whole numbers", convert)


def rounded(to: pa.DataType) -> Narrowing:
    """Numbers with as many digits after the point as the column has; nan becomes null."""
    why = f"does not fit into {to}"

    def convert(column: pa.Array) -> tuple[pa.Array, int]:
        numbers, empty = _without_nan(column)
        if pa.types.is_floating(column.type):
            return cast(numbers, to, why), len(numbers) - numbers.null_count + empty
        if column.type.scale <= to.scale:
            return cast(numbers, to, why), 0
        near = attempt(lambda part: pc.round(part, to.scale, "half_towards_infinity"), numbers, why)
        return cast(near, to, why), _count(pc.not_equal(near, numbers))

    return Narrowing(f"rounded to {to.scale} digits after the point", convert)


def rounded_text(to: pa.DataType) -> Narrowing:
    """Text with more digits than the column has."""
    wide = pa.decimal256(_WIDEST, max(_WIDEST // 2, to.scale))
    inner = rounded(to)

    def convert(column: pa.Array) -> tuple[pa.Array, int]:
        before = inner.changed
        found = inner(parsing.decimals(column, wide))
        return found, inner.changed - before

    return Narrowing(inner.what, convert)


def floating(to: pa.DataType) -> Narrowing:
    """Decimals in floating point: each value may be another one in its last digits."""
    return Narrowing("made floating point", lambda column: (pc.cast(column, to), len(column) - column.null_count))


def day_of(to: pa.DataType) -> Narrowing:
    """The date of a time; of an instant, the date in UTC."""

    def convert(column: pa.Array) -> tuple[pa.Array, int]:
        day = pc.floor_temporal(column, unit="day")
        return pc.cast(pc.cast(day, pa.date32()), to), _count(pc.not_equal(day, column))

    return Narrowing("cut to their date", convert)


def coarser(to: pa.TimestampType) -> Narrowing:
    """Times in a coarser unit."""
    unit = {"s": "second", "ms": "millisecond", "us": "microsecond", "ns": "nanosecond"}[to.unit]

    def convert(column: pa.Array) -> tuple[pa.Array, int]:
        floor = pc.floor_temporal(column, unit=unit)
        return pc.cast(floor, pa.timestamp(to.unit, column.type.tz)), _count(pc.not_equal(floor, column))

    return Narrowing(f"cut to {unit}s", convert)


def _without_nan(column: pa.Array) -> tuple[pa.Array, int]:
    if not pa.types.is_floating(column.type):
        return column, 0
    empty = pc.is_nan(column)
    count = _count(empty)
    return (pc.if_else(empty, pa.scalar(None, column.type), column), count) if count else (column, 0)
