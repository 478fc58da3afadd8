"""What an append leaves out: rows up to a watermark, whatever number the watermark is written as."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from engine.dataflow.newer import only_newer
from engine.dataflow.streams import Batches
from engine.rules.watermarks import written

CENTS = pa.decimal128(20, 2)


def left(values: list[Any], type: pa.DataType, after: Any) -> list[Any]:
    batch = pa.record_batch({"id": pa.array(values, type)})
    found = only_newer(Batches(batch.schema, [batch]), "id", written(after))
    return [row["id"] for each in found for row in each.to_pylist()]


@pytest.mark.parametrize("after", [2, 2.0, Decimal(2), Decimal("2.00000")])
@pytest.mark.parametrize(
    "type", [CENTS, pa.decimal256(60, 2), pa.decimal128(3, 2), pa.int32(), pa.uint64(), pa.float64()]
)
def test_a_watermark_of_another_kind_of_number(type: pa.DataType, after: Any) -> None:
    """INC-03: `initial: 2`, or a chunk of history, of a column that is numeric(20, 2)."""
    assert left([1, 2, 3, None], type, after) == [3, None]


@pytest.mark.parametrize(
    ("type", "values", "after", "expected"),
    [
        (pa.int64(), [2, 3], 2.5, [3]),
        (pa.int64(), [-3, -2], Decimal("-2.5"), [-2]),
        (CENTS, [Decimal("1.23"), Decimal("1.24")], Decimal("1.235"), [Decimal("1.24")]),
        (pa.int32(), [2**31 - 1], 2**40, []),
        (pa.int64(), [2**63 - 1], 2**70, []),
        (pa.decimal128(3, 2), [Decimal("9.99")], 10, []),
        (pa.int32(), [-(2**31)], -(2**40), [-(2**31)]),
        (pa.uint8(), [0], -1, [0]),
        (pa.decimal128(3, 2), [Decimal("-9.99")], -10, [Decimal("-9.99")]),
    ],
)
def test_one_that_the_column_cannot_hold(
    type: pa.DataType, values: list[Any], after: Any, expected: list[Any]
) -> None:
    assert left(values, type, after) == expected


@pytest.mark.parametrize("after", ["2026-01-01T00:00:00.999999", "1960-01-01T00:00:00.000001"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_between_two_that_the_column_can_hold(unit: Any, after: str) -> None:
    """A chunk of history begins a microsecond before its first row."""
    bound = datetime.fromisoformat(after)
    values = [bound.replace(microsecond=0), bound.replace(microsecond=0) + timedelta(seconds=1)]
    assert left(values, pa.timestamp(unit), bound) == values[1:]


def test_what_is_beyond_the_limit_is_left_out_and_told_once() -> None:
    told: list[str] = []
    batch = pa.record_batch({"id": pa.array([1, 2, 3, None])})
    stream = Batches(batch.schema, [batch, batch])
    found = only_newer(stream, "id", written(1), written(2), lambda: told.append("early"))
    assert [row["id"] for each in found for row in each.to_pylist()] == [2, None] * 2
    assert told == ["early"]
