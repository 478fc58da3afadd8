"""What an operator does by hand to tasks that have ended."""

from __future__ import annotations

import pytest

from engine.model.errors import ErrorKind, Refused
from engine.model.pipeline import RetryPolicy
from engine.model.run import Outcome, Reason, TaskEvent, TaskState
from engine.rules.reopen import Edits
from tests.rules.stage import EPOCH, Stage, failure, pipeline, task


def broken() -> Stage:
    """good and bad feed join; alarm hears of bad; done hangs on good."""
    stage = Stage(
        pipeline(
            task("good"),
            task("bad"),
            task("join", "good", "bad"),
            task("far", "join"),
            task("alarm", "bad", rule="one_failed"),
            task("done", "good"),
        )
    )
    stage.begin()
    stage.run("good")
    stage.fail("bad")
    stage.run("alarm", "done")
    assert stage.run_state == "FAILED"
    return stage


def test_a_retry_makes_a_new_execution_and_reopens_the_run() -> None:
    """STM-04, DESIGN 4, by hand: nothing leaves a terminal state."""
    stage = broken()
    old = stage["bad"]
    stage.later(3600)
    assert stage.retry("bad") == {"bad", "join", "far"}
    new = stage["bad"]
    assert (new.retry_of, new.sequence, new.attempt_count, new.failures) == (old.execution_id, 1, 0, 0)
    assert old in stage.retired
    assert old.state is TaskState.FAILED
    assert stage.states == {
        "good": "SUCCESS",
        "bad": "QUEUED",
        "join": "WAITING",
        "far": "WAITING",
        "alarm": "SUCCESS",
        "done": "SUCCESS",
    }
    run = stage.snapshot.run
    assert (stage.run_state, run.completed_at) == ("RUNNING", None)
    stage.run("bad", "join", "far")
    assert stage.run_state == "SUCCESS"


def test_a_reopened_run_has_its_time_again() -> None:
    """Else a run that ran out of time would do so again at once."""
    stage = broken()
    assert stage.snapshot.run.started_at == EPOCH
    stage.later(9000)
    stage.retry()
    assert stage.snapshot.run.started_at == stage.now


def test_a_retry_without_a_task_takes_all_that_failed_or_was_cancelled() -> None:
    stage = Stage(pipeline(task("a"), task("b"), task("c"), task("d", "a"), task("e", "b")))
    stage.begin()
    stage.fail("a")
    stage.cancel("b")
    stage.run("c")
    assert stage.retry() == {"a", "b", "d", "e"}
    assert stage.queued == {"a", "b"}


def test_downstream_does_again_what_had_succeeded_and_counts_generations() -> None:
    """DESIGN 6: the generation rises when a success by its own process is run again."""
    stage = broken()
    assert stage.retry("bad", downstream=True) == {"bad", "join", "far", "alarm"}
    assert stage["alarm"].generation == 1
    assert stage["bad"].generation == 0
    stage.run("bad")
    assert stage.state("alarm") == "SKIPPED/rule_not_met"


def test_what_still_runs_below_is_left_alone() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a"), task("c", "b"), task("d", "a")))
    stage.begin()
    stage.run("a")
    stage.start("b")
    assert stage.retry("a", downstream=True) == {"a"}
    assert stage.states == {"a": "QUEUED", "b": "RUNNING", "c": "WAITING", "d": "QUEUED"}


def test_what_has_not_ended_cannot_be_retried() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a")))
    stage.begin()
    for name in ("a", "b"):
        with pytest.raises(Refused, match=f"'{name}' is (QUEUED|WAITING)"):
            stage.retry(name)


def test_a_task_named_with_one_above_it_gets_its_other_items_too() -> None:
    stage = Stage(pipeline(task("a"), task("m", "a", rule="all_done", foreach="{{ x }}")))
    stage.begin()
    stage.run("a")
    stage.evaluate("m", "foreach", ["x", "y"])
    stage.fail("m[0]", "m[1]")
    stage.retry("a")
    stage.fail("a")
    assert stage.retry("m[1]") == {"m[1]"}
    assert stage["m[1]"].item == "y"
    assert stage["m[0]"].state is TaskState.FAILED
    stage.run("m[1]")
    assert stage.retry("a", "m[0]", downstream=True) == {"a", "m[0]", "m[1]"}


def test_a_skip_is_decided_again_and_may_be_one_again() -> None:
    stage = broken()
    assert stage.retry("join") == {"join", "far"}
    assert stage.state("join") == stage.state("far") == "SKIPPED/upstream_failed"
    assert stage.run_state == "FAILED"
    assert stage["join"].sequence == 1


def test_skips_below_a_skip_are_made_new_when_it_is_done_again() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a"), task("c", "b")))
    stage.begin()
    stage.skip("a")
    assert stage.state("c") == "SKIPPED/upstream_skipped"
    assert stage.retry("a") == {"a", "b", "c"}
    stage.run("a", "b", "c")


def test_a_branch_that_chooses_again_takes_those_it_left_out() -> None:
    stage = Stage(
        pipeline(
            task("pick", type="branch", config={"choose": "{{ x }}"}),
            task("l", "pick"),
            task("r", "pick"),
            task("z", "r"),
        )
    )
    stage.begin()
    stage.evaluate("pick", "choose", "l")
    stage.run("l")
    assert stage.retry("pick") == {"pick", "r", "z"}
    stage.evaluate("pick", "choose", "r")
    stage.run("r", "z")
    assert stage.run_state == "SUCCESS"


def test_edits_hold_for_the_new_execution_of_the_named_task_only() -> None:
    """DLQ: requeue with edits."""
    stage = broken()
    policy = RetryPolicy(max_attempts=2, backoff_seconds=0, retry_on_error_types=("*",))
    stage.retry("bad", edits=Edits(parameters={"p": 1}, config={"command": "true"}, retry_policy=policy))
    new = stage["bad"]
    assert (new.parameter_overrides, new.config_overrides) == ({"p": 1}, {"command": "true"})
    assert stage["join"].config_overrides == {}
    stage.fail("bad")
    assert stage.state("bad") == "RETRYING", "the policy of the edit is in force"
    stage.fail("bad")
    assert stage.state("bad") == "FAILED"


def test_executions_of_one_task_form_a_chain() -> None:
    stage = Stage(pipeline(task("a")))
    stage.begin()
    for number in range(4):
        assert stage["a"].sequence == number
        stage.fail("a")
        before = stage["a"].execution_id
        stage.retry()
        assert stage["a"].retry_of == before
    assert [row.sequence for row in stage.retired] == [0, 1, 2, 3]


def test_a_run_cancelled_before_it_began_can_be_taken_up_again() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a")))
    stage.cancel_run()
    stage.retry()
    assert stage.snapshot.run.cancelled_by is None
    assert stage.snapshot.run.started_at == EPOCH
    stage.run("a", "b")
    assert stage.run_state == "SUCCESS"


def test_nothing_is_done_again_in_a_run_that_is_being_cancelled() -> None:
    stage = Stage(pipeline(task("a"), task("b")))
    stage.begin()
    stage.start("a")
    stage.cancel_run()
    with pytest.raises(Refused, match="being cancelled"):
        stage.retry("b")
    with pytest.raises(Refused, match="being cancelled"):
        stage.mark("b", True)
    stage.finish("a", failure(), killed_for="cancel")
    stage.retry("b")
    assert stage.state("b") == "QUEUED"


def test_a_retry_in_a_run_that_has_not_begun_waits_for_its_beginning() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a")))
    stage.cancel("a")
    stage.retry("a")
    assert stage.state("a") == "PENDING"
    stage.begin()
    assert stage.states == {"a": "QUEUED", "b": "WAITING"}


# -- mapped tasks ----------------------------------------------------------------


def mapped() -> Stage:
    stage = Stage(pipeline(task("list"), task("m", "list", foreach="{{ x }}"), task("end", "m")))
    stage.begin()
    stage.run("list")
    stage.evaluate("m", "foreach", ["x", "y", "z"])
    return stage


def test_one_item_is_done_again_alone() -> None:
    stage = mapped()
    stage.run("m[0]", "m[2]")
    stage.fail("m[1]")
    assert stage.retry() == {"m[1]", "end"}
    assert (stage["m[1]"].item, stage["m[1]"].sequence) == ("y", 1)
    stage.run("m[1]", "end")
    assert stage.run_state == "SUCCESS"


def test_a_list_made_again_is_expanded_again() -> None:
    stage = mapped()
    stage.run("m[0]", "m[1]", "m[2]", "end")
    assert stage.retry("list", downstream=True) == {"list", "m", "end"}
    assert (stage["m"].sequence, stage["m"].generation) == (1, 1)
    stage.run("list")
    assert stage.asked == [("m", "foreach")]
    stage.evaluate("m", "foreach", ["u", "v"])
    assert [(row.item, row.sequence, row.generation) for row in stage.snapshot.of_task("m")] == [
        ("u", 1, 1),
        ("v", 1, 1),
    ]
    stage.run("m[0]", "m[1]", "end")
    assert stage.run_state == "SUCCESS"


def test_a_fixed_list_is_expanded_again_within_the_same_decision() -> None:
    """Also while what is above it ends in that decision and counts who is below."""
    stage = Stage(
        pipeline(task("a", when=False), task("b", "a", rule="always", foreach=["x", "y"]), task("c", "b"))
    )
    stage.begin()
    stage.run("b[0]", "b[1]", "c")
    assert stage.retry("a", downstream=True) == {"a", "b", "c"}
    assert stage.states == {"a": "SKIPPED/when", "b[0]": "QUEUED", "b[1]": "QUEUED", "c": "WAITING"}
    stage.run("b[0]", "b[1]", "c")
    assert stage.run_state == "SUCCESS"


def test_a_fixed_list_is_expanded_again_when_its_turn_comes() -> None:
    stage = Stage(pipeline(task("a", foreach=["x", "y"]), task("b", "a", foreach=["u"])))
    stage.begin()
    stage.run("a[0]", "a[1]", "b[0]")
    assert stage.retry("a[0]", "a[1]", downstream=True) == {"a[0]", "a[1]", "b"}
    stage.run("a[0]", "a[1]")
    stage.run("b[0]")
    assert stage["b[0]"].sequence == 1


def test_items_named_by_the_operator_stay_the_items_they_are() -> None:
    stage = mapped()
    stage.run("m[0]", "m[1]", "m[2]", "end")
    assert stage.retry("m[0]", "m[1]", "m[2]", downstream=True) == {"m[0]", "m[1]", "m[2]", "end"}
    assert stage.queued == {"m[0]", "m[1]", "m[2]"}


# -- mark ------------------------------------------------------------------------


def test_marking_success_takes_the_ordinary_way_and_lets_the_rest_go_on() -> None:
    """DESIGN 4, by hand."""
    stage = broken()
    old = stage["bad"]
    seen = len(stage.transitions)
    assert stage.mark("bad", True) == {"bad", "join", "far"}
    new = stage["bad"]
    assert (new.retry_of, new.marked_by, new.mark_reason) == (old.execution_id, "bob@there", "known good")
    assert [row.event for row in stage.transitions[seen:] if row.task_id == "bad"] == [
        TaskEvent.DEPENDENCIES_MET,
        TaskEvent.EXECUTION_STARTED,
        TaskEvent.EXECUTION_COMPLETED,
    ]
    assert stage.state("bad") == "SUCCESS/marked"
    assert stage.queued == {"join"}
    stage.run("join", "far")
    assert stage.run_state == "SUCCESS"


def test_marking_the_last_failure_success_ends_the_run_well() -> None:
    """STM-14."""
    stage = Stage(pipeline(task("a"), task("b")))
    stage.begin()
    stage.run("a")
    stage.fail("b")
    stage.mark("b", True)
    assert stage.run_state == "SUCCESS"


def test_marking_failed_makes_no_letter_and_no_success_stay() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a"), task("c", "a")))
    stage.begin()
    stage.run("a", "b")
    stage.mark("a", False)
    assert stage.letters == []
    assert stage["a"].error is not None
    assert stage["a"].error.kind is ErrorKind.LOGIC
    assert stage.states == {"a": "FAILED/marked", "b": "SUCCESS", "c": "QUEUED"}
    stage.run("c")
    assert stage.run_state == "FAILED"


def test_what_waits_below_a_mark_is_told() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a"), task("c", "b")))
    stage.begin()
    stage.mark("a", False)
    assert stage.states == {
        "a": "FAILED/marked",
        "b": "SKIPPED/upstream_failed",
        "c": "SKIPPED/upstream_failed",
    }
    assert stage["a"].sequence == 1
    assert stage.retired[-1].state is TaskState.CANCELLED, "what waited was cancelled first"
    assert stage.run_state == "FAILED"


def test_a_mark_is_undone_by_another() -> None:
    stage = broken()
    stage.mark("bad", True)
    stage.mark("bad", False)
    assert stage["bad"].sequence == 2
    stage.mark("bad", True)
    stage.run("join", "far")
    assert stage.run_state == "SUCCESS"


def test_a_mark_under_fail_fast_is_a_failure_like_any_other() -> None:
    stage = Stage(pipeline(task("a"), task("b"), fail_fast=True))
    stage.begin()
    stage.mark("a", False)
    assert stage.states == {"a": "FAILED/marked", "b": "CANCELLED/fail_fast"}


def test_a_running_task_is_not_marked() -> None:
    """Its attempt has to be gone first: nothing runs twice at once."""
    stage = Stage(pipeline(task("a")))
    stage.begin()
    stage.start("a")
    with pytest.raises(Refused, match="RUNNING"):
        stage.mark("a", True)


def test_a_success_by_mark_raises_no_generation() -> None:
    """DESIGN 6: a success by its own process does."""
    stage = broken()
    stage.mark("bad", True)
    assert stage["bad"].generation == 0
    stage.retry("bad")
    assert stage["bad"].generation == 0
    stage.run("bad")
    stage.retry("bad")
    assert stage["bad"].generation == 1
    stage.mark("done", False)
    assert stage["done"].generation == 1
    stage.retry("done")
    assert stage["done"].generation == 1


def test_a_branch_marked_success_leaves_nothing_out() -> None:
    stage = Stage(
        pipeline(task("pick", type="branch", config={"choose": "{{ x }}"}), task("l", "pick"), task("r", "pick"))
    )
    stage.begin()
    stage.mark("pick", True)
    assert stage.queued == {"l", "r"}


def test_outputs_do_not_outlive_their_execution() -> None:
    stage = Stage(pipeline(task("a")))
    stage.begin()
    stage.start("a")
    stage.finish("a", Outcome(result="success", outputs={"n": 1}))
    stage.retry("a")
    assert stage["a"].outputs == {}
    assert stage["a"].reason is None
    assert Reason.MARKED not in {row.reason for row in stage.retired}
