"""The token bucket and Retry-After."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rules.rates import LONGEST_WAIT, Bucket, next_moment, retry_after

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def taken(bucket: Bucket, moments: list[float]) -> tuple[Bucket, list[float]]:
    waits = []
    for moment in moments:
        bucket, wait = bucket.take(moment)
        waits.append(wait)
    return bucket, waits


def test_a_burst_passes_at_once_and_then_one_a_second() -> None:
    """ALR-06: at most 1 request per second with a burst of 5."""
    _, waits = taken(Bucket.full(1.0, 5, 0.0), [0.0] * 6)
    assert waits == [0.0] * 5 + [1.0]


def test_a_refused_take_takes_nothing() -> None:
    bucket, _ = taken(Bucket.full(2.0, 1, 0.0), [0.0])
    refused, wait = bucket.take(0.1)
    assert wait == pytest.approx(0.4)
    assert refused.tokens == pytest.approx(0.2)
    assert refused.take(0.1 + wait)[1] == 0.0


def test_an_idle_bucket_never_holds_more_than_its_burst() -> None:
    _, waits = taken(Bucket.full(10.0, 2, 0.0), [1000.0] * 3)
    assert [wait > 0 for wait in waits] == [False, False, True]


def test_a_clock_that_goes_back_refills_nothing() -> None:
    bucket, _ = taken(Bucket.full(1.0, 1, 100.0), [100.0])
    back, wait = bucket.take(50.0)
    assert wait == pytest.approx(1.0)
    assert back.take(51.0)[1] == 0.0


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (1.0, 0)])
def test_a_rate_that_lets_nothing_through_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        Bucket.full(rate, burst, 0.0)


def test_a_bucket_is_rebuilt_from_the_moments_it_was_used() -> None:
    live, _ = taken(Bucket.full(1.0, 3, 10.0), [10.0, 10.0, 11.5])
    again = Bucket.replayed(1.0, 3, [11.5, 10.0, 10.0], 12.0)
    assert again.tokens == pytest.approx(live.refilled(12.0).tokens)
    assert Bucket.replayed(1.0, 3, [], 12.0).tokens == 3.0


rates = st.floats(0.01, 1000)
steps = st.lists(st.floats(0, 20), min_size=1, max_size=60)


@given(rates, st.integers(1, 10), steps)
def test_no_window_ever_lets_more_through_than_burst_plus_rate(rate: float, burst: int, gaps: list[float]) -> None:
    """ALR-06, for any rate."""
    bucket, now, passed = Bucket.full(rate, burst, 0.0), 0.0, []
    for gap in gaps:
        now += gap
        bucket, wait = bucket.take(now)
        if wait == 0.0:
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            allowed = burst + rate * (passed[last] - passed[first])
            assert last - first + 1 <= allowed + 1e-6


@given(rates, st.integers(1, 10), steps)
def test_waiting_as_told_is_always_enough(rate: float, burst: int, gaps: list[float]) -> None:
    bucket, now = Bucket.full(rate, burst, 0.0), 0.0
    for gap in gaps:
        now += gap / 100
        bucket, wait = bucket.take(now)
        if wait:
            now += wait
            bucket, again = bucket.take(now)
            assert again == 0.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("-5", None),
        ("nan", None),
        ("soon", None),
        ("999999999", LONGEST_WAIT),
        ("inf", LONGEST_WAIT),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        (format_datetime(NOW + timedelta(days=900), usegmt=True), LONGEST_WAIT),
    ],
)
def test_retry_after_is_a_number_or_a_date_within_reason(header: str | None, seconds: float | None) -> None:
    """FAULTS 30: Retry-After huge, negative, a date."""
    assert retry_after(header, NOW) == seconds


@given(
    st.sampled_from([0.5, 2.0, 8.0]),
    st.integers(1, 5),
    st.lists(st.integers(0, 40).map(lambda quarters: quarters / 4), min_size=1, max_size=30).map(sorted),
)
def test_moments_are_those_at_which_a_bucket_would_serve(per_second: float, burst: int, asked: list[float]) -> None:
    """SRC-10: the same rate, told by one number."""
    bucket, full_at, begun = Bucket.full(per_second, burst, 0.0), 0.0, 0.0
    for now in asked:
        begun = max(begun, now)
        bucket, wait = bucket.take(begun)
        if wait:
            begun += wait
            bucket, wait = bucket.take(begun)
        moment, full_at = next_moment(full_at, now, per_second, burst)
        assert moment == pytest.approx(begun)
