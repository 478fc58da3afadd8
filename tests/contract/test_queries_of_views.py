"""What overviews read at a glance: progress of several runs, what ended when, and whether it gets slower."""

from __future__ import annotations

import pytest

from engine.model.run import RunState, TaskState
from engine.ports.store import Changes
from tests.contract.store_records import T0, Rig, at, run, task, version


def test_nothing_is_answered_where_there_is_no_state(rig: Rig) -> None:
    queries = rig.queries()
    assert queries.progress(["r1"]) == {} and queries.activity(T0, 60, 3) == {}


def test_progress_counts_the_latest_executions_of_each_run(rig: Rig) -> None:
    store = rig.writer()
    executions = [
        task("a", state=TaskState.SUCCESS),
        task("b", state=TaskState.SUCCESS),
        task("c", state=TaskState.RUNNING),
        task("d", run_id="r2"),
        task("e", run_id="r3"),
    ]
    runs = [run(name, state=RunState.RUNNING) for name in ("r1", "r2", "r3")]
    store.commit(Changes(versions=[version()], new_runs=runs, new_executions=executions), "c1")
    store.commit(Changes(retired_executions=["b"]), "c2")
    assert rig.queries().progress(["r1", "r2"]) == {"r1": {"SUCCESS": 1, "RUNNING": 1}, "r2": {"PENDING": 1}}
    assert rig.queries().progress([]) == {}


def test_what_ended_is_counted_by_when_it_ended(rig: Rig) -> None:
    store = rig.writer()
    ends = [(0, RunState.SUCCESS), (59, RunState.FAILED), (60, RunState.SUCCESS), (179, RunState.SUCCESS)]
    ends += [(-1, RunState.SUCCESS), (180, RunState.FAILED)]
    runs = [
        run(f"r{n}", state=state, triggered_at=at(-100), completed_at=at(second))
        for n, (second, state) in enumerate(ends)
    ]
    runs.append(run("old", state=RunState.FAILED, triggered_at=at(-100_000), completed_at=at(5)))
    runs.append(run("alive", state=RunState.RUNNING, triggered_at=at(1)))
    store.commit(Changes(versions=[version()], new_runs=runs), "c1")
    assert rig.queries().activity(T0, 60, 3) == {"SUCCESS": [1, 1, 1], "FAILED": [1, 0, 0]}


@pytest.mark.parametrize(("earlier", "trend"), [(4, None), (5, 1.5)])
def test_a_trend_needs_something_to_compare_with(rig: Rig, earlier: int, trend: float | None) -> None:
    store = rig.writer()
    runs = [
        run(
            f"r{n}",
            state=RunState.SUCCESS,
            triggered_at=at(n * 100),
            started_at=at(n * 100),
            completed_at=at(n * 100 + (20 if n < earlier else 30)),
        )
        for n in range(earlier + 10)
    ]
    store.commit(Changes(versions=[version()], new_runs=runs), "c1")
    assert rig.queries().statistics("orders").trend == trend
