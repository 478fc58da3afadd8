"""Two runs compared, and a run made again with other parameters."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from console.app import Console
from console.place import Place
from console.present.diff import Side, diff_rows
from console.screens.diff import DiffView
from console.screens.runs import RunsView
from console.widgets.form import Form
from engine.model.run import RunState, TaskExecution, TaskState
from tests.console import still
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, play, press, session_of, text, typed, until
from tests.console.still import NOW


def side(*executions: TaskExecution, document: Any = None, **run: Any) -> Side:
    return Side(run=still.run(1, **run), executions=executions, document=document or {})


def unlike(left: Side, right: Side) -> dict[tuple[str, str], tuple[str, str]]:
    return {(row.what, row.name): (row.left, row.right) for row in diff_rows(left, right) if not row.same}


def ran(seconds: float, **more: Any) -> TaskExecution:
    given: dict[str, Any] = {"state": TaskState.SUCCESS, "completed_at": NOW + timedelta(seconds=seconds), **more}
    return still.execution("load", started_at=NOW, **given)


def test_runs_that_are_alike_have_no_difference() -> None:
    one = side(ran(10), parameters={"day": 1})
    assert unlike(one, one) == {}
    assert unlike(one, side(ran(10.5), parameters={"day": 1})) == {}


def test_states_durations_parameters_outputs_and_metrics_are_compared() -> None:
    left = side(ran(10, outputs={"file": "a"}, metrics={"rows": 5.0}), parameters={"day": 1, "old": True})
    right = side(
        ran(30, state=TaskState.FAILED, outputs={"file": "b"}, metrics={"rows": 7.0}),
        parameters={"day": 2},
        state=RunState.FAILED,
    )
    found = unlike(left, right)
    assert found["tasks", "load"] == ("SUCCESS", "FAILED")
    assert found["tasks", "load took"] == ("10 s", "30 s (3.0x)")
    assert found["parameters", "day"] == ("1", "2")
    assert found["parameters", "old"] == ("true", "(none)")
    assert found["outputs", "load.file"] == ("a", "b")
    assert found["metrics", "load.rows"] == ("5.0", "7.0")
    assert found["run", "state"] == ("SUCCESS", "FAILED")


def test_what_is_measured_differs_only_when_somebody_would_notice() -> None:
    left = side(ran(10, metrics={"cpu_seconds": 0.2, "memory_usage_mb": 26.0}))
    right = side(ran(10, metrics={"cpu_seconds": 0.9, "memory_usage_mb": 260.0}))
    assert list(unlike(left, right)) == [("metrics", "load.memory_usage_mb")]


def test_a_definition_is_compared_by_what_changed_and_a_task_that_moved_is_the_same_task() -> None:
    first = {"tasks": [{"id": "a", "config": {"command": "x"}}, {"id": "b"}], "tags": []}
    second = {"tasks": [{"id": "b"}, {"id": "a", "config": {"command": "y"}}, {"id": "c"}], "tags": []}
    found = unlike(side(document=first), side(document=second))
    assert found == {
        ("definition", "tasks[a].config.command"): ("x", "y"),
        ("definition", "tasks[c].id"): ("(none)", "c"),
    }


def test_a_task_that_only_one_run_has_is_told() -> None:
    found = unlike(side(ran(1)), side(replace(ran(1), task_id="other")))
    assert found["tasks", "load"] == ("SUCCESS", "(none)") and found["tasks", "other"] == ("(none)", "SUCCESS")


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_two_marked_runs_are_compared_and_again_asks_for_the_parameters(
    keeper: HostKeeper, size: tuple[int, int]
) -> None:
    """CON: diff of two runs; rerun with changed parameters, through the engine."""
    first, second = keeper.run("shop"), keeper.run("shop")
    keeper.start()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        runs = app.view
        assert isinstance(runs, RunsView)
        await until(pilot, lambda: len(runs.table.rows) == 2)
        await press(pilot, "home", "space", "space", "=")
        view = app.view
        assert isinstance(view, DiffView)
        await until(pilot, lambda: first in text(app) or "logical date" in text(app))
        assert set(view.place.argument.split()) == {first, second}
        await press(pilot, "a")
        assert "region" in text(app) or len(view.table.rows) > 8
        assert "\x1b" not in text(app) and "\u202e" not in text(app)
        await press(pilot, "escape", "escape")
        await until(pilot, lambda: app.view is runs)
        await press(pilot, "a")
        await until(pilot, lambda: isinstance(app.screen, Form))
        field = app.screen.query_one("#field-0", Input)
        assert field.value == "north"
        field.value = "south"
        await until(pilot, lambda: not app.screen.guarded)  # type: ignore[attr-defined]  # it is the form
        app.screen.query_one("#buttons").focus()
        await press(pilot, "right", "enter")
        await until(pilot, lambda: app.view.NAME == "run")
        made = keeper.workspace.client.run(app.view.run_argument.split()[0])
        assert made.parameters == {"region": "south"} and made.run_id not in (first, second)
        await until(pilot, lambda: keeper.workspace.client.run(made.run_id).state.terminal)

    play(session_of(keeper.open_client, keeper), scene, size=size, start=Place("runs"))


@pytest.mark.parametrize("line", ["diff", "lineage", "data", "replay last"])
def test_views_are_gone_to_by_typing_their_name(keeper: HostKeeper, line: str) -> None:
    keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, ":")
        await typed(pilot, line)
        await press(pilot, "enter")
        await until(pilot, lambda: app.view.place.view == line.split()[0] and app.view.shown and app.view.quiet)
        assert app.focused is not None and app.view in app.focused.ancestors_with_self

    play(session_of(keeper.open_client, keeper), scene, start=Place("runs"))


def test_a_run_alone_is_compared_with_the_one_before_and_the_first_one_with_none(keeper: HostKeeper) -> None:
    first, second = keeper.run("shop"), keeper.run("shop")

    async def before(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, DiffView)
        await until(pilot, lambda: view.run_argument.startswith(second))

    async def none(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "No run of 'shop' was before" in text(app))

    play(session_of(keeper.open_client, keeper), before, start=Place("diff", second))
    play(session_of(keeper.open_client, keeper), none, start=Place("diff", first))
