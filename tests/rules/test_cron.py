"""Cron expressions: what is read, what is refused, and what people are told (SCH-01, SCH-03)."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rules.cron import (
    CronError,
    TimezoneError,
    fires_with_notes,
    next_fire,
    next_fires,
    parse_cron,
    previous_fire,
    zone,
)

BERLIN = zone("Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def following(expression: str, after: str, count: int, name: str = "UTC") -> list[str]:
    fires = next_fires(parse_cron(expression), zone(name), utc(after))
    return [f"{at:%Y-%m-%d %H:%M:%S}" for at in islice(fires, count)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("@hourly", "2024-02-28 13:00:00"),
        ("@daily", "2024-02-29 00:00:00"),
        ("@midnight", "2024-02-29 00:00:00"),
        ("@weekly", "2024-03-03 00:00:00"),
        ("@monthly", "2024-03-01 00:00:00"),
        ("@yearly", "2025-01-01 00:00:00"),
        ("@Annually", "2025-01-01 00:00:00"),
        ("*/5 * * * *", "2024-02-28 12:05:00"),
        (" 0  2 * * * ", "2024-02-29 02:00:00"),
        ("0 2 29 2 *", "2024-02-29 02:00:00"),
        ("0 2 30 * *", "2024-03-30 02:00:00"),
        ("0 0 L * *", "2024-02-29 00:00:00"),
        ("0 0 2W 3 *", "2024-03-01 00:00:00"),
        ("0 0 * * MON#1", "2024-03-04 00:00:00"),
        ("0 0 * * L5", "2024-03-29 00:00:00"),
        ("0 0 13 * 5", "2024-03-01 00:00:00"),
        ("0 0 ? * MON", "2024-03-04 00:00:00"),
    ],
)
def test_expressions_and_presets_fire_when_they_say(expression: str, expected: str) -> None:
    """SCH-01."""
    assert following(expression, "2024-02-28T12:00", 1) == [expected]


def test_the_sixth_field_is_seconds() -> None:
    """SCH-01, C-15: seconds stand last."""
    assert following("30 2 * * * 15", "2024-01-01", 1) == ["2024-01-01 02:30:15"]
    assert following("* * * * * */20", "2024-01-01", 3)[1:] == ["2024-01-01 00:00:40", "2024-01-01 00:01:00"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("61 * * * *", r"minute '61' is not valid; it takes 0-59"),
        ("* 25 * * *", r"hour '25' is not valid; it takes 0-23"),
        ("0 0 0-40 * *", r"day of month '0-40' is not valid"),
        ("0 0 * foo *", r"month 'foo' is not valid; it takes 1-12 or JAN-DEC"),
        ("0 0 * * 9", r"day of week '9' is not valid; it takes 0-7 or SUN-SAT"),
        ("0 0 * * * 99", r"second '99' is not valid"),
        ("*/0 * * * *", r"minute '\*/0' is not valid"),
        ("1,,2 * * * *", r"minute '1,,2' is not valid"),
        ("2-2 * * * *", r"minute '2-2' is a range of one value; write '2'"),
        ("R 2 * * *", r"minute 'r' is hashed or random"),
        ("0 H(0-7) * * *", r"hour 'h\(0-7\)' is hashed or random"),
        ("0 2 * *", r"has 4 fields; it takes 5"),
        ("0 2 * * * 0 2030", r"has 7 fields"),
        ("", r"has 0 fields"),
        ("@reboot", r"unknown cron preset '@reboot'; there are @hourly, @daily"),
        ("0 0 31 2 *", r"never fires: no date has day of month '31', month '2'"),
        ("0 0 31 4,6,9,11 *", r"never fires"),
        ("0 0 30 FEB ?", r"never fires"),
    ],
)
def test_what_is_wrong_is_said_of_the_field_that_is(expression: str, message: str) -> None:
    """SCH-12, TST-03: an impossible expression is refused too, and at once."""
    with pytest.raises(CronError, match=message):
        parse_cron(expression)


CHUNKS = st.sampled_from(
    ["*", "0", "5", "59", "60", "-", ",", "/", "L", "W", "#", "?", "mon", "JAN", "@", "h", "r", "é"]
)
HOSTILE = st.lists(st.lists(CHUNKS, max_size=4).map("".join), max_size=7).map(" ".join)


@settings(deadline=None)
@given(HOSTILE | st.text(max_size=20))
def test_any_text_is_an_expression_that_fires_or_a_cron_error(text: str) -> None:
    try:
        cron = parse_cron(text)
    except CronError:
        return
    assert next_fire(cron, BERLIN, utc("2024-01-01")) is not None


def test_leap_days_and_month_ends() -> None:
    """SCH-03, TST-17, FAULTS 23."""
    assert following("0 0 29 2 *", "2024-03-01", 2) == ["2028-02-29 00:00:00", "2032-02-29 00:00:00"]
    assert following("0 0 29 2 *", "2096-03-01", 1) == ["2104-02-29 00:00:00"]
    ends = following("0 0 31 * *", "2024-01-31T00:00", 3)
    assert ends == ["2024-03-31 00:00:00", "2024-05-31 00:00:00", "2024-07-31 00:00:00"]
    assert following("59 23 31 12 *", "2024-01-01", 1) == ["2024-12-31 23:59:00"]
    assert previous_fire(parse_cron("0 0 29 2 *"), zone("UTC"), utc("2024-02-29")) == utc("2020-02-29")


def test_a_fire_at_the_very_instant_is_neither_after_nor_before_it() -> None:
    cron, noon = parse_cron("0 12 * * *"), utc("2024-01-01T12:00")
    assert next_fire(cron, zone("UTC"), noon) == noon + timedelta(days=1)
    assert previous_fire(cron, zone("UTC"), noon) == noon - timedelta(days=1)
    tick = timedelta(microseconds=1)
    assert next_fire(cron, zone("UTC"), noon - tick) == noon == previous_fire(cron, zone("UTC"), noon + tick)


def test_until_is_the_last_that_counts() -> None:
    cron = parse_cron("@hourly")
    fires = list(next_fires(cron, zone("UTC"), utc("2024-01-01"), utc("2024-01-01T02:00")))
    assert fires == [utc("2024-01-01T01:00"), utc("2024-01-01T02:00")]


def test_an_expression_that_only_ever_falls_into_gaps_ends() -> None:
    """No endless loop: where no fire is found, there is none."""
    cron = parse_cron("*/60 2 31 3 *")
    assert next_fire(cron, BERLIN, utc("2024-03-01")) == datetime(2025, 3, 31, 0, 0, tzinfo=UTC)
    gap_only = parse_cron("0 2/22 * 3 0#5")  # the last Sunday of March at 02:00, where it is the fifth
    assert next_fire(gap_only, BERLIN, utc("2024-03-01")) is None
    assert previous_fire(gap_only, BERLIN, utc("1995-03-01")) is not None


@pytest.mark.parametrize(
    ("expression", "after", "name", "notes"),
    [
        pytest.param(
            "30 2 * * *",
            "2024-03-31T00:00",
            "Europe/Berlin",
            ["03:00 moved from 02:30 by the clock change"],
            id="gap",
        ),
        pytest.param(
            "30 2 * * *",
            "2024-10-27T00:00",
            "Europe/Berlin",
            ["02:30 first of two 02:30", "02:30 None"],
            id="overlap",
        ),
        pytest.param(
            "*/30 * * * *",
            "2024-10-27T00:00",
            "Europe/Berlin",
            [
                "02:30 first of two 02:30",
                "02:00 second of two 02:00",
                "02:30 second of two 02:30",
                "03:00 None",
            ],
            id="overlap, periodic",
        ),
        pytest.param(
            "*/30 * * * *",
            "2024-03-31T00:30",
            "Europe/Berlin",
            ["03:00 the clock change skips 02:00 to 02:30 before it", "03:30 None"],
            id="gap, periodic",
        ),
        pytest.param(
            "0 2 * * *",
            "2011-12-30T09:00",
            "Pacific/Apia",
            ["00:00 moved from 2011-12-30 02:00 by the clock change", "02:00 None"],
            id="a day that was skipped",
        ),
        pytest.param(
            "0 2,3 * * *",
            "2024-03-31T00:30",
            "Europe/Berlin",
            ["03:00 moved from 02:00 by the clock change", "02:00 None"],
            id="a moved fire meets another",
        ),
    ],
)
def test_a_clock_change_is_told_before_it_bites(expression: str, after: str, name: str, notes: list[str]) -> None:
    """PEERS 22, SCH-03."""
    fires = islice(fires_with_notes(parse_cron(expression), zone(name), utc(after)), len(notes))
    assert [f"{fire.local:%H:%M} {fire.note}" for fire in fires] == notes


@pytest.mark.parametrize("name", ["Europe/Berlinn", "", "Europe", "../etc/passwd", "a" * 300])
def test_an_unknown_zone_is_refused(name: str) -> None:
    """SCH-03."""
    with pytest.raises(TimezoneError, match="write an IANA name"):
        zone(name)


def test_importing_the_module_loads_no_cron_library() -> None:
    code = "import sys, engine.rules.cron, engine.rules.schedule; sys.exit('croniter' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
