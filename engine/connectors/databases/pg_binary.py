"""Rows as COPY's binary form has them, made from Arrow by pgpq where that is installed (the extra `adbc`).

Law: only where each column of the table takes exactly what the Arrow column holds: the server reads these bytes
without another look. Any other table gets text, and so does what comes after a time beyond the years 1 to 9999,
which the server judges in text only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.connectors.databases.pg_copy import DAYS, MICROSECONDS
from engine.connectors.databases.pg_types import PLAIN

_BLOCK = 1 << 20


class Binary:
    """Batches of one schema on their way into a table whose columns have these types."""

    def __init__(self, batches: Iterable[pa.RecordBatch], types: Sequence[str]) -> None:
        given = iter(batches)
        first = next(given, None)
        self.left: Iterator[pa.RecordBatch] = given if first is None else chain([first], given)  # not written yet
        self.whole = True  # so far none had to be left for text
        self._encoder = None if first is None else _encoder(first.schema, types)
        self._times = [] if first is None else [at for at, one in enumerate(first.schema) if _is_time(one.type)]

    def __bool__(self) -> bool:
        """Whether any of them can go so."""
        return self._encoder is not None

    def blocks(self) -> Iterator[Any]:
        """What COPY is fed with; what is `left` afterwards goes as text."""
        encoder: Any = self._encoder
        yield encoder.write_header()
        for batch in self.left:
            if any(_beyond(batch.column(at)) for at in self._times):
                self.whole, self.left = False, chain([batch], self.left)
                break
            block = memoryview(encoder.write_batch(batch))
            for at in range(0, len(block), _BLOCK):
                yield block[at : at + _BLOCK]
        yield encoder.finish()


def _encoder(schema: pa.Schema, types: Sequence[str]) -> Any:
    if not all(_fits(one.type, name) for one, name in zip(schema, types, strict=True)):
        return None
    try:
        from pgpq import ArrowToPostgresBinaryEncoder
    except ImportError:
        return None
    return ArrowToPostgresBinaryEncoder(schema)


def _fits(given: pa.DataType, name: str) -> bool:
    """Whether the server's type takes the very value; what it would round or cut has been refused before."""
    return PLAIN.get(name) == given or (name == "numeric" and pa.types.is_decimal128(given))


def _is_time(given: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(given) or pa.types.is_date(given))


def _beyond(column: pa.Array) -> bool:
    """Whether a date or a moment is none of the years 1 to 9999: infinity is a number far away."""
    days = pa.types.is_date(column.type)
    ends = pc.min_max(column.view(pa.int32() if days else pa.int64()))
    low, high = DAYS if days else MICROSECONDS
    return bool(ends["min"].is_valid and not low <= ends["min"].as_py() <= ends["max"].as_py() <= high)
