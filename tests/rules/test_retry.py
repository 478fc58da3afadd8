"""Whether and when a failed attempt is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.errors import ErrorKind, TaskError
from engine.model.pipeline import Jitter, RetryPolicy
from engine.model.run import TaskEvent
from engine.rules.retry import (
    LONGEST_RETRY_AFTER,
    Again,
    GiveUp,
    after_failure,
    after_loss,
    canonical_kinds,
    delay_seconds,
    over_budget,
    retried,
)
from tests.rules.stage import EPOCH

KINDS = ("*",)


def delays(policy: RetryPolicy, dice: list[float]) -> list[float]:
    """The waits after the first failure, the second ..., each fed with the one before."""
    found: list[float] = []
    for number, roll in enumerate(dice, start=1):
        last = found[-1] if found else None
        found.append(delay_seconds(policy, failures=number, last_delay=last, dice=roll))
    return found


def decide(policy: RetryPolicy, kind: ErrorKind = ErrorKind.NETWORK, **given_: Any) -> Again | GiveUp:
    error_fields = {name: given_.pop(name) for name in ("retry_after", "final") if name in given_}
    error = TaskError(type="X", kind=kind, message="boom", **error_fields)
    given_.setdefault("failures", 1)
    given_.setdefault("last_delay", None)
    given_.setdefault("first_started_at", EPOCH)
    return after_failure(policy, error, now=EPOCH, dice=0.5, **given_)


def test_without_jitter_waits_double_up_to_the_cap() -> None:
    """RTY-03."""
    policy = RetryPolicy(backoff_seconds=10, jitter_type=Jitter.NONE, max_delay_seconds=70)
    assert delays(policy, [0.9] * 5) == [10, 20, 40, 70, 70]


def test_full_jitter_lies_between_nothing_and_the_doubled_wait() -> None:
    """RTY-03."""
    policy = RetryPolicy(backoff_seconds=10, jitter_type=Jitter.FULL)
    assert delays(policy, [0.0, 0.5, 0.25, 1.0]) == [0, 10, 10, 80]


def test_decorrelated_jitter_grows_from_the_wait_before() -> None:
    """RTY-03: d1 = base, dn = min(cap, uniform(base, 3 d(n-1)))."""
    policy = RetryPolicy(backoff_seconds=10, max_delay_seconds=100)
    assert delays(policy, [0.7, 1.0, 0.5, 0.0, 1.0]) == [10, 30, 50, 10, 30]
    assert delays(policy, [1.0] * 5) == [10, 30, 90, 100, 100]


def test_a_fixed_delay_is_exactly_that() -> None:
    """Reconciled 3.2: exponential_backoff false means exactly base, whatever jitter and cap say."""
    for jitter in Jitter:
        policy = RetryPolicy(
            backoff_seconds=900, exponential_backoff=False, jitter_type=jitter, max_delay_seconds=60
        )
        assert delays(policy, [0.3] * 4) == [900] * 4


def test_the_cap_is_never_below_the_base() -> None:
    policy = RetryPolicy(backoff_seconds=600, max_delay_seconds=300, jitter_type=Jitter.NONE)
    assert delays(policy, [0.0] * 3) == [600] * 3


@given(
    base=st.floats(0, 1e4),
    cap=st.floats(0, 1e4),
    jitter=st.sampled_from(Jitter),
    dice=st.lists(st.floats(0, 1), min_size=1, max_size=30),
)
def test_every_wait_lies_within_its_bounds(base: float, cap: float, jitter: Jitter, dice: list[float]) -> None:
    policy = RetryPolicy(backoff_seconds=base, max_delay_seconds=cap, jitter_type=jitter)
    for delay in delays(policy, dice):
        assert 0 <= delay <= max(cap, base)
        assert jitter is Jitter.FULL or delay >= min(base, max(cap, base)) * (1 - 1e-9)


def test_the_thousandth_failure_does_not_overflow() -> None:
    policy = RetryPolicy(backoff_seconds=1, jitter_type=Jitter.NONE)
    assert delay_seconds(policy, failures=100_000, last_delay=None, dice=0) == 300


def test_max_attempts_counts_the_first_try() -> None:
    """RTY-02, reconciled 3.2: three executions in all; 1 means no retry."""
    policy = RetryPolicy(max_attempts=3, retry_on_error_types=KINDS)
    assert isinstance(decide(policy, failures=1), Again)
    assert isinstance(decide(policy, failures=2), Again)
    over = decide(policy, failures=3)
    assert isinstance(over, GiveUp)
    assert over.event is TaskEvent.MAX_RETRIES_EXCEEDED
    assert "3 of 3" in over.why
    assert isinstance(decide(RetryPolicy(max_attempts=1, retry_on_error_types=KINDS)), GiveUp)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_the_default_policy_retries_what_may_pass(kind: ErrorKind) -> None:
    """FAULTS, error kinds; RTY-07."""
    passing = {ErrorKind.NETWORK, ErrorKind.TIMEOUT, ErrorKind.RATE_LIMITED, ErrorKind.RESOURCE}
    answer = decide(RetryPolicy(), kind)
    assert isinstance(answer, Again) == (kind in passing)
    if isinstance(answer, GiveUp):
        assert answer.event is TaskEvent.EXECUTION_FAILED
    assert retried(RetryPolicy(retry_on_error_types=("*",)), kind)
    assert not retried(RetryPolicy(retry_on_error_types=()), kind)


def test_a_final_failure_is_never_retried() -> None:
    answer = decide(RetryPolicy(retry_on_error_types=KINDS), final=True)
    assert isinstance(answer, GiveUp)
    assert answer.event is TaskEvent.EXECUTION_FAILED


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (None, 60),
        (5.0, 60),
        (90.0, 90),
        (1e12, LONGEST_RETRY_AFTER),
        (float("inf"), LONGEST_RETRY_AFTER),
        (-20.0, 60),
        (float("nan"), 60),
    ],
)
def test_a_servers_wish_to_wait_is_followed_within_reason(asked: float | None, seconds: float) -> None:
    """FAULTS 30: Retry-After huge, negative or nonsense."""
    answer = decide(RetryPolicy(), ErrorKind.RATE_LIMITED, retry_after=asked)
    assert isinstance(answer, Again)
    assert answer.at == EPOCH + timedelta(seconds=seconds)


def test_the_retry_budget_counts_from_the_first_start() -> None:
    """RTY-04: a retry that would begin past it is not waited for."""
    policy = RetryPolicy(max_attempts=99, max_total_seconds=100)
    within, past = EPOCH - timedelta(seconds=40), EPOCH - timedelta(seconds=41)
    assert isinstance(decide(policy, first_started_at=within), Again)
    answer = decide(policy, first_started_at=past)
    assert isinstance(answer, GiveUp)
    assert answer.event is TaskEvent.MAX_RETRIES_EXCEEDED
    assert "100" in answer.why
    assert not over_budget(policy, None, EPOCH)
    assert not over_budget(RetryPolicy(), past, EPOCH)


def test_losses_have_a_bound_of_their_own_and_no_wait() -> None:
    """DESIGN 4: after max_losses losses it is FAILED; until then at once again."""
    assert after_loss(losses=9, max_losses=10, now=EPOCH) == Again(EPOCH, 0.0)
    answer = after_loss(losses=10, max_losses=10, now=EPOCH)
    assert isinstance(answer, GiveUp)
    assert answer.event is TaskEvent.MAX_RETRIES_EXCEEDED


def test_kinds_are_read_as_authors_spell_them() -> None:
    """Reconciled 3.2: name or value, any case, ConnectionError as NetworkError."""
    spelled = ["NETWORK_ERROR", "networkerror", "ConnectionError", " TimeoutError ", "*", "DATA_QUALITY_ERROR"]
    assert canonical_kinds(spelled) == ("NetworkError", "TimeoutError", "*", "DataQualityError")
    with pytest.raises(ValueError, match="Netwrok"):
        canonical_kinds(["TimeoutError", "Netwrok"])
