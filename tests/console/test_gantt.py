"""The chart over time: what a bar says, how the scale moves, and the cursor it shares with the graph."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from console.app import Console
from console.place import Place
from console.present import gantt as present
from console.present.gantt import GanttRow, Piece, Scale
from console.present.rundetail import RunDetail
from console.screens.run import RunView
from console.theme import Look
from engine.layout.cells import cell_width
from engine.model.run import Attempt, AttemptState, RunState, TaskState
from tests.console import still
from tests.console.stage import NARROW, WIDE, play, press, session_of, text, until
from tests.console.still import NOW

ASCII = Look(plain=True)
START = NOW - timedelta(seconds=100)


def tried(number: int, begin: float, end: float | None, state: AttemptState, execution: str = "x-load") -> Attempt:
    return Attempt(
        token=f"{execution}-{number}", execution_id=execution, run_id="r", task_id="load", map_index=None,
        number=number, epoch=1, state=state, submitted_at=START + timedelta(seconds=begin),
        started_at=START + timedelta(seconds=begin),
        completed_at=None if end is None else START + timedelta(seconds=end),
    )  # fmt: skip


def kinds(pieces: tuple[Piece, ...]) -> list[tuple[str, float, float | None]]:
    base = START.timestamp()
    return [(each.kind, each.start - base, None if each.end is None else each.end - base) for each in pieces]


def row(*pieces: Piece, critical: bool = False) -> GanttRow:
    return GanttRow("load", "load", 0, "SUCCESS", critical, pieces, None, None, ({}, None))


def test_a_bar_tells_queueing_failing_waiting_and_trying_again_apart() -> None:
    execution = still.execution(
        "load", state=TaskState.RUNNING, queued_at=START, completed_at=None, execution_id="x-load"
    )
    attempts = [tried(1, 20, 40, AttemptState.FAILED), tried(2, 60, None, AttemptState.RUNNING)]
    found = present.pieces(execution, attempts)
    assert kinds(found) == [("wait", 0, 20), ("failed", 20, 40), ("retry", 40, 60), ("run", 60, None)]
    along = Scale(START.timestamp(), START.timestamp() + 120)
    bar = present.bar(row(*found), along, 12, NOW, ASCII, live=True)
    assert bar == "..xx~~====| "
    assert present.bar(row(*found, critical=True), along, 12, NOW, ASCII, live=True) == "..xx~~####| "


def test_tries_of_an_execution_that_a_retry_replaced_stand_where_they_were() -> None:
    execution = still.execution(
        "load", execution_id="new", queued_at=START + timedelta(seconds=70), state=TaskState.SUCCESS
    )
    attempts = [
        tried(1, 0, 30, AttemptState.FAILED, "old"),
        tried(1, 80, 90, AttemptState.SUCCESS, "new"),
    ]
    assert kinds(present.pieces(execution, attempts)) == [("failed", 0, 30), ("wait", 70, 80), ("run", 80, 90)]


def test_what_waits_for_its_next_try_is_still_waiting() -> None:
    execution = still.execution(
        "load", state=TaskState.RETRYING, execution_id="x-load", queued_at=START, completed_at=None
    )
    found = present.pieces(execution, [tried(1, 0, 30, AttemptState.FAILED)])
    assert kinds(found) == [("failed", 0, 30), ("retry", 30, None)]


def test_a_task_that_is_another_run_has_a_bar_though_it_has_no_attempt() -> None:
    execution = still.execution(
        "load", state=TaskState.SUCCESS, queued_at=START, started_at=START + timedelta(seconds=5),
        completed_at=START + timedelta(seconds=9),
    )  # fmt: skip
    assert kinds(present.pieces(execution, [])) == [("wait", 0, 5), ("run", 5, 9)]


def detail(**run: Any) -> RunDetail:
    made = still.run(0, started_at=START, **run)
    return RunDetail(run=made, executions=[], verdicts={}, attempts=[])


def test_the_scale_of_a_live_run_moves_in_jumps_and_that_of_an_ended_one_not_at_all() -> None:
    live = detail(state=RunState.RUNNING, completed_at=None)
    first = present.scale([], live, NOW)
    assert first.end > NOW.timestamp()
    assert present.scale([], live, NOW + timedelta(seconds=20), first) == first
    assert present.scale([], live, NOW + timedelta(seconds=60), first).end > first.end
    ended = detail(state=RunState.SUCCESS, completed_at=NOW)
    assert present.scale([], ended, NOW + timedelta(days=1)).end == NOW.timestamp()


@given(
    width=st.integers(0, 200),
    seconds=st.floats(0.5, 1e7),
    spans=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=8),
    plain=st.booleans(),
    live=st.booleans(),
)
def test_bars_and_axis_fill_exactly_their_width(
    width: int, seconds: float, spans: list[tuple[float, float]], plain: bool, live: bool
) -> None:
    start = START.timestamp()
    along = Scale(start, start + seconds)
    pieces = [Piece("run", start + min(a, b) * seconds, start + max(a, b) * seconds) for a, b in spans]
    look = Look(plain=plain)
    bar = present.bar(row(*pieces), along, width, NOW, look, live=live)
    assert cell_width(bar) == width
    assert not pieces or not width or "=" in bar or "━" in bar
    assert len(present.axis(along, width)) == width
    assert "".join(each.text for each in present.painted(bar, "ok", look)) == bar


@pytest.mark.parametrize("size", [NARROW, WIDE])
@pytest.mark.parametrize("plain", [False, True])
def test_the_chart_is_a_form_of_the_run_and_shares_its_cursor(size: tuple[int, int], plain: bool) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, RunView)
        await until(pilot, lambda: view.detail is not None and view.graph.canvas is not None)
        view.graph.select("join_sales")
        await until(pilot, lambda: view.run_argument.endswith("join_sales"))
        await press(pilot, "b")
        selected = view.gantt.selected
        assert selected is not None and selected.task_id == "join_sales"
        shown = text(app)
        assert "on the critical path" in shown and "14:01:40" in shown
        assert ("####" if plain else "████") in shown
        await press(pilot, "down")
        assert view.run_argument.endswith(" " + view.gantt.selected.task_id)  # type: ignore[union-attr]  # there is a row
        await press(pilot, "space", "g")
        assert view.graph.current == "fact_sales"

    start = Place("run", "orders_daily__000000")
    play(session_of(still.client, look=Look(plain=plain)), scene, size=size, start=start)


def test_hostile_names_stay_in_their_cell() -> None:
    """CON: control characters and markup never reach the terminal."""
    queries = still.believable()
    evil = replace(queries.executions_[3], task_id="\x1b]0;x\x07[bold]\u202eevil")
    queries.executions_ = [evil, *queries.executions_[:3]]

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: app.view.quiet)
        await press(pilot, "b")
        shown = text(app)
        assert "\x1b" not in shown and "\u202e" not in shown and "evil" in shown

    play(session_of(lambda: still.client(queries)), scene, start=Place("run", "orders_daily__000000"))
