"""A past run played back: every place on the tape shows what was so at that time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from console.app import Console
from console.place import Place
from console.present.replay import Tape, timeline
from console.screens.replay import ReplayView
from console.theme import Look
from engine.model.run import RunState, TaskEvent, TaskExecution, TaskState, Transition
from tests.console import still
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, play, press, session_of, text, until
from tests.console.still import NOW

START = NOW - timedelta(minutes=5)


def made(task_id: str, at: float = 0, index: int | None = None, sequence: int = 0) -> TaskExecution:
    return TaskExecution(
        execution_id=f"{task_id}-{index}-{sequence}", run_id="r", pipeline_id="p", task_id=task_id, map_index=index,
        sequence=sequence, created_at=START + timedelta(seconds=at),
    )  # fmt: skip


def move(execution: TaskExecution, at: float, to: TaskState) -> Transition:
    return Transition(
        run_id="r", execution_id=execution.execution_id, task_id=execution.task_id, map_index=execution.map_index,
        from_state=TaskState.PENDING, to_state=to, event=TaskEvent.EXECUTION_STARTED,
        at=START + timedelta(seconds=at), attempt=1,
    )  # fmt: skip


def tape(executions: list[TaskExecution], moves: list[Transition]) -> Tape:
    run = still.run(1, triggered_at=START, state=RunState.SUCCESS, completed_at=START + timedelta(seconds=100))
    return Tape(run, executions, moves)


def test_a_task_that_was_retried_by_hand_fails_before_it_succeeds_and_again_when_wound_back() -> None:
    """VIS-05: state changes over time, in both directions."""
    first, second = made("load"), made("load", 50, sequence=1)
    played = tape(
        [first, second],
        [
            move(first, 10, TaskState.RUNNING),
            move(first, 20, TaskState.FAILED),
            move(second, 60, TaskState.RUNNING),
            move(second, 70, TaskState.SUCCESS),
        ],
    )
    seen = [played.states["load", None]]
    for _ in range(5):
        played.step(1)
        seen.append(played.states["load", None])
    assert seen == ["PENDING", "RUNNING", "FAILED", "PENDING", "RUNNING", "SUCCESS"]
    back = []
    for _ in range(5):
        played.step(-1)
        back.append(played.states["load", None])
    assert back == seen[-2::-1]


def test_items_replace_the_task_that_stood_for_them() -> None:
    whole, items = made("load"), [made("load", 30, i) for i in range(3)]
    played = tape([whole, *items], [move(whole, 10, TaskState.QUEUED), move(items[0], 40, TaskState.RUNNING)])
    played.wind(played.start + 20)
    assert dict(played.states) == {("load", None): "QUEUED"}
    played.wind(played.start + 45)
    assert sorted(played.states) == [("load", 0), ("load", 1), ("load", 2)]
    assert played.running() == ["load[0]"] and played.overlays()["load"].suffix == "0/3"
    played.wind(played.start + 20)
    assert dict(played.states) == {("load", None): "QUEUED"}


MOVES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90), st.sampled_from(list(TaskState))), max_size=40)


@given(moves=MOVES, places=st.lists(st.floats(-10, 120), max_size=12), width=st.integers(1, 120))
def test_a_place_shows_the_same_from_wherever_it_was_reached(
    moves: list[tuple[int, int, TaskState]], places: list[float], width: int
) -> None:
    executions = [made(f"t{i}") for i in range(4)]
    changes = [move(executions[i], at, to) for i, at, to in sorted(moves, key=lambda each: each[1])]
    wandering = tape(executions, changes)
    for at in places:
        wandering.wind(wandering.start + at)
        fresh = tape(executions, changes)
        fresh.wind(fresh.start + at)
        assert wandering.states == fresh.states and wandering.last == fresh.last
        text, here = timeline(wandering, width, Look())
        assert len(text) == width and 0 <= here < width


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_it_is_scrubbed_played_and_left(size: tuple[int, int]) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, ReplayView)
        await until(pilot, lambda: view.tape is not None and view.quiet)
        assert view.tape is not None and view.tape.now == view.tape.start and "paused" in text(app)
        await press(pilot, "right")
        assert view.tape.now > view.tape.start
        await press(pilot, "left")
        assert view.tape.now == view.tape.start
        await press(pilot, "space")  # at the speed of life, so that it is seen to play however busy the machine is
        assert view.playing
        await press(pilot, *"++++++++")
        await until(pilot, lambda: not view.playing)
        assert "at its end" in text(app)
        await press(pilot, "home", "space", "enter")
        assert app.view.NAME == "run"

    play(session_of(still.client), scene, size=size, start=Place("replay", "orders_daily__000000"))


def test_a_real_run_ends_on_the_tape_as_it_ended_and_its_log_comes_in_step(keeper: HostKeeper) -> None:
    """VIS-05: states, slots and logs of a run that really ran."""
    run_id = keeper.run("shop")
    executions = keeper.workspace.client.queries.executions(run_id)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, ReplayView)
        await until(pilot, lambda: view.tape is not None and view.quiet)
        tape = view.tape
        assert tape is not None and max(tape.load(60)) >= 1
        assert "line 3" not in text(app)
        await press(pilot, "end")
        assert dict(tape.states) == {(each.task_id, None): each.state.value for each in executions}
        await until(pilot, lambda: "line 3" in text(app))
        assert "\x1b" not in text(app) and "\u202e" not in text(app)
        await press(pilot, "home")
        await until(pilot, lambda: "line 3" not in text(app))

    play(session_of(keeper.open_client, keeper), scene, start=Place("replay", run_id))
