"""Conditions, mapped tasks, branches and sensors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from engine.model.errors import ErrorKind, TaskError
from engine.model.pipeline import RetryPolicy
from engine.model.run import Outcome, Reason, TaskEvent, TaskState
from engine.rules import advance
from engine.rules.gates import has_markup, truthy
from engine.rules.snapshot import Kill, WithoutProcess
from tests.rules.stage import EPOCH, SUCCESS, Stage, error, failure, pipeline, task

NOT_YET = Outcome(result="not_yet")


# -- when -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [False, "no", " False ", "0", "", None, 0, "none", "off"])
def test_a_false_condition_skips_the_task(value: Any) -> None:
    """CONTRACT: `when` false: SKIPPED."""
    stage = Stage(pipeline(task("a", when="{{ x }}"), task("b", "a"), task("c", "a", rule="all_done")))
    stage.begin()
    assert stage.asked == [("a", "when")]
    assert stage.state("a") == "PENDING"
    stage.evaluate("a", "when", value)
    assert stage.states == {"a": "SKIPPED/when", "b": "SKIPPED/upstream_skipped", "c": "QUEUED"}


@pytest.mark.parametrize("value", [True, "yes", "true", 1, "anything", [0]])
def test_a_true_condition_queues_it(value: Any) -> None:
    stage = Stage(pipeline(task("a", when="{{ x }}")))
    stage.begin()
    stage.evaluate("a", "when", value)
    assert stage.state("a") == "QUEUED"


def test_what_has_no_markup_is_decided_on_the_spot() -> None:
    """DESIGN 3: what has no markup is not sent. Whoever is below a root that ends at the beginning is told."""
    stage = Stage(
        pipeline(task("a", when=False), task("b", "a"), task("c", when="yes"), task("d", "a", "c", rule="all_done"))
    )
    stage.begin()
    assert stage.asked == []
    assert stage.states == {"a": "SKIPPED/when", "b": "SKIPPED/upstream_skipped", "c": "QUEUED", "d": "WAITING"}
    stage.run("c", "d")
    assert stage.run_state == "SUCCESS"


def test_a_run_of_which_nothing_is_left_ends_as_it_begins() -> None:
    stage = Stage(pipeline(task("a", when=False), task("b", foreach=[]), task("c", "a", "b")))
    stage.begin()
    assert stage.run_state == "SUCCESS"


def test_a_condition_is_looked_at_when_the_rule_is_met() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a", when="{{ upstream.a.n }}")))
    stage.begin()
    assert stage.asked == []
    stage.run("a")
    assert stage.asked == [("b", "when")]
    assert stage.state("b") == "WAITING"


def test_a_template_that_does_not_render_fails_the_task() -> None:
    """DESIGN 4: DEPENDENCIES_MET, EXECUTION_STARTED, EXECUTION_FAILED in one commit; never retried."""
    again = RetryPolicy(max_attempts=5, retry_on_error_types=("*",))
    stage = Stage(pipeline(task("a", when="{{ x }}", retry_policy=again), task("b", "a")))
    stage.begin()
    problem = TaskError(type="UndefinedError", kind=ErrorKind.CONFIGURATION, message="'x' is undefined")
    draft = stage.evaluate("a", "when", None, problem)
    assert [row.event for row in draft.transitions if row.task_id == "a"] == [
        TaskEvent.DEPENDENCIES_MET,
        TaskEvent.EXECUTION_STARTED,
        TaskEvent.EXECUTION_FAILED,
    ]
    assert draft.failed == [("a", None)]
    assert draft.actions == [WithoutProcess(("a", None), 1, problem)]
    assert stage.states == {"a": "FAILED", "b": "SKIPPED/upstream_failed"}


def test_an_answer_for_a_task_that_ended_meanwhile_changes_nothing() -> None:
    stage = Stage(pipeline(task("a", when="{{ x }}"), task("b")))
    stage.begin()
    stage.cancel("a")
    assert not stage.evaluate("a", "when", True).executions
    assert stage.state("a") == "CANCELLED/cancelled"


def test_an_answer_waits_when_what_it_depends_on_is_done_again() -> None:
    stage = Stage(pipeline(task("a"), task("b", "a", when="{{ x }}")))
    stage.begin()
    stage.run("a")
    stage.retry("a")
    assert not stage.evaluate("b", "when", True).executions
    stage.run("a")
    assert stage.asked == [("b", "when")]
    stage.evaluate("b", "when", True)
    assert stage.state("b") == "QUEUED"


# -- foreach -----------------------------------------------------------------------------


def test_a_list_becomes_one_execution_per_item() -> None:
    """DESIGN 4, foreach: the placeholder is replaced by 0..n-1 in one commit."""
    stage = Stage(pipeline(task("a"), task("b", "a", foreach="{{ upstream.a.files }}"), task("c", "b")))
    stage.begin()
    stage.run("a")
    placeholder = stage["b"].execution_id
    draft = stage.evaluate("b", "foreach", ["x", "y", "z"])
    assert [row.execution_id for row in stage.retired] == [placeholder]
    assert len(draft.created) == 3
    assert stage.queued == {"b[0]", "b[1]", "b[2]"}
    assert [row.item for row in stage.snapshot.of_task("b")] == ["x", "y", "z"]
    assert stage.snapshot.tallies["c"].total == 3
    stage.run("b[2]", "b[0]")
    assert stage.state("c") == "WAITING"
    stage.run("b[1]", "c")
    assert stage.run_state == "SUCCESS"


def test_every_item_counts_below() -> None:
    """DESIGN 4: the trigger rule counts each item."""
    stage = Stage(pipeline(task("a", foreach=["x", "y"]), task("all", "a"), task("any", "a", rule="one_success")))
    stage.begin()
    stage.run("a[0]")
    assert stage.states["any"] == "QUEUED"
    stage.fail("a[1]")
    assert stage.states["all"] == "SKIPPED/upstream_failed"


def test_no_items_skip_the_task() -> None:
    stage = Stage(pipeline(task("a", foreach="{{ x }}"), task("b", "a"), task("c", "a", rule="none_failed")))
    stage.begin()
    stage.evaluate("a", "foreach", [])
    assert stage.states == {"a": "SKIPPED/empty", "b": "SKIPPED/upstream_skipped", "c": "QUEUED"}


@pytest.mark.parametrize("items", ["abc", {"a": 1}, 7, None, list(range(21))])
def test_what_is_no_list_or_too_long_fails_it(items: Any) -> None:
    """DESIGN 4: at most max_items."""
    stage = Stage(pipeline(task("a", foreach="{{ x }}"), task("b", "a")))
    stage.begin()
    draft = stage.evaluate("a", "foreach", items)
    assert draft.failed == [("a", None)]
    assert stage["a"].error is not None
    assert stage["a"].error.kind is ErrorKind.CONFIGURATION
    assert stage.states == {"a": "FAILED", "b": "SKIPPED/upstream_failed"}


def test_a_condition_comes_before_the_list() -> None:
    stage = Stage(pipeline(task("a", when="{{ x }}", foreach="{{ y }}")))
    stage.begin()
    assert stage.asked == [("a", "when")]
    stage.evaluate("a", "when", True)
    assert stage.asked == [("a", "foreach")]


def test_a_second_answer_finds_the_task_expanded() -> None:
    """A rule that is met early is met again with each further end, and asks again."""
    stage = Stage(pipeline(task("a"), task("b"), task("m", "a", "b", rule="one_success", foreach="{{ x }}")))
    stage.begin()
    stage.run("a")
    stage.run("b")
    stage.evaluate("m", "foreach", ["x"])
    assert not stage.evaluate("m", "foreach", ["y", "z"]).executions
    assert stage.queued == {"m[0]"}


# -- branch -----------------------------------------------------------------------------


def branching(choose: Any = "{{ x }}", **fields: Any) -> Stage:
    return Stage(
        pipeline(
            task("pick", type="branch", config={"choose": choose}, **fields),
            task("left", "pick"),
            task("right", "pick"),
            task("far", "right"),
            task("join", "left", "far", rule="none_failed_min_one_success"),
        )
    )


@pytest.mark.parametrize("choice", ["left", ["left"], ("left", "left")])
def test_a_branch_follows_its_choice_and_skips_the_others(choice: Any) -> None:
    """CONTRACT, branch."""
    stage = branching()
    stage.begin()
    assert stage.asked == [("pick", "choose")]
    draft = stage.evaluate("pick", "choose", choice)
    assert [row.event for row in draft.transitions if row.task_id == "pick"] == [
        TaskEvent.DEPENDENCIES_MET,
        TaskEvent.EXECUTION_STARTED,
        TaskEvent.EXECUTION_COMPLETED,
    ]
    assert stage.states == {
        "pick": "SUCCESS",
        "left": "QUEUED",
        "right": "SKIPPED/branch",
        "far": "SKIPPED/upstream_skipped",
        "join": "WAITING",
    }
    assert stage["pick"].outputs == {"follow": ["left"]}
    stage.run("left", "join")
    assert stage.run_state == "SUCCESS"


def test_a_branch_may_choose_nothing() -> None:
    stage = branching(None)
    stage.begin()
    assert stage.run_state == "SUCCESS"
    assert stage.state("left") == stage.state("right") == "SKIPPED/branch"


@pytest.mark.parametrize("choice", ["far", "nobody", 7, True, {"left": 1}, ["left", None]])
def test_a_choice_that_makes_no_sense_fails_the_branch(choice: Any) -> None:
    """FAULTS 35 as well: whatever a template or an attempt makes of it."""
    for stage in (branching(), branching("{{ x }}")):
        stage.begin()
        draft = stage.evaluate("pick", "choose", choice)
        assert draft.failed == [("pick", None)]
        assert stage["pick"].error is not None
        assert stage["pick"].error.kind is ErrorKind.CONFIGURATION
        assert stage.run_state == "FAILED"


@pytest.mark.parametrize(
    ("follow", "state"), [(["right"], "SUCCESS"), (None, "SUCCESS"), (["far"], "FAILED"), (3, "FAILED")]
)
def test_the_choice_of_a_process_is_judged_alike(follow: Any, state: str) -> None:
    stage = branching()
    stage.rules = type(stage.rules)(max_losses=3, max_items=20, runs_in_engine=lambda _task: False)
    stage.begin()
    assert stage.state("pick") == "QUEUED"
    stage.start("pick")
    stage.finish("pick", Outcome(result="success", outputs={"follow": follow, "why": "x"}))
    assert stage.state("pick") == state
    assert stage["pick"].outputs["why"] == "x"


def test_a_choice_still_holds_for_what_is_decided_later() -> None:
    """A task skipped for a failure before the branch chose stays left out when that failure is mended."""
    stage = Stage(
        pipeline(
            task("pick", type="branch", config={"choose": "{{ x }}"}),
            task("other"),
            task("left", "pick"),
            task("right", "pick", "other"),
        )
    )
    stage.begin()
    stage.fail("other")
    assert stage.state("right") == "SKIPPED/upstream_failed"
    stage.evaluate("pick", "choose", "left")
    stage.retry("other")
    stage.run("other")
    assert stage.state("right") == "SKIPPED/branch"


def test_a_subset_run_may_leave_out_what_is_chosen() -> None:
    definition = pipeline(
        task("pick", type="branch", config={"choose": "left"}), task("left", "pick"), task("right", "pick")
    )
    stage = Stage(definition, only=("pick", "right"))
    stage.begin()
    assert stage.states == {"pick": "SUCCESS", "right": "SKIPPED/branch"}
    assert stage.run_state == "SUCCESS"


# -- sensors -----------------------------------------------------------------------------


def sensing(**fields: Any) -> Stage:
    stage = Stage(pipeline(task("s", type="sensor", **fields), task("b", "s")))
    stage.begin()
    return stage


def test_a_sensor_stays_queued_between_pokes() -> None:
    """DESIGN 4, sensors: a poke that sees nothing changes no state and is no attempt."""
    stage = sensing()
    for number in (1, 2, 3):
        draft = stage.poke("s", NOT_YET, interval=10)
        assert not draft.transitions
        row = stage["s"]
        assert (row.state, row.pokes, row.attempt_count) == (TaskState.QUEUED, number, 0)
        assert row.first_poke_at == EPOCH
        assert row.next_retry_at == stage.now + timedelta(seconds=10)
        stage.later(10)
    stage.poke("s", SUCCESS)
    assert (stage["s"].attempt_count, stage.state("s"), stage.state("b")) == (1, "SUCCESS", "QUEUED")


def test_the_next_poke_is_not_later_than_the_deadline() -> None:
    stage = sensing()
    stage.poke("s", NOT_YET, interval=60, deadline=EPOCH + timedelta(seconds=20))
    assert stage["s"].next_retry_at == EPOCH + timedelta(seconds=20)


def test_a_failed_poke_is_an_attempt_and_pokes_go_on() -> None:
    stage = sensing(retry_policy=RetryPolicy(max_attempts=2, backoff_seconds=5, retry_on_error_types=("*",)))
    draft = stage.poke("s", failure())
    assert [row.event for row in draft.transitions] == [TaskEvent.EXECUTION_STARTED, TaskEvent.RETRY_SCHEDULED]
    assert stage["s"].next_retry_at == EPOCH + timedelta(seconds=5)
    stage.later(5)
    stage.poke("s", NOT_YET, interval=10)
    assert stage["s"].state is TaskState.RETRYING
    assert stage["s"].next_retry_at == stage.now + timedelta(seconds=10)
    stage.poke("s", failure())
    assert stage.states == {"s": "FAILED", "b": "SKIPPED/upstream_failed"}
    assert stage["s"].attempt_count == 2


@pytest.mark.parametrize(
    ("soft", "ended", "below"),
    [(False, "FAILED", "upstream_failed"), (True, "SKIPPED/soft_fail", "upstream_skipped")],
)
def test_a_sensor_that_saw_nothing_in_time_ends(soft: bool, ended: str, below: str) -> None:
    """DESIGN 4: TimeoutError, never retried; with soft_fail SKIPPED."""
    stage = sensing(retry_policy=RetryPolicy(max_attempts=9, retry_on_error_types=("*",)))
    stage.poke("s", NOT_YET)
    draft = stage.decide(lambda draft: advance.sensor_timed_out(draft, ("s", None), 30, soft, stage.rules))
    assert stage.states == {"s": ended, "b": f"SKIPPED/{below}"}
    assert draft.failed == ([] if soft else [("s", None)])
    (attempt,) = draft.actions
    assert isinstance(attempt, WithoutProcess)
    assert attempt.number == 1
    if not soft:
        assert stage["s"].error is not None
        assert stage["s"].error.kind is ErrorKind.TIMEOUT
    late = stage.decide(lambda draft: advance.sensor_timed_out(draft, ("s", None), 30, soft, stage.rules))
    assert not late.executions


def test_cancelling_a_sensor_ends_a_poke_that_may_live() -> None:
    stage = sensing()
    stage.poke("s", NOT_YET)
    stage.cancel("s")
    assert stage.actions == [Kill(("s", None), "cancel")]
    assert stage.state("s") == "CANCELLED/cancelled"
    assert not stage.poke("s", SUCCESS).executions, "what it saw comes too late"


# -- words -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["{{ x }}", "a {% if x %}", ["b", "{{ x }}"], {"a": [{"b": "{{ x }}"}]}])
def test_markup_is_found_wherever_it_stands(value: Any) -> None:
    assert has_markup(value)


@pytest.mark.parametrize("value", ["plain", "{ x }", ["a"], {"{{": 1}, 7, None, True])
def test_what_has_no_markup_is_left_alone(value: Any) -> None:
    assert not has_markup(value)


@pytest.mark.parametrize("word", ["no", "OFF", " false", "0", "None", "null", "", [], {}, 0, None])
def test_words_that_say_no_are_no(word: Any) -> None:
    assert not truthy(word)


@pytest.mark.parametrize("word", ["y", "on", "1", "nope", [0], 2.5, True])
def test_all_others_are_yes(word: Any) -> None:
    assert truthy(word)


def test_a_failed_handler_is_an_ordinary_failure() -> None:
    stage = Stage(pipeline(task("a"), task("alarm", "a", rule="one_failed")))
    stage.begin()
    stage.fail("a")
    stage.start("alarm")
    draft = stage.finish("alarm", Outcome(result="failed", error=error(ErrorKind.DATA_QUALITY)))
    assert draft.failed == [("alarm", None)]
    assert stage["alarm"].reason is None
    assert Reason.FAIL_FAST not in {row.reason for row in stage.snapshot.executions.values()}
