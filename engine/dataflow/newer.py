"""Rows after a watermark: what an append may add without doubling what is there.

Law: a row without a watermark value passes: whether such rows are read at all is the source's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow.streams import Batches
from engine.ports.stream import Stream
from engine.rules.watermarks import read


def only_newer(stream: Stream, column: str, after: Any) -> Stream:
    """The rows whose `column` is beyond `after`; all of them where that cannot be told."""
    if after is None or column not in stream.schema.names:
        return stream
    bound = _bound(read(after), stream.schema.field(column).type)
    if bound is None:
        return stream

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in stream:
            wanted = pc.fill_null(pc.greater(batch.column(column), bound), True)
            kept = batch.filter(wanted)
            if kept.num_rows:
                yield kept

    return Batches(stream.schema, batches(), stream.close)


def _bound(value: Any, to: pa.DataType) -> pa.Scalar | None:
    """The watermark as the column's values are compared; None where it is of another kind."""
    found = pa.scalar(value)
    alike = (
        pa.types.is_temporal(found.type) == pa.types.is_temporal(to)
        and _is_text(found.type) == _is_text(to)
        and (pa.types.is_timestamp(found.type) and found.type.tz is None)
        == (pa.types.is_timestamp(to) and to.tz is None)
    )
    return found.cast(to) if alike else None


def _is_text(given: pa.DataType) -> bool:
    return bool(pa.types.is_string(given) or pa.types.is_large_string(given))
