"""Rows as COPY's binary form has them, made from Arrow by pgpq where that is installed (the extra `adbc`).

Law: only where each column of the table takes exactly what the Arrow column holds: the server reads these bytes
without another look. Any other table gets text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from engine.connectors.databases.pg_types import PLAIN

_BLOCK = 1 << 20


class Binary:
    """Batches of one schema on their way into a table whose columns have these types."""

    def __init__(self, batches: Iterable[pa.RecordBatch], types: Sequence[str]) -> None:
        self._batches = iter(batches)
        first = next(self._batches, None)
        self._encoder = None if first is None else _encoder(first.schema, types)
        self.batches = self._batches if first is None else chain([first], self._batches)

    def __bool__(self) -> bool:
        """Whether they can go so; else they go on as `batches`."""
        return self._encoder is not None

    def blocks(self) -> Iterator[Any]:
        """What COPY is fed with."""
        encoder: Any = self._encoder
        yield encoder.write_header()
        for batch in self.batches:
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
