"""Rows after a watermark: what an append may add without doubling what is there, or what will be read again.

Law: a row without a watermark value passes: whether such rows are read at all is the source's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow.streams import Batches
from engine.ports.stream import Stream
from engine.rules.watermarks import read

_TICKS = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}  # microseconds that a unit does not tell apart
_EXACT = Context(prec=200)  # more digits than any column has


def only_newer(
    stream: Stream, column: str, after: Any, limit: Any = None, early: Callable[[], None] = lambda: None
) -> Stream:
    """The rows whose `column` is beyond `after` and not beyond `limit`, as far as that can be told. `early` is
    called when the first one comes that is beyond the limit."""
    if column not in stream.schema.names:
        return stream
    kind = stream.schema.field(column).type
    low, high = (_bound(read(each), kind) if each is not None else None for each in (after, limit))
    if low is None and high is None:
        return stream

    def batches() -> Iterator[pa.RecordBatch]:
        told = False
        for batch in stream:
            kept = batch if low is None else _where(batch, pc.greater(batch.column(column), low))
            if high is not None:
                timely = _where(kept, pc.less_equal(kept.column(column), high))
                if timely.num_rows < kept.num_rows and not told:
                    told = True
                    early()
                kept = timely
            if kept.num_rows:
                yield kept

    return Batches(stream.schema, batches(), stream.close)


def _where(batch: pa.RecordBatch, wanted: pa.Array) -> pa.RecordBatch:
    return batch.filter(pc.fill_null(wanted, True))


def _bound(value: Any, to: pa.DataType) -> pa.Scalar | None:
    """The watermark as the column's values are compared; None where it is of another kind, or all are beyond it."""
    if isinstance(value, int | float | Decimal) and (pa.types.is_decimal(to) or pa.types.is_integer(to)):
        return _floored(Decimal(str(value)), to)
    if isinstance(value, datetime) and pa.types.is_timestamp(to):
        value = value.replace(microsecond=value.microsecond // _TICKS[to.unit] * _TICKS[to.unit])
    found = pa.scalar(value)
    alike = (
        pa.types.is_temporal(found.type) == pa.types.is_temporal(to)
        and _is_text(found.type) == _is_text(to)
        and (pa.types.is_timestamp(found.type) and found.type.tz is None)
        == (pa.types.is_timestamp(to) and to.tz is None)
    )
    return found.cast(to) if alike else None


def _floored(value: Decimal, to: pa.DataType) -> pa.Scalar | None:
    """The greatest number of the type that is not beyond `value`: what is beyond the one is beyond the other."""
    if pa.types.is_integer(to):
        signed = pa.types.is_signed_integer(to)
        scale, most = 0, Decimal(2 ** (to.bit_width - signed) - 1)
        least = -most - 1 if signed else Decimal(0)
    else:
        scale = to.scale
        most = Decimal(10**to.precision - 1).scaleb(-scale, _EXACT)
        least = -most
    if value < least:
        return None
    bound = min(value, most).quantize(Decimal(1).scaleb(-scale), ROUND_FLOOR, _EXACT)
    return pa.scalar(int(bound) if pa.types.is_integer(to) else bound, to)


def _is_text(given: pa.DataType) -> bool:
    return bool(pa.types.is_string(given) or pa.types.is_large_string(given))
