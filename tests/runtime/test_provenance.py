"""What is noted of an outcome: names, bounds, and watermarks that never go back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from engine.model.dataset import DatasetTouch, Direction, Strategy, Watermark, WatermarkMove
from engine.model.pipeline import Pipeline, Task
from engine.model.run import Outcome, RunState, TaskState
from engine.ports.store import Changes
from engine.rules.datasets import NAME_BYTES, bounded
from engine.rules.graph import build_graph
from engine.rules.snapshot import RunSnapshot
from engine.runtime import provenance
from tests.contract.store_records import T0, run, task

READ, WRITE = Direction.READ, Direction.WRITE


def of(name: str, *after: str, reads: tuple[str, ...] = (), writes: tuple[str, ...] = (), **config: Any) -> Task:
    return Task(id=name, name=name, type="load", config=config, dependencies=after, inputs=reads, outputs=writes)


def touch(direction: Direction, dataset: str) -> DatasetTouch:
    return DatasetTouch(direction=direction, dataset=dataset)


def move(number: int, **fields: Any) -> WatermarkMove:
    base: dict[str, Any] = {"producer": "extract", "source": "s", "column": "id", "strategy": Strategy.ID}
    return WatermarkMove(**(base | {"value": {"type": "integer", "value": number}} | fields))


class Scene:
    """One success of the last task, on a desk that holds only what provenance looks at."""

    def __init__(self, *tasks: Task, stored: tuple[Watermark, ...] = (), map_index: int | None = None) -> None:
        pipeline = Pipeline(id="orders", name="orders", tasks=tasks)
        rows = [
            task(f"e-{each.id}", task_id=each.id, state=TaskState.SUCCESS, map_index=map_index) for each in tasks
        ]
        snapshot = RunSnapshot(run(state=RunState.RUNNING), pipeline, build_graph(pipeline.dependencies()), rows)
        self.key = (tasks[-1].id, map_index)
        self.changes = Changes()
        store = SimpleNamespace(watermarks=lambda _pipeline, _profile: list(stored))
        self.desk: Any = SimpleNamespace(
            now=T0, tools=SimpleNamespace(store=store), batch=SimpleNamespace(changes=self.changes)
        )
        self.draft: Any = SimpleNamespace(base=snapshot, get=lambda key: snapshot.executions[key])
        self.live: Any = SimpleNamespace(key=self.key, attempt=SimpleNamespace(number=1))

    def note(
        self, *touches: DatasetTouch, moves: tuple[WatermarkMove, ...] = (), result: Any = "success"
    ) -> Changes:
        outcome = Outcome(result=result, touches=touches, moves=moves)
        provenance.note(self.desk, self.draft, self.live, outcome)
        return self.changes

    def names(self, *touches: DatasetTouch) -> set[tuple[str, str]]:
        return {(each.touch.direction.value, each.touch.dataset) for each in self.note(*touches).touches}


@pytest.mark.parametrize(
    ("tasks", "named"),
    [
        ((of("load"),), {("read", "db:a"), ("write", "db:b")}),
        ((of("load", reads=("raw",), writes=("mart",)),), {("read", "raw"), ("write", "mart")}),
        ((of("load", reads=("raw", "more")),), {("read", "db:a"), ("write", "db:b")}),
        ((of("x", reads=("raw",)), of("load", "x")), {("read", "raw"), ("write", "db:b")}),
        (
            (of("x", reads=("raw",)), of("y", reads=("no",)), of("load", "x", "y")),
            {("read", "db:a"), ("write", "db:b")},
        ),
        (
            (of("x", reads=("raw",)), of("y", reads=("no",)), of("load", "x", "y", source="x")),
            {("read", "raw"), ("write", "db:b")},
        ),
        (
            (of("x", reads=("raw",)), of("load", "x", source={"connection": "db"})),
            {("read", "db:a"), ("write", "db:b")},
        ),
    ],
)
def test_a_declared_name_is_taken_where_there_is_just_one(
    tasks: tuple[Task, ...], named: set[tuple[str, str]]
) -> None:
    assert Scene(*tasks).names(touch(READ, "db:a"), touch(WRITE, "db:b")) == named


def test_two_touches_of_a_direction_keep_their_own_names() -> None:
    scene = Scene(of("load", reads=("raw",)))
    assert scene.names(touch(READ, "db:a"), touch(READ, "db:b")) == {("read", "db:a"), ("read", "db:b")}


def test_what_is_noted_is_bounded_and_what_was_written_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "MOST_TOUCHES", 3)
    scene = Scene(of("load"))
    found = scene.names(*(touch(READ, f"r{n}") for n in range(9)), touch(WRITE, "w"))
    assert found == {("write", "w"), ("read", "r0"), ("read", "r1")}
    long = bounded("é" * 5_000)
    assert len(long.encode()) <= NAME_BYTES and long != bounded("é" * 4_999)
    assert bounded("\ud800" * 900) and bounded("short") == "short"


@pytest.mark.parametrize("result", ["skipped", "failed", "not_yet"])
def test_nothing_is_noted_of_what_is_no_success(result: str) -> None:
    changes = Scene(of("load")).note(touch(WRITE, "b"), moves=(move(1),), result=result)
    assert not changes


def test_a_task_that_did_not_become_a_success_has_moved_nothing() -> None:
    """A load that ended well after it was cancelled: its retry finds the load token and reports then."""
    scene = Scene(of("load"))
    cancelled = replace(scene.draft.get(scene.key), state=TaskState.CANCELLED)
    scene.draft.get = lambda _key: cancelled
    assert not scene.note(touch(WRITE, "b"), moves=(move(1),))


def mark(value: Any, **fields: Any) -> Watermark:
    base: dict[str, Any] = {"pipeline_id": "orders", "producer": "extract", "source": "s", "consumer": "load"}
    at = T0 - timedelta(days=1)
    times = {"strategy": Strategy.ID, "created_at": at, "updated_at": at}
    return Watermark(**(base | times | {"value": value and {"type": "integer", "value": value}} | fields))


@pytest.mark.parametrize(
    ("stored", "moved", "index", "after"),
    [
        ((), move(5), None, [5]),
        ((mark(4),), move(5), None, [5]),
        ((mark(5),), move(5), None, [5]),
        ((mark(9),), move(5), None, []),  # a run that overlapped has read further
        ((mark(9, resets=1),), move(5, resets=1), None, []),
        ((mark(9),), move(5, resets=1), None, [5]),  # after a reset
        ((mark(None),), move(5), None, [5]),
        ((mark(9, consumer="other"),), move(5), None, [5]),
        ((mark(9),), move(0, value={"type": "string", "value": "k"}), None, ["k"]),
        ((mark(9, strategy=Strategy.CDC),), move(5, strategy=Strategy.CDC), None, [5]),  # an order of its own
        ((mark(9),), move(5), 3, [5]),  # items of a mapped task read apart
    ],
)
def test_a_watermark_of_a_run_that_overlapped_does_not_go_back(
    stored: tuple[Watermark, ...], moved: WatermarkMove, index: int | None, after: list[Any]
) -> None:
    """INC-04: never behind the data."""
    changes = Scene(of("load"), stored=stored, map_index=index).note(moves=(moved,))
    assert [each.value["value"] for each in changes.watermarks] == after
    assert {(each.consumer, each.producer) for each in changes.watermarks} <= {("load", "extract")}


def test_moves_that_are_not_committed_yet_stand_already() -> None:
    """The next run may be admitted in the very turn that ends this one."""
    scene = Scene(of("load"), stored=(mark(4), mark(7, source="t"), mark(1, resets=2, source="u")))
    scene.note(moves=(move(5), move(9, source="u")))
    standing = provenance.standing(scene.desk, "orders", None)
    assert {each.source: each.value["value"] for each in standing} == {"s": 5, "t": 7, "u": 1}
    assert provenance.standing(scene.desk, "orders", "pg") == [
        mark(4),
        mark(7, source="t"),
        mark(1, resets=2, source="u"),
    ]
