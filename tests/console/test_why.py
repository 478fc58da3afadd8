"""Why as a view: what holds it or what it failed of, live, and every line to do something about it does it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from textual.pilot import Pilot

from console.app import Console
from console.place import Place
from console.present.why import deeds, told
from console.screens.editing import EditForm
from console.screens.letter import LetterView
from console.screens.why import WhyView
from console.session import Session
from console.theme import Look
from console.widgets.dialog import Buttons
from console.widgets.preview import PreviewDialog
from engine.client.values import Action, Explanation
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, lines, play, press, session_of, text, typed, until

_CONTROL = {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)]} | {"\u202e"}
AT = datetime(2026, 11, 19, 14, 0, tzinfo=UTC)


def session(keeper: HostKeeper, **more: Any) -> Session:
    return session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root, **more)


async def reasoned(pilot: Pilot[int], app: Console) -> WhyView:
    await until(pilot, lambda: isinstance(app.view, WhyView) and app.view.found is not None)
    assert isinstance(app.view, WhyView)
    return app.view


async def to_deed(pilot: Pilot[int], view: WhyView, verb: str) -> None:
    """The cursor on the first line that does this."""
    rows = view.table.rows
    line = next(i for i in range(len(rows)) if rows.at(i).verb == verb)
    await press(pilot, "home", *["down"] * line)
    assert view.table.selected is not None
    assert view.table.selected.verb == verb


async def choose(pilot: Pilot[int], app: Console, name: str) -> None:
    """A button of the preview."""
    await until(pilot, lambda: isinstance(app.screen, PreviewDialog) and not app.screen.guarded)
    while app.screen.query_one(Buttons).current != name:
        await press(pilot, "right")
    await press(pilot, "enter")


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_a_failure_is_explained_and_retried_from_the_reason(keeper: HostKeeper, size: tuple[int, int]) -> None:
    """CON-03: the failed task is named with its class; Enter on `run it again` opens the same preview as `r`."""
    run_id = keeper.run("shop")
    (keeper.workspace.settings.root / "fixed").touch()
    keeper.start()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = await reasoned(pilot, app)
        shown = text(app)
        assert "classified as LogicError" in shown and "bad" in shown and "since" in shown
        assert not any(char in _CONTROL for line in lines(app) for char in line)
        await to_deed(pilot, view, "retry")
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog) and "after" in text(app))
        await choose(pilot, app, "chosen")
        await until(pilot, lambda: "SUCCESS" in text(app))  # it is told anew by itself
        await until(pilot, lambda: view.found is not None and view.found.state == "SUCCESS")

    play(session(keeper), scene, size=size, start=Place("why", run_id))
    assert keeper.workspace.client.run(run_id).state.value == "SUCCESS"


def test_each_line_leads_where_its_command_would(keeper: HostKeeper) -> None:
    run_id = keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = await reasoned(pilot, app)
        await to_deed(pilot, view, "logs")
        await press(pilot, "enter")
        assert app.history.here == Place("logs", f"{run_id} bad")
        await press(pilot, "backspace")
        await to_deed(pilot, view, "dlq show")
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.view, LetterView) and app.view.detail is not None)
        await press(pilot, "backspace")
        await to_deed(pilot, view, "dlq requeue")
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, EditForm))
        await press(pilot, "escape")
        await to_deed(pilot, view, "show")
        await press(pilot, "enter")
        assert app.history.here == Place("run", run_id)
        await press(pilot, "backspace", "g")
        assert app.history.here.view == "run"

    play(session(keeper), scene, start=Place("why", run_id))


def test_a_mark_asks_why_and_an_action_key_works_on_the_cause(keeper: HostKeeper) -> None:
    run_id = keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = await reasoned(pilot, app)
        await press(pilot, "m")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog) and "Mark bad" in text(app))
        await press(pilot, "escape")
        await to_deed(pilot, view, "mark")
        await press(pilot, "enter")
        await choose(pilot, app, "success")
        await until(pilot, lambda: "Say why" in text(app))
        await typed(pilot, "checked")
        await press(pilot, "enter")
        await choose(pilot, app, "success")
        queries = keeper.workspace.client.queries
        await until(pilot, lambda: any(each.mark_reason == "checked" for each in queries.executions(run_id)))

    play(session(keeper), scene, start=Place("why", f"{run_id} bad"))


def test_what_runs_and_waits_is_told_live(keeper: HostKeeper) -> None:
    """A waiting task names its holder; when that ends the view says so without a key."""
    keeper.start()
    run_id = keeper.trigger("slow")
    queries = keeper.workspace.client.queries

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: queries.live())
        app.go(Place("why", f"{run_id} then"))
        view = await reasoned(pilot, app)
        await until(pilot, lambda: "held by" in text(app) and "wait" in text(app))
        assert view.crumbs[-1] == "Why"
        await to_deed(pilot, view, "why")
        await press(pilot, "enter")
        await until(pilot, lambda: app.history.here.argument == f"{run_id} wait")
        await press(pilot, "backspace")
        (keeper.workspace.settings.root / "go").touch()
        await until(pilot, lambda: view.found is not None and view.found.state == "SUCCESS")
        assert "Nothing needs to be done" in text(app) or len(view.table.rows)

    play(session(keeper), scene, start=Place("runs"))


def test_a_read_only_console_reads_the_reason_and_does_nothing_about_it(keeper: HostKeeper) -> None:
    run_id = keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = await reasoned(pilot, app)
        await to_deed(pilot, view, "retry")
        await press(pilot, "enter")
        await until(pilot, lambda: "read-only" in text(app))
        assert len(app.screen_stack) == 1

    play(session(keeper, read_only=True), scene, start=Place("why", run_id))


def test_no_engine_is_said_first_and_starting_one_is_a_line(keeper: HostKeeper) -> None:
    run_id = keeper.trigger("slow")
    keeper.apply()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = await reasoned(pilot, app)
        assert view.found is not None
        assert view.found.code == "NO_ENGINE"
        await to_deed(pilot, view, "engine")
        await press(pilot, "enter")
        await until(pilot, lambda: keeper.leader() is not None)
        await until(pilot, lambda: view.found is not None and view.found.code != "NO_ENGINE")

    play(session(keeper), scene, start=Place("why", run_id))


# ---- values


def test_commands_are_read_as_whoever_typed_them_would_mean_them() -> None:
    actions = (
        Action(label="a", command="penstock logs r1 'load[3]' --attempt 2"),
        Action(label="b", command="penstock mark r1 load success --reason '<why>'"),
        Action(label="c", command="penstock dlq requeue l1 --set config.<key>=<value>"),
        Action(label="d", command="penstock connections test db"),
        Action(label="e", command="penstock show r1 --history"),
        Action(label="f", command="penstock why 'broken"),
        Action(label="g", command="penstock show r1 --history"),
    )
    found = Explanation(run_id="r1", state="FAILED", code="FAILED", sentence="It failed.", actions=actions)
    assert [(each.verb, each.names) for each in deeds(found)] == [
        ("logs", ("r1", "load[3]")),
        ("mark", ("r1", "load", "success")),
        ("dlq requeue", ("l1",)),
        ("connections test", ("db",)),
        ("show", ("r1",)),
        ("", ()),
    ]


def test_causes_come_with_their_tasks_and_times_move() -> None:
    cause = Explanation(
        run_id="r1", task_id="load", map_index=3, state="QUEUED", code="POOL_FULL", sentence="Its pool is full.",
        holders=("r2/other",), since=AT, expected=AT + timedelta(minutes=5), details=("\x1b[31mred",),
    )  # fmt: skip
    found = Explanation(run_id="r1", state="RUNNING", code="RUNNING", sentence="Under way.", causes=(cause,))

    def shown(now: datetime, one: Explanation = found) -> str:
        return "\n".join("".join(each.text for each in line) for line in told(one, now, Look()))

    said = shown(AT + timedelta(minutes=2))
    assert "load[3]" in said and "POOL_FULL" in said and "r2/other" in said
    assert "2 min ago" in said and "until" in said and "in 3 min" in said and "\x1b" not in said
    ended = replace(found, causes=(replace(cause, state="FAILED"),))
    assert "held by" not in shown(AT, ended)
