"""What holds of any rows: text and back, nothing changed in silence, batches that do not matter."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.errors import DataQualityError
from tests.dataflow.rows import conformed, into, one

INSTANT = pa.timestamp("us", "UTC")
LONG = st.integers(-(2**63), 2**63 - 1)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
MONEY = st.decimals(Decimal("-9999999.99"), Decimal("9999999.99"), places=2)
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "integer": (pa.int64(), LONG),
    "float": (pa.float64(), st.floats(allow_nan=False)),
    "decimal": (pa.decimal128(9, 2), MONEY),
    "boolean": (pa.bool_(), st.booleans()),
    "date": (pa.date32(), st.dates(date(1, 1, 1))),
    "timestamp": (INSTANT, MOMENTS),
    "timestamp without time zone": (pa.timestamp("us"), st.datetimes(datetime(1, 1, 1))),
    "binary": (pa.binary(), st.binary()),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_value_comes_back_from_text(kind: str, data: st.DataObject) -> None:
    """TYP-04: a kind as text, and that text as the kind again."""
    arrow, values = KINDS[kind]
    rows = one(data.draw(st.lists(st.none() | values, max_size=20)), arrow)
    text = conformed(rows, into(pa.string()), columns={"x": {"type": "string"}})
    back = conformed(text.table, into(arrow), columns={"x": {"type": kind}})
    assert back.table.equals(rows.cast(back.table.schema))


NUMBERS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), LONG),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float64(), st.floats() | st.integers(-(2**60), 2**60).map(float)),
    (pa.float32(), st.floats(width=32)),
    (pa.decimal128(9, 2), MONEY),
    (pa.decimal128(38, 9), st.decimals(allow_nan=False, allow_infinity=False, places=9, max_value=10**20)),
    (pa.string(), st.from_regex(r"\A[+-]?[0-9]{1,25}(\.[0-9]{0,12})?(e[0-9]{1,3})?\Z") | st.text(max_size=5)),
]


@given(data=st.data(), given_=st.sampled_from(NUMBERS[:-1]), to=st.sampled_from([one[0] for one in NUMBERS]))
def test_no_number_changes_in_silence(
    data: st.DataObject, given_: tuple[pa.DataType, st.SearchStrategy[Any]], to: pa.DataType
) -> None:
    """C-31: without `lossy` a number arrives as it was, or the load is refused."""
    try:
        rows = one(data.draw(st.lists(given_[1], min_size=1, max_size=5)), given_[0])
    except pa.ArrowInvalid:
        return  # beyond what a decimal of 38 digits holds
    try:
        found = conformed(rows, into(to))
    except DataQualityError:
        return
    for before, after in zip(rows.column("x").to_pylist(), found.column("x"), strict=True):
        if isinstance(before, float) and math.isnan(before):
            assert math.isnan(float(after))
        elif isinstance(after, str) and isinstance(before, float):
            assert float(pa.scalar(float(after)).cast(given_[0]).as_py()) == before
        elif isinstance(after, str):
            assert Decimal(after) == before
        else:
            assert after == before


@given(st.lists(NUMBERS[-1][1], min_size=1, max_size=5))
def test_text_becomes_the_number_it_says(texts: list[str]) -> None:
    """TYP-04: string to int."""
    try:
        found = conformed(one(texts, pa.string()), into(pa.int64())).column("x")
    except DataQualityError:
        return
    assert found == [int(text) for text in texts]


CELLS = st.sampled_from(["1", " 2", "-3", "x", "", "2.5", None, "99999999999999999999"])


@given(
    st.lists(st.tuples(CELLS, CELLS, st.none() | st.floats(-1e6, 1e6)), max_size=30),
    st.integers(1, 7),
    st.sampled_from(["keep", "default", "reject"]),
)
def test_batches_do_not_matter(rows: list[tuple[Any, Any, Any]], size: int, nulls: str) -> None:
    """The same rows, notes and first error, however the stream is cut."""
    table = pa.table(
        {
            "a": pa.array([row[0] for row in rows], pa.string()),
            "b": pa.array([row[1] for row in rows], pa.string()),
            "c": pa.array([row[2] for row in rows], pa.float64()),
        }
    )
    target = pa.schema([pa.field("a", pa.int64(), nullable=False), ("b", pa.decimal128(30, 1)), ("c", pa.int32())])
    columns = {"*": "*", "c": {"lossy": True}}

    def outcome(batch: int) -> Any:
        try:
            found = conformed(table, target, columns=columns, nulls=nulls, batch=batch)
        except DataQualityError as error:
            return str(error)
        return found.table.to_pylist(), found.notes

    assert outcome(size) == outcome(1_000)


@given(st.lists(MOMENTS, max_size=10), st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York", "+05:30"]))
def test_an_instant_is_the_same_in_whatever_zone_it_is_written(moments: list[datetime], zone: str) -> None:
    """C-32: an offset is taken at its word."""
    hours = {"UTC": 0.0, "Asia/Kolkata": 5.5, "America/New_York": -5.0, "+05:30": 5.5}[zone]
    offset = f"{'-' if hours < 0 else '+'}{int(abs(hours)):02}:{int(abs(hours) % 1 * 60):02}"
    written = [(each + timedelta(hours=hours)).replace(tzinfo=None).isoformat() + offset for each in moments]
    assert conformed(one(written, pa.string()), into(INSTANT)).column("x") == moments
