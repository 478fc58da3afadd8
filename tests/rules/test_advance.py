"""How completions carry a run forward: order, skips, failure policies, retries and losses."""

from __future__ import annotations

import pytest

from engine.model.errors import ErrorKind, TaskError
from engine.model.pipeline import RetryPolicy
from engine.model.run import Outcome, Reason, TaskEvent, TaskState
from engine.rules import advance
from engine.rules.snapshot import Draft, Kill, WithoutProcess
from tests.rules.stage import EPOCH, SUCCESS, Stage, failure, pipeline, task

THRICE = RetryPolicy(max_attempts=3, backoff_seconds=10, retry_on_error_types=("*",))


def test_a_chain_runs_link_by_link() -> None:
    """C-02, STM-12."""
    stage = Stage(pipeline(task("a"), task("b", "a"), task("c", "b")))
    assert stage.run_state == "PENDING"
    stage.begin()
    assert stage.states == {"a": "QUEUED", "b": "WAITING", "c": "WAITING"}
    assert stage.snapshot.run.started_at == EPOCH
    for name, following in (("a", {"b"}), ("b", {"c"}), ("c", set())):
        assert stage.run_state == "RUNNING"
        stage.run(name)
        assert stage.queued == following
    assert stage.run_state == "SUCCESS"
    assert stage.snapshot.run.completed_at == EPOCH


def test_a_diamond_joins_when_both_arms_are_done() -> None:
    """C-02: dependency-driven, not level by level."""
    stage = Stage(pipeline(task("a"), task("l", "a"), task("r", "a"), task("l2", "l"), task("z", "l2", "r")))
    stage.begin()
    stage.run("a", "l")
    assert stage.queued == {"r", "l2"}, "l2 does not wait for its level"
    stage.run("l2")
    assert stage.queued == {"r"}
    stage.run("r")
    assert stage.queued == {"z"}


def test_what_depends_on_a_failure_is_skipped_and_the_rest_goes_on() -> None:
    """STM-08, C-04."""
    stage = Stage(pipeline(task("bad"), task("b", "bad"), task("c", "b"), task("good"), task("d", "good")))
    stage.begin()
    stage.fail("bad")
    assert stage.state("b") == stage.state("c") == "SKIPPED/upstream_failed"
    stage.run("good", "d")
    assert stage.run_state == "FAILED"


def test_ten_thousand_skips_need_no_recursion() -> None:
    """STM-08, transitively; the whole cascade is one commit."""
    names = [f"t{number}" for number in range(10_000)]
    links = [task(name, *([names[place - 1]] if place else [])) for place, name in enumerate(names)]
    stage = Stage(pipeline(*links))
    stage.begin()
    stage.start("t0")
    draft = stage.finish("t0", failure())
    assert len(draft.executions) == 10_000
    assert len(stage.in_state(TaskState.SKIPPED)) == 9_999
    assert stage.run_state == "FAILED"


@pytest.mark.parametrize("width", [10, 2_000])
def test_a_completion_touches_its_neighbours_only(width: int) -> None:
    """DESIGN 3: cost per completion does not grow with the pipeline."""
    middle = [task(f"m{number}", "root") for number in range(width)]
    stage = Stage(pipeline(task("root"), *middle, task("end", *(item.id for item in middle))))
    stage.begin()
    stage.run("root")
    for name in ("m0", "m1", "m2"):
        assert len(stage.decide(lambda draft, name=name: advance.started(draft, (name, None))).executions) == 1  # type: ignore[misc]  # bound at once
        draft = stage.finish(name)
        assert set(draft.executions) == {(name, None)}
        assert set(draft.tallies) == {"end"}
        assert len(draft.transitions) == 1


def test_a_wide_fan_in_starts_once_with_the_last() -> None:
    middle = [task(f"m{number}") for number in range(50)]
    stage = Stage(pipeline(*middle, task("end", *(item.id for item in middle))))
    stage.begin()
    stage.run(*(item.id for item in middle[:-1]))
    assert stage.state("end") == "WAITING"
    stage.run("m49")
    assert stage.state("end") == "QUEUED"


def test_handlers_start_as_soon_as_something_failed() -> None:
    """CONTRACT: one_* rules fire as soon as they are met."""
    stage = Stage(
        pipeline(
            task("a"),
            task("b"),
            task("alarm", "a", "b", rule="one_failed"),
            task("first", "a", "b", rule="one_success"),
            task("tidy", "a", "b", rule="all_done"),
            task("now", "a", "b", rule="always"),
        )
    )
    stage.begin()
    assert stage.queued == {"a", "b", "now"}
    stage.fail("a")
    assert stage.queued == {"b", "now", "alarm"}
    stage.run("b")
    assert stage.queued == {"now", "alarm", "first", "tidy"}


def test_a_handler_nobody_needed_is_no_failure_below() -> None:
    stage = Stage(
        pipeline(task("a"), task("alarm", "a", rule="one_failed"), task("z", "alarm", rule="none_failed"))
    )
    stage.begin()
    stage.run("a")
    assert stage.state("alarm") == "SKIPPED/rule_not_met"
    stage.run("z")
    assert stage.run_state == "SUCCESS"


def test_a_task_that_skips_itself_skips_what_needs_its_success() -> None:
    """3.1: EXECUTION_SKIPPED; no dead letter."""
    stage = Stage(pipeline(task("a"), task("b", "a"), task("c", "a", rule="none_failed")))
    stage.begin()
    stage.start("a")
    draft = stage.finish("a", Outcome(result="skipped", reason=Reason.EXIT_CODE))
    assert draft.failed == []
    assert stage.states == {"a": "SKIPPED/exit_code", "b": "SKIPPED/upstream_skipped", "c": "QUEUED"}


def test_a_subset_run_leaves_the_rest_out() -> None:
    """GRA-12: what is not selected is neither waited for nor started."""
    stage = Stage(
        pipeline(task("a"), task("b", "a"), task("c", "b", rule="one_failed"), task("d", "c", "a")), only=("b", "d")
    )
    stage.begin()
    assert stage.queued == {"b", "d"}
    stage.fail("b")
    stage.run("d")
    assert set(stage.states) == {"b", "d"}
    assert stage.run_state == "FAILED"


# -- retries and losses -----------------------------------------------------------------------------


def test_a_failure_waits_out_its_backoff_and_gives_up_with_a_letter() -> None:
    """STM-05, RTY-02."""
    stage = Stage(pipeline(task("a", retry_policy=THRICE), task("b", "a")))
    stage.begin()
    for number in (1, 2):
        stage.start("a")
        draft = stage.finish("a", failure())
        row = stage["a"]
        assert (row.state, row.failures, row.attempt_count) == (TaskState.RETRYING, number, number)
        assert row.next_retry_at is not None
        assert row.next_retry_at > stage.now
        assert (draft.failed, draft.retrying) == ([], [("a", None)])
        assert draft.transitions[0].event is TaskEvent.RETRY_SCHEDULED
        assert stage.state("b") == "WAITING"
    stage.start("a")
    draft = stage.finish("a", failure())
    assert draft.failed == [("a", None)]
    assert draft.transitions[0].event is TaskEvent.MAX_RETRIES_EXCEEDED
    assert stage.states == {"a": "FAILED", "b": "SKIPPED/upstream_failed"}


def test_a_retry_that_succeeds_forgets_the_failure() -> None:
    """RTY-12."""
    stage = Stage(pipeline(task("a", retry_policy=THRICE)))
    stage.begin()
    stage.fail("a")
    stage.run("a")
    assert stage.run_state == "SUCCESS"
    assert stage["a"].error is None
    assert (stage["a"].attempt_count, stage["a"].failures) == (2, 1)


def test_losses_are_retried_at_once_and_use_up_no_attempt() -> None:
    """DESIGN 4, losses: whatever retry_on_error_types says, until max_losses."""
    stage = Stage(pipeline(task("a")))  # one attempt, nothing retried
    stage.begin()
    for number in (1, 2):
        stage.start("a")
        stage.vanish("a")
        row = stage["a"]
        assert (row.state, row.losses, row.failures) == (TaskState.RETRYING, number, 0)
        assert row.next_retry_at == stage.now
        assert row.error is not None
        assert row.error.kind is ErrorKind.LOST
    stage.start("a")
    draft = stage.vanish("a")
    assert draft.failed == [("a", None)], "the third of max_losses 3"
    assert stage["a"].attempt_count == 3
    assert stage["a"].error is not None
    assert stage["a"].error.kind.queue == "system"


def test_a_finished_attempt_ends_a_series_of_losses() -> None:
    stage = Stage(pipeline(task("a", retry_policy=THRICE)))
    stage.begin()
    for _ in range(2):
        stage.start("a")
        stage.vanish("a")
    stage.fail("a")
    assert (stage["a"].losses, stage["a"].failures) == (0, 1)
    stage.start("a")
    stage.vanish("a")
    assert stage["a"].state is TaskState.RETRYING


def test_a_stopping_engine_loses_its_attempts() -> None:
    """DESIGN 3: stopping cancels nothing."""
    stage = Stage(pipeline(task("a")))
    stage.begin()
    stage.start("a")
    stage.finish("a", failure(), killed_for="shutdown")
    assert (stage["a"].state, stage["a"].losses) == (TaskState.RETRYING, 1)


def test_a_task_cannot_call_its_own_failure_a_loss() -> None:
    """FAULTS 35: it would be tried again for nothing."""
    stage = Stage(pipeline(task("a")))
    stage.begin()
    stage.start("a")
    stage.finish("a", failure(ErrorKind.LOST))
    assert stage.state("a") == "FAILED"
    assert stage["a"].error is not None
    assert stage["a"].error.kind is ErrorKind.LOGIC


def test_a_failure_without_a_word_is_a_failure() -> None:
    stage = Stage(pipeline(task("a")))
    stage.begin()
    stage.start("a")
    stage.finish("a", Outcome(result="failed"))
    assert stage["a"].error is not None
    assert "without saying why" in stage["a"].error.message


def test_the_retry_budget_can_run_out_while_waiting() -> None:
    """3.1: RETRYING + MAX_RETRIES_EXCEEDED; RTY-04."""
    stage = Stage(pipeline(task("a", retry_policy=THRICE), task("b", "a")))
    stage.begin()
    stage.fail("a")
    draft = stage.decide(lambda draft: advance.out_of_budget(draft, ("a", None), stage.rules))
    assert draft.failed == [("a", None)]
    assert stage.state("b") == "SKIPPED/upstream_failed"
    assert not stage.decide(lambda draft: advance.out_of_budget(draft, ("a", None), stage.rules)).failed


def test_samples_may_shorten_their_waits() -> None:
    stage = Stage(pipeline(task("a", retry_policy=THRICE)))
    stage.begin()
    stage.start("a")
    draft = Draft(stage.snapshot, stage.now, stage.new_id, time_scale=0.1)
    advance.finished(draft, ("a", None), failure(), killed_for=None, dice=0.5, rules=stage.rules)
    due = draft.get(("a", None)).next_retry_at
    assert due is not None
    assert (due - stage.now).total_seconds() == pytest.approx(1.0)


def test_results_are_kept_whatever_the_end() -> None:
    stage = Stage(pipeline(task("a", retry_policy=THRICE)))
    stage.begin()
    stage.start("a")
    error = TaskError(type="X", kind=ErrorKind.LOGIC, message="boom")
    stage.finish("a", Outcome(result="failed", error=error, outputs={"n": 1}, metrics={"rows": 5.0}))
    stage.start("a")
    stage.finish("a", Outcome(result="success", outputs={"m": 2}))
    assert stage["a"].outputs == {"n": 1, "m": 2}
    assert stage["a"].metrics == {"rows": 5.0}


def test_what_fails_before_it_has_a_process_takes_the_ordinary_way() -> None:
    """DESIGN 4: DEPENDENCIES_MET, EXECUTION_STARTED, EXECUTION_FAILED in one commit."""
    stage = Stage(pipeline(task("a", retry_policy=THRICE), task("b", "a")))
    stage.begin()
    error = TaskError(type="ConfigurationError", kind=ErrorKind.NETWORK, message="asks for too much")
    draft = stage.decide(lambda draft: advance.fail_without_process(draft, ("a", None), error, stage.rules))
    events = [row.event for row in draft.transitions if row.task_id == "a"]
    assert events == [TaskEvent.EXECUTION_STARTED, TaskEvent.EXECUTION_FAILED]
    assert draft.actions == [WithoutProcess(("a", None), 1, error)]
    assert stage.run_state == "FAILED"
    again = stage.decide(lambda draft: advance.fail_without_process(draft, ("a", None), error, stage.rules))
    assert (again.failed, again.actions, again.executions) == ([], [], {})


# -- fail_fast -----------------------------------------------------------------------------


def test_fail_fast_cancels_what_is_active_and_starts_only_handlers() -> None:
    """CONTRACT, failure_policy; C-04: dependants are SKIPPED, what was active is CANCELLED."""
    stage = Stage(
        pipeline(
            task("bad"),
            task("below", "bad"),
            task("deeper", "below"),
            task("busy"),
            task("queued"),
            task("later", "busy"),
            task("alarm", "bad", rule="one_failed"),
            task("tidy", "later", "alarm", rule="all_done"),
            fail_fast=True,
        )
    )
    stage.begin()
    stage.start("busy")
    stage.fail("bad")
    assert stage.states == {
        "bad": "FAILED",
        "below": "SKIPPED/upstream_failed",
        "deeper": "SKIPPED/upstream_failed",
        "busy": "RUNNING",
        "queued": "CANCELLED/fail_fast",
        "later": "CANCELLED/fail_fast",
        "alarm": "QUEUED",
        "tidy": "WAITING",
    }
    assert stage.actions == [Kill(("busy", None), "cancel")]
    stage.finish("busy", failure(), killed_for="cancel")
    assert stage.state("busy") == "CANCELLED/fail_fast"
    stage.run("alarm", "tidy")
    assert stage.run_state == "FAILED"


def test_under_fail_fast_a_retry_is_no_failure_yet() -> None:
    stage = Stage(pipeline(task("a", retry_policy=THRICE), task("b"), fail_fast=True))
    stage.begin()
    stage.fail("a")
    assert stage.state("b") == "QUEUED"


def test_under_fail_fast_what_was_lost_or_waits_is_not_tried_again() -> None:
    stage = Stage(
        pipeline(task("bad"), task("lost"), task("waits", retry_policy=THRICE), task("wins"), fail_fast=True)
    )
    stage.begin()
    stage.start("lost", "wins")
    stage.fail("waits", "bad")
    assert stage.state("waits") == "CANCELLED/fail_fast"
    stage.vanish("lost")
    assert stage.state("lost") == "CANCELLED/fail_fast"
    stage.finish("wins", SUCCESS)
    assert stage.state("wins") == "SUCCESS", "it was done before it could be ended"
    assert stage.run_state == "FAILED"


# -- cancelling -----------------------------------------------------------------------------


def test_cancelling_a_run_ends_everything_and_waits_for_processes() -> None:
    """STM-07, C-01."""
    stage = Stage(
        pipeline(
            task("live"),
            task("queued"),
            task("waits", "live"),
            task("alarm", "live", rule="one_failed"),
            task("tidy", "queued", rule="all_done"),
        )
    )
    stage.begin()
    stage.start("live")
    stage.cancel_run()
    assert stage.in_state(TaskState.CANCELLED) == {"queued", "waits", "alarm", "tidy"}
    assert stage.actions == [Kill(("live", None), "cancel")]
    assert stage["live"].cancelling is Reason.RUN_CANCELLED
    assert stage.run_state == "RUNNING"
    stage.finish("live", failure(), killed_for="cancel")
    assert stage.state("live") == "CANCELLED/run_cancelled"
    assert stage.run_state == "CANCELLED"


def test_a_run_can_be_cancelled_before_it_begins() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a")))
    stage.cancel_run()
    assert stage.run_state == "CANCELLED"
    assert stage.snapshot.run.started_at is None


def test_cancelling_a_task_fails_what_depends_on_it() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a"), task("alarm", "a", rule="one_failed")))
    stage.begin()
    stage.cancel("a")
    assert stage.states == {"a": "CANCELLED/cancelled", "b": "SKIPPED/upstream_failed", "alarm": "QUEUED"}
    stage.run("alarm")
    assert stage.run_state == "FAILED"


def test_what_depends_on_a_task_cancelled_before_the_run_began_is_told() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a"), task("c")))
    stage.cancel("a")
    assert stage.state("b") == "PENDING", "nothing moves before the run is admitted"
    stage.begin()
    assert stage.state("b") == "SKIPPED/upstream_failed"
    stage.run("c")
    assert stage.run_state == "FAILED"


def test_a_cancelled_attempt_that_is_lost_is_cancelled() -> None:
    stage = Stage(pipeline(task("a")))
    stage.begin()
    stage.start("a")
    stage.cancel("a")
    stage.vanish("a")
    assert stage.state("a") == "CANCELLED/cancelled"


def test_a_run_out_of_time_has_failed() -> None:
    """C-01."""
    stage = Stage(pipeline(task("a"), task("b", "a"), timeout=60))
    stage.begin()
    stage.start("a")
    stage.cancel_run(by=None, sentence="too slow")
    stage.finish("a", failure(), killed_for="cancel")
    assert stage.states == {"a": "CANCELLED/run_timeout", "b": "CANCELLED/run_timeout"}
    assert stage.run_state == "FAILED"
    assert stage.snapshot.run.reason == "too slow"


def test_a_run_that_succeeded_while_its_time_ran_out_has_nothing_to_explain() -> None:
    """STM-14: never a failed run whose tasks all succeeded."""
    stage = Stage(pipeline(task("a"), timeout=60))
    stage.begin()
    stage.start("a")
    stage.cancel_run(by=None, sentence="too slow")
    stage.finish("a", SUCCESS)
    assert stage.run_state == "SUCCESS"
    assert stage.snapshot.run.reason is None


def test_a_cancelled_run_that_also_runs_out_of_time_stays_cancelled() -> None:
    stage = Stage(pipeline(task("a"), timeout=60))
    stage.begin()
    stage.start("a")
    stage.cancel_run()
    stage.cancel_run(by=None, sentence="too slow")
    stage.finish("a", failure(), killed_for="cancel")
    assert stage.run_state == "CANCELLED"


def test_late_reports_change_nothing() -> None:
    """FAULTS 6, D."""
    stage = Stage(pipeline(task("a"), task("b", "a")))
    stage.begin()
    stage.run("a")
    for draft in (stage.finish("a", failure()), stage.vanish("a"), stage.finish("b")):
        assert not draft.transitions
        assert not draft.executions
        assert not draft.failed
