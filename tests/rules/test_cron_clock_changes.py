"""The cron law in 30 zones, 100 expressions, over gaps and overlaps (SCH-03, FAULTS 23)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rules.cron import next_fires, parse_cron, previous_fire, zone
from tests.rules.cron_oracle import EXPRESSIONS, ZONES, Expression, Window, changes, fires, windows

TICK = timedelta(microseconds=1)


def check(expression: str, window: Window) -> str | None:
    """What is wrong with the fires of this expression in this window, if anything."""
    cron, tz = parse_cron(expression), zone(window.zone)
    found = list(next_fires(cron, tz, window.start - TICK, window.end))
    expected = fires(expression, window)
    if found == expected:
        return None
    extra, missed = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    return f"{expression} in {window}: extra {extra[:3]}, missed {missed[:3]}, {len(found)} found"


def test_there_are_30_zones_and_100_expressions() -> None:
    assert len(set(ZONES)) == 30
    assert len(set(EXPRESSIONS)) >= 100
    kinds = [kind for name in ZONES for _, kind in changes(name, (2024,))]
    assert {"gap", "overlap"} <= set(kinds)


@pytest.mark.parametrize("name", ZONES)
def test_every_fire_around_a_clock_change_is_the_laws(name: str) -> None:
    """SCH-03, FAULTS 23: no missed and no double fire."""
    wrong = [check(expression, window) for window in windows(name) for expression in EXPRESSIONS]
    assert [line for line in wrong if line] == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ZONES)
def test_every_fire_around_every_clock_change_of_ten_years_is_the_laws(name: str) -> None:
    """SCH-03, FAULTS 23."""
    every = windows(name, tuple(range(2015, 2025)))
    wrong = [check(expression, window) for window in every for expression in EXPRESSIONS]
    assert [line for line in wrong if line] == []


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, Window, datetime]:
    """An expression, a window around a clock change, and an instant near the change."""
    window = draw(st.sampled_from(windows(draw(st.sampled_from(ZONES)))))
    middle = window.start + timedelta(hours=36)
    instant = middle + timedelta(minutes=draw(st.integers(-360, 360)), microseconds=draw(st.integers(-1, 1)))
    return draw(st.sampled_from(EXPRESSIONS)), window, instant


@settings(max_examples=150, deadline=None)
@given(moments())
def test_a_start_in_the_middle_loses_and_repeats_nothing(moment: tuple[str, Window, datetime]) -> None:
    """SCH-06: the next fire after any instant is the same whoever asks, and whenever."""
    expression, window, instant = moment
    cron, tz = parse_cron(expression), zone(window.zone)
    found = list(next_fires(cron, tz, instant, window.end))
    assert found == [at for at in fires(expression, window) if at > instant]
    assert all(at.utcoffset() == timedelta(0) for at in found)


@settings(max_examples=150, deadline=None)
@given(moments())
def test_the_previous_fire_is_the_last_of_those_before(moment: tuple[str, Window, datetime]) -> None:
    """SCH-03: looking back and looking ahead see the same fires."""
    expression, window, instant = moment
    before = [at for at in fires(expression, window) if at < instant]
    found = previous_fire(parse_cron(expression), zone(window.zone), instant)
    if before:
        assert found == before[-1]
    else:
        assert found is None or found < window.start


def cronsim(expression: str, window: Window) -> Iterator[datetime]:
    local = (window.start - timedelta(minutes=1)).astimezone(zone(window.zone))
    for at in CronSim(expression, local):
        instant = at.astimezone(UTC)
        if instant > window.end:
            return
        if instant >= window.start:
            yield instant


def reason_to_differ(expression: str) -> str | None:
    """Why cronsim, which follows Debian's cron, may rightly see an expression otherwise than the law does."""
    minute, hour, day, _, weekday = expression.split()
    # Debian: periodic is what starts with a star; a step or a full range without one is fixed.
    if Expression(expression).fixed is (minute.startswith("*") or hour.startswith("*")):
        return "star"
    # Debian: a starred day of month is joined with the weekday by "and"; here a step restricts, so it is "or".
    if day.startswith("*/") and weekday != "*":
        return "day"
    return None


UNREAD = ("22-2", "55-5", "sat-mon", "L")  # cronsim takes no ranges round the corner, and writes L5 as 5L
WHOLE_HOURS = ("Europe/Berlin", "Europe/London", "America/New_York", "Australia/Sydney", "Pacific/Auckland")


def test_cronsim_agrees_but_for_listed_reasons() -> None:
    """A second opinion, where the clock changes by an hour on the hour and not at midnight."""
    differing = set()
    for window in (window for name in WHOLE_HOURS for window in windows(name)):
        for expression in EXPRESSIONS:
            if any(part in expression for part in UNREAD):
                continue
            if list(cronsim(expression, window)) != fires(expression, window):
                differing.add((expression, reason_to_differ(expression)))
    assert [expression for expression, reason in differing if reason is None] == []
    assert {reason for _, reason in differing} == {"star", "day"}


@pytest.mark.parametrize(
    ("name", "expression", "lost"),
    [
        pytest.param("Australia/Lord_Howe", "* 2 * * *", 30, id="a change of half an hour"),
        pytest.param("Asia/Pyongyang", "0 * * * *", 1, id="a change at half past"),
        pytest.param("Atlantic/Azores", "*/30 1-3 * * sun", 2, id="a gap at midnight"),
    ],
)
def test_cronsim_loses_fires_where_the_clock_changes_oddly(name: str, expression: str, lost: int) -> None:
    """It steps by elapsed hours and from midnight to midnight; the walk over minutes sides with the law."""
    missed = {
        at for window in windows(name) for at in set(fires(expression, window)) - set(cronsim(expression, window))
    }
    extra = {
        at for window in windows(name) for at in set(cronsim(expression, window)) - set(fires(expression, window))
    }
    assert (len(missed), extra) == (lost, set())
