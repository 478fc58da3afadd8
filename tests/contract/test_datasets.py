"""Datasets through the facade: what is declared, and what the last runs of its writers did."""

from __future__ import annotations

from typing import Any

import pytest

from engine.client.datasets import Datasets
from engine.model.errors import NotFound
from engine.model.pipeline import Pipeline, Task
from engine.model.run import RunState, TaskState
from engine.ports.store import Changes
from tests.contract.store_records import Rig, at, run, task, version


class Declared:
    """A catalog of fixed definitions."""

    def __init__(self, *pipelines: Pipeline) -> None:
        self._pipelines = {each.id: each for each in pipelines}

    def ids(self) -> list[str]:
        return sorted(self._pipelines)

    def get(self, pipeline_id: str) -> Pipeline:
        return self._pipelines[pipeline_id]


def catalog() -> Any:
    made = Task(id="load", name="load", type="shell", config={}, inputs=("raw",), outputs=("mart",))
    return Declared(Pipeline(id="orders", name="orders", tasks=(made,)))


def filled(rig: Rig) -> Any:
    store = rig.writer()
    runs = [run(f"r{n}", triggered_at=at(n), state=RunState.SUCCESS) for n in range(5)]
    states = [TaskState.SUCCESS, TaskState.SUCCESS, TaskState.SUCCESS, TaskState.FAILED, TaskState.QUEUED]
    made = [
        task(
            f"x{n}", f"r{n}", task_id="load", state=state, metrics={"rows": 10.0 * n},
            started_at=at(n) if state.terminal else None, completed_at=at(n + 1) if state.terminal else None,
        )
        for n, state in enumerate(states)
    ]  # fmt: skip
    other = task("y", "r4", task_id="tell", state=TaskState.SUCCESS, started_at=at(9), completed_at=at(9))
    store.commit(Changes(versions=[version()], new_runs=runs, new_executions=[*made, other]), "fill")
    return rig.queries()


def test_recent_executions_are_those_of_the_last_runs_newest_first(rig: Rig) -> None:
    queries = filled(rig)
    found = queries.recent_executions("orders", ["load"], runs=3)
    assert [each.execution_id for each in found] == ["x4", "x3", "x2"]
    assert [each.execution_id for each in queries.recent_executions("orders", ["load"], limit=2)] == ["x4", "x3"]
    assert list(queries.recent_executions("orders", [])) == []
    assert list(queries.recent_executions("nobody", ["load"])) == []


def test_a_dataset_knows_who_wrote_it_last_and_what_became_of_the_newest_try(rig: Rig) -> None:
    """LIN-13: last written by which run, and its rows as the task reported them."""
    queries = filled(rig)
    by_name = {each.name: each for each in Datasets(catalog(), queries).all()}
    mart = by_name["mart"]
    assert mart.last is not None and mart.newest is not None
    assert (mart.last.run_id, mart.last.rows, mart.last.completed_at) == ("r2", 20, at(3))
    assert (mart.newest.run_id, mart.newest.state) == ("r3", TaskState.FAILED)
    assert by_name["raw"].last is None and not by_name["raw"].writers


def test_lineage_and_writes_of_one_dataset(rig: Rig) -> None:
    queries = filled(rig)
    found = Datasets(catalog(), queries).lineage("raw")
    assert [each.name for each in found.downstream] == ["mart"] and not found.upstream
    assert found.affected == ["orders"] and found.datasets["mart"].last is not None
    assert [each.run_id for each in Datasets(catalog(), queries).writes("mart", runs=3)] == ["r3", "r2"]
    with pytest.raises(NotFound, match="Did you mean 'mart'"):
        Datasets(catalog(), queries).lineage("marts")


def test_without_state_datasets_are_what_is_declared(rig: Rig) -> None:
    assert [(each.name, each.last) for each in Datasets(catalog(), rig.queries()).all()] == [
        ("mart", None),
        ("raw", None),
    ]
