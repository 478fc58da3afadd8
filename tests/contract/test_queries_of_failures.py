"""What operators ask of failures, on both databases: errors, their types, days, tries, waits (LOG-03, LOG-04)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import event as listening

from engine.model.errors import ErrorKind, TaskError
from engine.model.run import AttemptState, RunState, TaskState
from engine.ports.failures import Wait
from engine.ports.store import Changes
from engine.stores.queries import SqlQueries
from engine.stores.writer import SqlStateStore
from tests.contract.store_records import T0, Rig, at, attempt, run, task, verdict, version

NETWORK = TaskError(type="ConnectionError", kind=ErrorKind.NETWORK, message="no route")
BROKEN = TaskError(type="Key'Error", kind=ErrorKind.LOGIC, message="a\0b \\u0000 \ud800", traceback="x" * 9_000)


def filled(store: SqlStateStore) -> None:
    """r1: `a` fails twice and then succeeds, `b` fails once; r2, a day later: `a` fails; r3 is well."""
    tasks = [
        task("a1", task_id="a", state=TaskState.SUCCESS, attempt_count=3),
        task("b1", task_id="b", state=TaskState.FAILED, attempt_count=1),
        task("a2", "r2", task_id="a", state=TaskState.FAILED, attempt_count=1),
        task("a3", "r3", task_id="a", state=TaskState.SUCCESS, attempt_count=1),
    ]
    a1, b1, a2, a3 = tasks
    failed: dict[str, Any] = {"state": AttemptState.FAILED}
    tries = [
        attempt(a1, 1, completed_at=at(10), error=NETWORK, **failed),
        attempt(a1, 2, completed_at=at(20), error=NETWORK, state=AttemptState.LOST),
        attempt(a1, 3, completed_at=at(30), state=AttemptState.SUCCESS),
        attempt(b1, 1, completed_at=at(15), error=BROKEN, **failed),
        attempt(a2, 1, completed_at=at(90_000), error=NETWORK, **failed),
        attempt(a3, 1, completed_at=at(90_001), state=AttemptState.SUCCESS),
    ]
    runs = [
        run("r1", state=RunState.FAILED, completed_at=at(40)),
        run("r2", state=RunState.FAILED, triggered_at=at(89_000), completed_at=at(90_010)),
        run("r3", state=RunState.SUCCESS, triggered_at=at(89_001), completed_at=at(90_020)),
    ]
    store.commit(Changes(versions=[version()], new_runs=runs, new_executions=tasks, new_attempts=tries), "fill")


def tokens(queries: SqlQueries, **asked: Any) -> list[str]:
    return [each.attempt.token for each in queries.failures(**asked)[0]]


def test_nothing_is_answered_where_there_is_no_state(rig: Rig) -> None:
    queries = rig.queries()
    assert queries.failures() == ([], None) and queries.failure_groups() == []
    assert queries.days(T0) == [] and queries.task_tries(T0) == ([], 0)
    assert queries.running_since(T0) == [] == queries.waits(["a"])


def test_failures_are_found_by_run_time_type_and_pages(rig: Rig) -> None:
    """LOG-03: errors of a run, of a day, of a type; those of tasks that were tried again."""
    filled(rig.writer())
    queries = rig.queries()
    assert tokens(queries) == ["a2-1", "a1-2", "b1-1", "a1-1"]
    assert tokens(queries, run_id="r1") == ["a1-2", "b1-1", "a1-1"]
    assert tokens(queries, run_id="r1", task_id="b") == ["b1-1"]
    assert tokens(queries, since=at(15)) == ["a2-1", "a1-2", "b1-1"]
    assert tokens(queries, error_type="Key'Error") == ["b1-1"]
    assert tokens(queries, pipeline_id="nobody") == [] == tokens(queries, error_type="nothing")
    assert tokens(queries, retried=True) == ["a1-2", "a1-1"]
    seen, cursor = [], None
    while True:
        page, cursor = queries.failures(limit=1, before=cursor)
        seen += [each.attempt.token for each in page]
        if cursor is None:
            break
    assert seen == ["a2-1", "a1-2", "b1-1", "a1-1"]
    first = queries.failures(run_id="r1")[0][0]
    assert (first.task_state, first.tries, first.pipeline_id) == (TaskState.SUCCESS, 3, "orders")


def test_failures_are_summed_up_by_type(rig: Rig) -> None:
    """LOG-03: by error type, whatever text an error carries."""
    filled(rig.writer())
    queries = rig.queries()
    network, logic = queries.failure_groups()
    assert (network.error_type, network.kind) == ("ConnectionError", "NetworkError")
    assert (network.count, network.tasks, network.recovered, network.runs) == (3, 2, 1, 2)
    assert (network.first_at, network.last_at) == (at(10), at(90_000))
    assert network.newest.attempt.token == "a2-1"
    assert (logic.error_type, logic.count, logic.newest.attempt.token) == ("Key'Error", 1, "b1-1")
    assert [each.error_type for each in queries.failure_groups(limit=1)] == ["ConnectionError"]
    (again,) = queries.failure_groups(retried=True)
    assert (again.count, again.tasks, again.newest.attempt.token) == (2, 1, "a1-2")
    (late,) = queries.failure_groups(since=at(60))
    assert (late.count, late.first_at) == (1, at(90_000))
    assert len(queries.failure_groups(run_id="r1")) == 2


def test_a_type_that_no_database_can_hold_breaks_no_sum(rig: Rig) -> None:
    store = rig.writer()
    odd = replace(NETWORK, type="E\0\\u0000\\")
    failed = task("a", state=TaskState.FAILED, attempt_count=1)
    tried = attempt(failed, 1, state=AttemptState.FAILED, completed_at=at(1), error=odd)
    store.commit(
        Changes(versions=[version()], new_runs=[run()], new_executions=[failed], new_attempts=[tried]), "c"
    )
    (group,) = rig.queries().failure_groups()
    assert (group.count, group.newest.attempt.token) == (1, "a-1")


def test_runs_are_counted_by_the_day_they_ended(rig: Rig) -> None:
    """LOG-04: failure rate per day."""
    filled(rig.writer())
    queries = rig.queries()
    first, second = queries.days(T0)
    assert (first.day, first.failed, first.succeeded, first.failure_rate) == (date(2026, 3, 1), 1, 0, 1.0)
    assert (second.day, second.failed, second.succeeded, second.failure_rate) == (date(2026, 3, 2), 1, 1, 0.5)
    assert queries.days(T0, limit=1) == [second] and queries.days(T0, "nobody") == []
    assert queries.days(at(60)) == [second]


def test_tasks_are_counted_by_how_often_they_were_tried(rig: Rig) -> None:
    """LOG-04: attempts per task."""
    filled(rig.writer())
    queries = rig.queries()
    (first, second), looked_at = queries.task_tries(T0)
    assert looked_at == 3
    assert (first.task_id, first.executions, first.attempts, first.most) == ("a", 3, 5, 3)
    assert (first.recovered, first.failed) == (1, 1)
    assert (second.task_id, second.attempts, second.failed) == ("b", 1, 1)
    assert queries.task_tries(at(60))[0][0].executions == 2
    assert queries.task_tries(T0, "nobody") == ([], 0)


def test_runs_that_have_been_running_for_long(rig: Rig) -> None:
    """LOG-04: stuck runs."""
    store = rig.writer()
    runs = [
        run("old", state=RunState.RUNNING, started_at=at(0)),
        run("older", state=RunState.RUNNING, started_at=at(-5)),
        run("new", state=RunState.RUNNING, started_at=at(100)),
        run("ended", state=RunState.SUCCESS, started_at=at(0)),
        run("waits"),
    ]
    store.commit(Changes(versions=[version()], new_runs=runs), "c1")
    queries = rig.queries()
    assert [each.run_id for each in queries.running_since(at(50))] == ["older", "old"]
    assert [each.run_id for each in queries.running_since(at(50), limit=1)] == ["older"]
    assert queries.running_since(at(50), "nobody") == []


def test_every_wait_of_an_execution_is_told_with_its_end(rig: Rig) -> None:
    """LOG-03: a task's timeline."""
    store = rig.writer()
    tasks = [task("a"), task("b")]
    store.commit(Changes(versions=[version()], new_runs=[run()], new_executions=tasks), "c1")
    first, second = verdict("a"), verdict("a", "CIRCUIT", since=at(5), about="shop", holders=("r/x",))
    store.commit(Changes(verdicts={"a": first, "b": verdict("b")}), "c2")
    store.commit(Changes(verdicts={"a": second}), "c3")
    found = rig.queries().waits(["a"])
    assert found == [Wait(verdict=first, until=at(5)), Wait(verdict=second, until=None)]
    assert rig.queries().verdicts("r1")["a"] == second
    assert len(rig.queries().waits(["a", "b"])) == 3 and len(rig.queries().waits(["a"], limit=1)) == 1


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda q: q.failures(since=T0 - timedelta(days=1)), "attempts_failed"),
        (lambda q: q.failure_groups(since=T0, error_type="x"), "attempts_failed"),
        (lambda q: q.failures(run_id="r1"), "task_executions_2 (run_id=?)"),
        (lambda q: q.failure_groups(run_id="r1"), "task_executions_2 (run_id=?)"),
        (lambda q: q.days(T0), "runs_by_time"),
        (lambda q: q.days(T0, "orders"), "runs_by_pipeline"),
        (lambda q: q.task_tries(T0), "runs_by_time"),
        (lambda q: q.running_since(T0), "runs_by_state"),
    ],
)
def test_no_question_reads_a_table_whole(file_rig: Rig, ask: Any, index: str) -> None:
    """EXPLAIN QUERY PLAN of what is really asked: an index of that time or run, never a scan of a table."""
    filled(file_rig.writer())
    queries = file_rig.queries()
    engine = queries._source()
    assert engine is not None
    asked: list[tuple[str, Any]] = []
    listening.listen(
        engine, "before_cursor_execute", lambda c, cur, statement, values, *_: asked.append((statement, values))
    )
    ask(queries)
    selects = [(text, values) for text, values in asked if text.lstrip().startswith("SELECT")]
    with engine.connect() as connection:
        plan = [
            str(row[3])
            for text, values in selects
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
        ]
    assert any(index in line for line in plan), plan
    tables = ("attempts", "task_executions", "pipeline_runs", "verdicts")
    assert not [line for line in plan if line in [f"SCAN {table}" for table in tables]], plan
