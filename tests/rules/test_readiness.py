"""Trigger rules against brute force."""

from __future__ import annotations

from itertools import combinations_with_replacement, permutations, product

import pytest

from engine.model.pipeline import TriggerRule
from engine.model.run import Reason, TaskExecution, TaskState
from engine.rules.readiness import Readiness, Tally, bears_failure, counts_as_failed, readiness, skip_reason
from tests.rules.stage import EPOCH

R = TriggerRule
ENDS = ("success", "failed", "skipped")
AT_ONCE = {R.ONE_SUCCESS, R.ONE_FAILED, R.ALWAYS}


def met(rule: TriggerRule, ends: tuple[str, ...]) -> bool:
    """What the rule's name says about upstreams that have all ended (and, for one_*, about those that have)."""
    failed, skipped, success = (ends.count(name) for name in ("failed", "skipped", "success"))
    return {
        R.ALL_SUCCESS: success == len(ends),
        R.ALL_DONE: True,
        R.ALL_FAILED: failed == len(ends),
        R.ONE_SUCCESS: success >= 1,
        R.ONE_FAILED: failed >= 1,
        R.NONE_FAILED: failed == 0,
        R.NONE_SKIPPED: skipped == 0,
        R.NONE_FAILED_MIN_ONE_SUCCESS: failed == 0 and success >= 1,
        R.ALWAYS: True,
    }[rule]


def tally(total: int, ends: tuple[str, ...]) -> Tally:
    return Tally(total, *(ends.count(name) for name in ENDS))


def brute_force(rule: TriggerRule, total: int, ends: tuple[str, ...]) -> Readiness:
    """READY when it starts now whatever comes; NEVER when no continuation can meet it; else WAIT."""
    if total == 0 or rule is R.ALWAYS:
        return Readiness.READY
    rest = total - len(ends)
    if rest == 0:
        return Readiness.READY if met(rule, ends) else Readiness.NEVER
    if rule in AT_ONCE and met(rule, ends):
        return Readiness.READY
    futures = [met(rule, ends + more) for more in product(ENDS, repeat=rest)]
    return Readiness.WAIT if any(futures) else Readiness.NEVER


def small_cases() -> list[tuple[int, tuple[str, ...]]]:
    return [
        (total, ends)
        for total in range(6)
        for done in range(total + 1)
        for ends in combinations_with_replacement(ENDS, done)
    ]


@pytest.mark.parametrize("rule", list(R))
def test_a_rule_agrees_with_trying_every_future(rule: TriggerRule) -> None:
    """CONTRACT, trigger rules: met or impossible is said at once, over all multisets of up to five ends."""
    for total, ends in small_cases():
        assert readiness(rule, tally(total, ends)) is brute_force(rule, total, ends), (total, ends)


@pytest.mark.parametrize("rule", list(R))
def test_an_answer_stands_as_more_ends_come(rule: TriggerRule) -> None:
    for order in {order for ends in combinations_with_replacement(ENDS, 4) for order in permutations(ends)}:
        answers = [readiness(rule, tally(4, order[:done])) for done in range(5)]
        assert answers[-1] is not Readiness.WAIT
        decided = next(answer for answer in answers if answer is not Readiness.WAIT)
        first = answers.index(decided)
        assert all(answer is decided for answer in answers[first:]), (order, answers)


def test_without_upstreams_every_rule_is_met() -> None:
    """A subset run leaves upstreams out; so does a root."""
    assert {readiness(rule, Tally()) for rule in R} == {Readiness.READY}


def ended(state: TaskState, reason: Reason | None = None) -> TaskExecution:
    return TaskExecution(
        execution_id="e", run_id="r", pipeline_id="p", task_id="t", created_at=EPOCH, state=state, reason=reason
    )


@pytest.mark.parametrize("reason", [None, *Reason])
@pytest.mark.parametrize("state", list(TaskState))
def test_an_end_counts_once_as_what_it_is(state: TaskState, reason: Reason | None) -> None:
    """CONTRACT: FAILED, CANCELLED and SKIPPED because of a failure above are failures; other skips are skips."""
    count = Tally(1)
    count.count(ended(state, reason))
    below = state in (TaskState.FAILED, TaskState.CANCELLED) or (
        state is TaskState.SKIPPED and reason is Reason.UPSTREAM_FAILED
    )
    assert counts_as_failed(ended(state, reason)) == below
    expected = (int(state is TaskState.SUCCESS), int(below), int(state is TaskState.SKIPPED and not below))
    assert (count.success, count.failed, count.skipped) == expected
    assert count.done == int(state.terminal)
    count.count(ended(state, reason), by=-1)
    assert count == Tally(1)


@pytest.mark.parametrize("rule", list(R))
def test_a_skip_blames_a_failure_only_where_there_is_one(rule: TriggerRule) -> None:
    for total, ends in small_cases():
        if readiness(rule, tally(total, ends)) is Readiness.NEVER:
            reason = skip_reason(rule, tally(total, ends))
            assert reason in (Reason.UPSTREAM_FAILED, Reason.UPSTREAM_SKIPPED, Reason.RULE_NOT_MET)
            if reason is Reason.UPSTREAM_FAILED:
                assert "failed" in ends
            if rule in (R.ONE_FAILED, R.ALL_FAILED):
                assert reason is Reason.RULE_NOT_MET, "a handler nobody needed is no failure below"


def test_handlers_are_the_rules_that_a_failure_can_meet_whatever_else_happened() -> None:
    assert {rule for rule in R if bears_failure(rule)} == {R.ONE_FAILED, R.ALL_FAILED, R.ALL_DONE, R.ALWAYS}
