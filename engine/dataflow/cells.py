"""Cells that do not fit: found, named and shown.

Law: the first cell that does not fit is the same however rows are cut into batches. What is shown of it is short
and has nothing in it that a terminal obeys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

SHOWN = 40  # characters of a cell in a message


class Unfit(Exception):
    """A cell of an array cannot be converted: its index there, and a sentence's end that says why."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(why)
        self.index, self.why = index, why


def cell(column: pa.Array, index: int) -> Any:
    """One cell; a time that Python cannot hold, as text."""
    try:
        return column[index].as_py()
    except (ValueError, OverflowError):
        return pc.cast(column.slice(index, 1), pa.string())[0].as_py()


def excerpt(value: Any) -> str:
    """A cell as it is shown in a message."""
    if value is None:
        return "null"
    text = value.hex() if isinstance(value, bytes) else str(value)
    cut = text[:SHOWN]
    safe = "".join(each if each.isprintable() else "\N{MIDDLE DOT}" for each in cut)
    return f"'{safe}'" + (f" ... ({len(text)} characters)" if len(text) > SHOWN else "")


def refuse(bad: pa.Array, why: str) -> None:
    """Unfit for the first true cell of `bad`, if there is one."""
    at = pc.index(bad, True).as_py()
    if at >= 0:
        raise Unfit(at, why)


def cast(column: pa.Array, to: pa.DataType, why: str) -> pa.Array:
    """Arrow's safe cast; Unfit for the first cell that it does not do."""
    return attempt(lambda part: pc.cast(part, to), column, why)


def attempt(convert: Callable[[pa.Array], pa.Array], column: pa.Array, why: str) -> pa.Array:
    """Any conversion that is done cell by cell; Unfit for the first one that it does not do."""
    try:
        return convert(column)
    except pa.ArrowInvalid:
        raise Unfit(_first_bad(convert, column), why) from None


def _first_bad(convert: Callable[[pa.Array], pa.Array], column: pa.Array) -> int:
    """By halves: the conversion of everything before it succeeds."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(column.slice(low, middle - low))
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low
