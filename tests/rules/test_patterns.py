"""Patterns in logs: each is found, quiet logs have none, and memory is bounded (LOG-06)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rules import patterns as p
from engine.rules.patterns import Pattern, PatternKind, Said, Tried, Watcher

T0 = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
KEY = ("load", None, 1)
GAP = timedelta(seconds=60)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


LATER = at(1000)


def said(seconds: float, text: str = "fine", level: str = "INFO", key: p.Key = KEY) -> Said:
    return Said(key=key, at=at(seconds), level=level, text=text)


def tried(**more: Any) -> Tried:
    given: dict[str, Any] = {"key": KEY, "state": "SUCCESS", "started_at": T0, "ended_at": at(10)}
    return Tried(**(given | more))


def found(
    lines: list[Said], *attempts: Tried, ended: datetime | None = None, now: datetime = LATER
) -> list[Pattern]:
    return p.watched(lines, list(attempts), gap=GAP, ended=ended, now=now)


def kinds(patterns: list[Pattern]) -> list[str]:
    return [each.kind.value for each in patterns]


def test_a_quiet_log_has_no_pattern() -> None:
    assert found([said(0), said(59)], tried(usual_seconds=59.0, ended_at=at(60))) == []
    assert found([]) == []


def test_a_gap_in_time_is_of_one_attempt() -> None:
    other = ("load", None, 2)
    (gap,) = found([said(0), said(60), said(70, key=other), said(100, key=other)])
    assert (gap.kind, gap.at, gap.key, gap.sentence) == (PatternKind.GAP, T0, KEY, "It said nothing for 60.0 s.")


def test_the_same_error_is_told_once_with_its_count() -> None:
    """What differs in numbers and quoted values is the same error."""
    lines = [said(n, f"row {n}: no user '{n}'", "ERROR") for n in range(4)] + [said(5, "other", "ERROR")]
    repeated = [each for each in found(lines) if each.kind is PatternKind.REPEATED]
    assert [(each.count, each.key) for each in repeated] == [(4, KEY)]
    assert "4 times in 1 attempt(s): row 0: no user '0'" in repeated[0].sentence


@pytest.mark.parametrize(
    ("lines", "attempt", "told"),
    [
        ([said(1, "boom", "ERROR")], tried(state="FAILED", failed=True, has_error=True), True),
        ([], tried(state="FAILED", failed=True, has_error=True), True),
        ([], tried(state="FAILED", failed=True, has_error=True, traced=True), False),
        (
            [said(1, "boom", "ERROR"), said(1, "Traceback (most recent call last):\n  File")],
            tried(state="FAILED", failed=True, has_error=True),
            False,
        ),
        ([said(1)], tried(), False),
    ],
)
def test_an_error_without_a_stack_trace(lines: list[Said], attempt: Tried, told: bool) -> None:
    assert ("error_without_trace" in kinds(found(lines, attempt))) is told


@pytest.mark.parametrize(
    ("took", "usual", "told"),
    [(30, 10, True), (19, 10, False), (0.5, 0.1, False), (6, 0.1, True), (30, None, False), (5, 0, True)],
)
def test_what_took_longer_than_the_history_says(took: float, usual: float | None, told: bool) -> None:
    attempt = tried(ended_at=at(took), usual_seconds=usual)
    assert ("slower" in kinds(found([], attempt))) is told
    still = tried(state="RUNNING", ended_at=None, usual_seconds=usual)
    assert ("slower" in kinds(found([], still, now=at(took)))) is told


@pytest.mark.parametrize(
    ("lines", "attempt", "ended", "says"),
    [
        ([said(1, "x", "ERROR")], tried(traced=True), None, "It succeeded, yet logged 1 error(s)."),
        ([], tried(state="FAILED", failed=True, traced=True), None, "no error is stored"),
        ([], tried(state="RUNNING", ended_at=None), at(20), "Its run has ended, yet it is RUNNING."),
        ([said(16)], tried(), None, "It wrote 6.0 s after it had ended."),
        ([said(9), said(1)], tried(), None, "go back in time"),
    ],
)
def test_states_that_contradict_each_other(
    lines: list[Said], attempt: Tried, ended: datetime | None, says: str
) -> None:
    (one,) = found(lines, attempt, ended=ended)
    assert one.kind is PatternKind.INCONSISTENT and says in one.sentence


def test_memory_does_not_grow_with_the_lines() -> None:
    watcher = Watcher(timedelta(seconds=1))
    letters = "abcdefghijklmnopqrstuvwxyz"
    for n in range(5_000):
        text = "".join(letters[int(digit)] for digit in str(n))
        watcher.see(said(n * (2 + n % 7), f"error {text}", "ERROR"))
    assert len(watcher._kinds) <= p.MOST_KINDS and len(watcher._gaps) <= p.MOST_GAPS
    gaps = [each for each in watcher.patterns([], None, T0) if each.kind is PatternKind.GAP]
    assert len(gaps) == p.MOST_GAPS


LINES = st.lists(
    st.builds(
        Said,
        key=st.tuples(st.sampled_from("ab"), st.sampled_from([None, 0]), st.integers(1, 2)),
        at=st.floats(-1e6, 1e6).map(at),
        level=st.sampled_from(["INFO", "ERROR", "error", ""]),
        text=st.text(max_size=20),
    ),
    max_size=60,
)
ATTEMPTS = st.lists(
    st.builds(
        Tried,
        key=st.tuples(st.sampled_from("ab"), st.sampled_from([None, 0]), st.integers(1, 2)),
        state=st.sampled_from(["SUCCESS", "FAILED", "RUNNING"]),
        started_at=st.just(T0),
        ended_at=st.none() | st.floats(0, 1e6).map(at),
        failed=st.booleans(),
        traced=st.booleans(),
        has_error=st.booleans(),
        usual_seconds=st.none() | st.floats(0, 1e6),
    ),
    max_size=6,
)


@given(LINES, ATTEMPTS)
def test_whatever_the_lines_the_answer_is_ordered_and_bounded(lines: list[Said], attempts: list[Tried]) -> None:
    answer = found(lines, *attempts)
    assert [each.at for each in answer] == sorted(each.at for each in answer)
    assert len(answer) <= p.MOST_GAPS + p.MOST_KINDS + 7 * len(attempts)
    assert all(each.sentence.endswith((".", "…")) or each.kind is PatternKind.REPEATED for each in answer)
    assert answer == found(lines, *attempts)


@given(LINES)
def test_every_gap_told_is_one(lines: list[Said]) -> None:
    for gap in (each for each in found(lines) if each.kind is PatternKind.GAP):
        later = [each.at for each in lines if each.key == gap.key and each.at > gap.at]
        assert any(each - gap.at >= GAP for each in later)
