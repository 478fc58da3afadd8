"""Values as they become other kinds: exactly, or not without `lossy` (TYP-03, TYP-04, C-30, C-31, C-32)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from engine.dataflow.kinds import field
from engine.model.dataset import DataKind
from engine.model.errors import ConfigurationError, DataQualityError
from tests.dataflow.rows import conformed, into, one

UTC_TIME = pa.timestamp("us", "UTC")
WALL = pa.timestamp("us")
LOSSY = {"x": {"lossy": True}}


def became(values: Sequence[Any], to: pa.DataType, given: pa.DataType | None = None, **spec: Any) -> list[Any]:
    """The values of column x in a target of type `to`."""
    return conformed(one(values, given), into(to), columns={"x": spec} if spec else None).column("x")


def refused(values: Sequence[Any], to: pa.DataType, given: pa.DataType | None = None, **spec: Any) -> str:
    """The sentence with which they do not get there."""
    with pytest.raises(DataQualityError) as caught:
        became(values, to, given, **spec)
    return str(caught.value)


def test_booleans_are_words_and_never_truth() -> None:
    """TYP-03, C-30: the word list, anything else an error."""
    words = ["true", "1", "Yes", " on ", "Y", "t", "false", "0", "no", "OFF", "n", "F", None]
    assert became(words, pa.bool_()) == [True] * 6 + [False] * 6 + [None]
    for word in ("", "2", "truth", "None", "10"):
        assert f"row 2, column 'x': '{word}' is none of true, 1" in refused(["yes", word], pa.bool_())


@pytest.mark.parametrize("text", ["0x1F", "1_000", "12.0", "1e3", "", "+-1", "١٢", "9223372036854775808"])
def test_text_that_is_no_plain_whole_number_is_refused(text: str) -> None:
    assert "row 1, column 'x'" in refused([text], pa.int64())


def test_whole_numbers_have_signs_zeros_and_space_around_them() -> None:
    assert became([" 12 ", "+7", "-0", "007", None], pa.int64()) == [12, 7, 0, 7, None]


def test_floats_by_name_only_and_within_their_range() -> None:
    assert became(["1.5", "-1e-3", "inf", " 2 "], pa.float64()) == [1.5, -0.001, float("inf"), 2.0]
    assert str(became(["NaN"], pa.float64())[0]) == "nan"
    assert "does not fit into double" in refused(["1e400"], pa.float64())
    assert "is no number" in refused(["1,5"], pa.float64())


def test_decimals_keep_every_digit_or_are_refused() -> None:
    money = pa.decimal128(6, 2)
    assert became(["1.5", "1e3", "-0.01"], money) == [Decimal("1.50"), Decimal("1000.00"), Decimal("-0.01")]
    assert "6 digits, 2 of them after the point" in refused(["1.005"], money)
    assert "is no number" in refused(["12345.00"], money)
    assert "is no number" in refused(["NaN"], money)
    assert became(["1.005", "2.345", "-2.345"], money, lossy=True) == [
        Decimal("1.01"),
        Decimal("2.35"),
        Decimal("-2.35"),
    ]


def test_dates_with_dashes_by_themselves_and_all_others_by_their_format() -> None:
    """C-32: ambiguous slash dates need an explicit format; nothing is tried in order."""
    assert became(["2024-02-29"], pa.date32()) == [date(2024, 2, 29)]
    for text in ("03/04/2024", "2024-02-30", "2024-3-4", "20240304", "2024-03-04 10:00:00"):
        assert "say how it is written in `format`" in refused([text], pa.date32())
    assert became(["03/04/2024"], pa.date32(), format="%m/%d/%Y") == [date(2024, 3, 4)]
    assert became(["03/04/2024", "3/4/2024"], pa.date32(), format="%d/%m/%Y") == [date(2024, 4, 3)] * 2
    assert "is not written as %m/%d/%Y" in refused(["2024-03-04"], pa.date32(), format="%m/%d/%Y")
    assert "'02/30/2024'" in refused(["02/30/2024"], pa.date32(), format="%m/%d/%Y")
    assert "'31/12/2024'" in refused(["31/12/2024"], pa.date32(), format="%m/%d/%Y")


def test_times_are_instants_with_an_offset_or_in_the_columns_zone() -> None:
    """C-32: ISO with offset or Z is converted to UTC; naive is in the source's zone (3.4: 'Z' is no error)."""
    texts = ["2024-03-31T10:00:00Z", "2024-03-31 10:00:00+02:00", "2024-03-31 10:00:00.25", None]
    ten, quarter = datetime(2024, 3, 31, 10, tzinfo=UTC), 250_000
    assert became(texts, UTC_TIME) == [ten, ten.replace(hour=8), ten.replace(microsecond=quarter), None]
    berlin = became(texts, UTC_TIME, timezone="Europe/Berlin")
    assert berlin == [ten, ten.replace(hour=8), ten.replace(hour=8, microsecond=quarter), None]
    assert "says its zone, and the column is a wall clock" in refused(texts, WALL)


def test_an_hour_that_a_zone_has_twice_or_never_is_refused() -> None:
    for text in ("2024-10-27 02:30:00", "2024-03-31 02:30:00"):
        assert "comes twice or never on the clocks of Europe/Berlin" in refused(
            [text], UTC_TIME, timezone="Europe/Berlin"
        )


def test_a_wall_clock_becomes_an_instant_in_its_zone_and_back_only_by_a_zone() -> None:
    noon = datetime(2024, 7, 1, 12)
    assert became([noon], UTC_TIME, WALL, timezone="Europe/Berlin") == [datetime(2024, 7, 1, 10, tzinfo=UTC)]
    instant = [datetime(2024, 7, 1, 10, tzinfo=UTC)]
    assert "write `timezone`" in refused(instant, WALL, UTC_TIME)
    assert became(instant, WALL, UTC_TIME, timezone="Europe/Berlin") == [noon]


def test_a_zone_there_is_not_is_a_mistake_of_the_config() -> None:
    with pytest.raises(ConfigurationError, match="'Mars/Olympus' is no time zone"):
        became(["2024-01-01 00:00:00"], UTC_TIME, timezone="Mars/Olympus")


@pytest.mark.parametrize(
    ("text", "format", "expected"),
    [
        ("3/4/24 1:05 PM", "%m/%d/%y %I:%M %p", datetime(2024, 3, 4, 13, 5, tzinfo=UTC)),
        ("12/31/99 12:00 am", "%m/%d/%y %I:%M %p", datetime(1999, 12, 31, tzinfo=UTC)),
        ("04 Mar 2024 01:02:03.5", "%d %b %Y %H:%M:%S.%f", datetime(2024, 3, 4, 1, 2, 3, 500_000, tzinfo=UTC)),
        ("March 4, 2024", "%B %d, %Y", datetime(2024, 3, 4, tzinfo=UTC)),
        ("2024.03.04 01:00 +0200", "%Y.%m.%d %H:%M %z", datetime(2024, 3, 3, 23, tzinfo=UTC)),
        ("100% 2024-03-04", "100%% %Y-%m-%d", datetime(2024, 3, 4, tzinfo=UTC)),
    ],
)
def test_times_as_a_format_says(text: str, format: str, expected: datetime) -> None:
    """TYP-03: other formats, said explicitly."""
    assert became([text, None], UTC_TIME, format=format) == [expected, None]


@pytest.mark.parametrize("format", ["%H:%M", "%d/%m", "%A %d %m %Y", "%Y-%m-%d %Y", "%Y-%m-%d %I:%M", "%Y-%m-%d %"])
def test_a_format_that_cannot_be_read_is_a_mistake_of_the_config(format: str) -> None:
    with pytest.raises(ConfigurationError, match="olumn 'x'"):
        became(["2024-01-01"], UTC_TIME, format=format)


def test_integers_into_fewer_bits_are_told_and_checked_one_by_one() -> None:
    """TYP-04: narrowing int64 to int32 warns; a value is never wrapped."""
    found = conformed(one([1, 2**31 - 1]), into(pa.int32()))
    assert found.column("x") == [1, 2**31 - 1]
    assert found.notes == (
        "shop:orders: column 'x' is integer in the rows; each value is checked that it fits into int32.",
    )
    assert "row 2, column 'x': '2147483648' does not fit into int32" in refused([1, 2**31], pa.int32())
    assert conformed(one([1], pa.int16()), into(pa.int64())).notes == ()


def test_widening_is_by_itself_and_exact() -> None:
    """TYP-04: int to float, int to string, float to string."""
    assert became([5, None], pa.float64()) == [5.0, None]
    assert "does not fit into double" in refused([2**53 + 1], pa.float64())
    assert became([5], pa.string()) == ["5"]
    assert became([0.1], pa.string()) == ["0.1"]
    assert became([5, -7], pa.decimal128(9, 2)) == [Decimal("5.00"), Decimal("-7.00")]
    assert "does not fit" in refused([10**8], pa.decimal128(9, 2))
    assert became([Decimal("0.000000001"), Decimal("0E-9")], pa.string(), pa.decimal128(38, 9)) == [
        "0.000000001",
        "0.000000000",
    ]


def test_what_may_lose_something_needs_lossy_and_is_counted_once() -> None:
    """C-31, TYP-04: off by default, opt-in per column, each use logged and counted."""
    cases: list[tuple[Any, pa.DataType, list[Any], str]] = [
        (
            one([1.5, 2.0, float("nan")]),
            pa.int64(),
            [1, 2, None],
            "2 values of column 'x' were cut to whole numbers",
        ),
        (one([Decimal("0.1")]), pa.float64(), [0.1], "1 values of column 'x' were made floating point"),
        (one([0.126, None]), pa.decimal128(9, 2), [Decimal("0.13"), None], "1 values .* rounded to 2 digits"),
        (one([Decimal("1.5"), Decimal("2.0")]), pa.int64(), [1, 2], "1 values .* cut to whole numbers"),
        (one([0.5, 0.1]), pa.float32(), [0.5, 0.10000000149011612], "1 values .* made float"),
        (
            one([datetime(2024, 1, 1, 5, tzinfo=UTC)], UTC_TIME),
            pa.date32(),
            [date(2024, 1, 1)],
            "1 values .* cut to their date",
        ),
    ]
    for rows, to, expected, said in cases:
        with pytest.raises(DataQualityError, match="`lossy: true`"):
            conformed(rows, into(to))
        found = conformed(rows, into(to), columns=LOSSY, batch=1)
        assert found.column("x") == expected
        assert len(found.notes) == 1
        assert re.search(said, found.notes[0])


def test_lossy_does_not_make_a_value_out_of_none() -> None:
    for rows, to in [([1e300], pa.int64()), ([2**40], pa.int32()), ([1e300], pa.float32()), (["x"], pa.int64())]:
        with pytest.raises(DataQualityError, match="row 1"):
            conformed(one(rows), into(to), columns=LOSSY)


def test_text_over_its_length_is_refused_or_cut_and_counted() -> None:
    """TYP-04: truncation only where it was allowed, with a warning."""
    target = pa.schema([field("x", DataKind.STRING, length=3)])
    with pytest.raises(DataQualityError, match="row 2, column 'x': 'añ😀b' is longer than 3 characters"):
        conformed(one(["añ😀", "añ😀b"]), target)
    found = conformed(one(["añ😀", "añ😀b"]), target, columns=LOSSY)
    assert found.column("x") == ["añ😀", "añ😀"]
    assert found.notes == ("shop:orders: 1 values of column 'x' were cut to 3 characters.",)
    with pytest.raises(DataQualityError, match="longer than 2 characters"):
        conformed(one(["abc"]), into(pa.string()), columns={"x": {"type": "string(2)"}})


def test_fractions_of_a_second_beyond_microseconds() -> None:
    zeros, digits = ["2024-01-01 00:00:00.1234560000Z"], ["2024-01-01 00:00:00.123456789Z"]
    moment = [datetime(2024, 1, 1, 0, 0, 0, 123_456, tzinfo=UTC)]
    assert became(zeros, UTC_TIME) == moment
    assert "row 1" in refused(digits, UTC_TIME)
    assert became(digits, UTC_TIME, lossy=True) == moment
    nano = pa.timestamp("ns", "UTC")
    assert "'1970-01-01 00:00:00.000000001Z' does not fit" in refused([1], UTC_TIME, nano)
    assert became([1], UTC_TIME, nano, lossy=True) == [datetime(1970, 1, 1, tzinfo=UTC)]


def test_json_is_text_that_was_looked_at() -> None:
    """3.4: a rule for text to JSON."""
    target = pa.schema([field("x", DataKind.JSON)])
    assert conformed(one(['{"a":[1,null]}', None]), target).column("x") == ['{"a":[1,null]}', None]
    for text in ("", "NaN", "{'a':1}", "[1,]", "1 2"):
        with pytest.raises(DataQualityError, match="is not JSON"):
            conformed(one([text]), target)


@pytest.mark.parametrize(
    ("text", "type"),
    [
        ("decimal(12,2)", pa.decimal128(12, 2)),
        ("Decimal( 50 )", pa.decimal256(50, 0)),
        ("timestamp without  time zone", WALL),
        ("timestamptz", UTC_TIME),
        ("int", pa.int64()),
    ],
)
def test_types_as_they_are_written(text: str, type: pa.DataType) -> None:
    values: list[Any] = ["2024-01-01 00:00:00" if pa.types.is_timestamp(type) else "1"]
    assert conformed(one(values), columns={"x": {"type": text}}).table.schema.field("x").type == type


@pytest.mark.parametrize("text", ["decmal(12,2)", "decimal(2,9)", "decimal(99)", "integer(4)", "", "array<int>"])
def test_a_type_there_is_not_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(ConfigurationError, match="Column 'x'"):
        conformed(one(["1"]), columns={"x": {"type": text}})
