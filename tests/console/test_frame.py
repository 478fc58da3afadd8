"""The frame: signs that never lie, going by name, prompts, previews (CON-02, CON-03)."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key
from textual.pilot import Pilot

from console import feed
from console.app import Console
from console.everywhere import Everywhere
from console.messages import EngineTrouble, Signs, StoreTrouble
from console.place import History, Place
from console.present.cells import Cell
from console.present.vitals import vital_line
from console.state import State, reduce
from console.theme import Look
from console.widgets import dialog
from console.widgets.card import Card
from console.widgets.dialog import Buttons
from console.widgets.preview import Preview, PreviewDialog
from console.widgets.table import Table
from engine.model.errors import StoreUnusable
from tests.console import still
from tests.console.stage import NARROW, NoKeeper, lines, play, press, session_of, text, typed, until
from tests.console.still import LEASE, NOW

COUNTS = still.believable().counts()


def told(state: State, seconds: float = 1.0) -> str:
    line = vital_line(state, "shop", NOW + timedelta(seconds=seconds), Look())
    return "".join(cell.text for cell in line)


def test_the_top_line_says_what_was_read() -> None:
    state = reduce(State(), Signs(LEASE, COUNTS, 61, NOW))
    said = told(state)
    assert "engine leads" in said and "1 running" in said and "3 queued" in said
    assert "2 dead letters" in said and "disk 61 %" in said


def test_the_disk_is_as_full_as_those_find_it_who_may_not_use_the_reserve(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As `df` says it, and `penstock health`."""
    monkeypatch.setattr("shutil.disk_usage", lambda folder: shutil._ntuple_diskusage(1000, 270, 30))  # type: ignore[attr-defined]  # its type
    assert feed._percent(tmp_path) == 90


def test_the_top_line_claims_nothing_that_is_old_unread_or_not_led() -> None:
    assert "opening" in told(State())
    state = reduce(State(), Signs(LEASE, COUNTS, None, NOW))
    assert "not live" in told(state, 60) and "engine leads" not in told(state, 60)
    unreadable = told(reduce(state, StoreTrouble("disk error", NOW)))
    assert "unreadable, shown as of 14:02:30: disk error" in unreadable and "running" not in unreadable
    nobody = reduce(State(), Signs(None, COUNTS, None, NOW))
    assert "no engine leads, 2 runs stand still" in told(nobody)
    assert "no engine: no room" in told(reduce(nobody, EngineTrouble("no room")))


def test_on_a_narrow_terminal_it_still_says_that_nothing_can_be_changed() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "read-only" in lines(app)[0])

    play(session_of(still.client, NoKeeper(held=LEASE), read_only=True), scene)


def test_an_engine_of_one_run_is_not_taken_for_one_that_leads_everything() -> None:
    from dataclasses import replace

    state = reduce(State(), Signs(replace(LEASE, scope="run"), COUNTS, None, NOW))
    assert "engine of `penstock run` only" in told(state)


def test_history_goes_back_and_forward_and_forgets_what_lay_ahead() -> None:
    history = History(Place("runs"))
    history.go(Place("run", "a"))
    history.go(Place("logs", "a"))
    assert history.step(-1) == Place("run", "a")
    history.go(Place("run", "b"))
    assert history.step(1) is None
    assert [str(each) for each in history.trail] == ["runs", "run a", "run b"]


@pytest.mark.parametrize(("name", "view"), [("letters", "dlq"), ("dead", "dlq"), ("datasets", "data")])
def test_a_view_is_found_by_what_other_tools_call_it(name: str, view: str) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "colon")
        await typed(pilot, name)
        await press(pilot, "enter")
        await until(pilot, lambda: app.history.here.view == view)

    play(session_of(still.client), scene)


def test_a_wrong_name_says_what_is_near_and_keeps_the_line() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "colon")
        await typed(pilot, "rnus")
        await press(pilot, "enter")
        assert "nothing called 'rnus'" in text(app) and "'runs'" in text(app) and ":rnus" in text(app)
        await press(pilot, *["backspace"] * 4)
        await typed(pilot, "run nosuch")
        await press(pilot, "enter")
        await until(pilot, lambda: "There is no run 'nosuch'" in text(app))
        assert app.view.NAME == "runs" and ":run nosuch" in text(app)

    play(session_of(still.client), scene)


def test_tab_takes_the_suggestion_and_enter_what_is_typed() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "colon")
        await typed(pilot, "ru")
        await until(pilot, lambda: "run" in text(app))
        await press(pilot, "tab")
        await typed(pilot, " last")
        await press(pilot, "enter")
        await until(pilot, lambda: app.view.NAME in ("run", "runs") and app.history.here.argument != "")

    play(session_of(still.client), scene)


def test_a_view_without_an_argument_takes_the_selected_row() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "down", "down", "colon")
        await typed(pilot, "run")
        await press(pilot, "enter")
        await until(pilot, lambda: app.history.here == Place("run", "orders_daily__000002"))

    play(session_of(still.client), scene)


def test_esc_backspace_and_brackets_walk() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "enter")
        await until(pilot, lambda: app.view.NAME == "run")
        await press(pilot, "l")
        await until(pilot, lambda: app.view.NAME == "logs")
        await press(pilot, "backspace")
        assert app.view.NAME == "run"
        await press(pilot, "left_square_bracket")
        assert app.view.NAME == "runs"
        await press(pilot, "right_square_bracket", "right_square_bracket")
        assert app.view.NAME == "logs"
        await press(pilot, "escape", "escape")
        assert app.view.NAME == "runs"

    play(session_of(still.client), scene)


def test_help_tells_the_keys_of_where_one_was_and_runs_an_entry_there() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "question_mark")
        await until(pilot, lambda: "Run again what failed" in text(app))
        await press(pilot, "slash")
        await typed(pilot, "logs")
        await press(pilot, "enter")
        table: Any = app.view.query_one("Table")
        table.select("run.logs")
        await press(pilot, "enter")
        await until(pilot, lambda: app.view.NAME == "logs")

    play(session_of(still.client), scene)


def test_the_palette_finds_an_action_by_its_words() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "ctrl+p")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await typed(pilot, "tasks wrote")
        await until(pilot, lambda: not app.screen.guarded)  # type: ignore[attr-defined]  # a dialog
        await press(pilot, "enter")
        await until(pilot, lambda: app.view.NAME == "logs")

    play(session_of(still.client), scene)


def test_a_preview_focuses_cancel_and_no_key_that_opened_it_can_confirm_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        sent: list[str] = []
        app.send = lambda command, arguments, **more: sent.append(command)  # type: ignore[method-assign,assignment]
        await press(pilot, "down", "down", "r")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        assert app.screen.query_one(Buttons).has_focus and app.screen.query_one(Buttons).current == ""
        await press(pilot, "enter")
        assert not sent and len(app.screen_stack) == 1  # Enter took Cancel
        monkeypatch.setattr(dialog, "GUARD_SECONDS", 3600.0)
        await press(pilot, "r")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        assert "orders_daily__000002" in text(app)
        await press(pilot, "right", "enter")
        assert not sent and isinstance(app.screen, PreviewDialog)  # too soon
        monkeypatch.setattr(dialog, "GUARD_SECONDS", 0.0)
        await press(pilot, "enter")
        assert sent == ["run.retry"] and len(app.screen_stack) == 1

    play(session_of(still.client), scene)


def test_a_read_only_console_refuses_what_changes_things_and_starts_nothing() -> None:
    keeper = NoKeeper()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "r")
        assert "read-only" in text(app) and len(app.screen_stack) == 1
        Everywhere(app).do_engine_start()
        await pilot.pause()
        assert "start" not in keeper.asked

    play(session_of(still.client, keeper, read_only=True), scene)


def test_the_engine_is_started_where_nobody_leads_and_the_console_leaves_its_sign() -> None:
    keeper = NoKeeper()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "start" in keeper.asked)
        assert keeper.asked[0] == "attach"

    play(session_of(still.client, keeper, start_engine=True, keep_engine=True), scene)


@pytest.mark.parametrize(("choice", "asked"), [("leave", []), ("stop", ["stop"])])
def test_closing_with_runs_active_asks_what_becomes_of_them(choice: str, asked: list[str]) -> None:
    keeper = NoKeeper(held=LEASE)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await press(pilot, "q")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        assert "2 runs active" in text(app)
        await until(pilot, lambda: not app.screen.guarded)  # type: ignore[attr-defined]  # a dialog
        buttons = app.screen.query_one(Buttons)
        while buttons.current != choice:
            await press(pilot, "right")
        await press(pilot, "enter")
        await until(pilot, lambda: app.session.closing.is_set())
        assert [each for each in keeper.asked if each != "attach"] == asked

    play(session_of(still.client, keeper, keep_engine=True), scene)


def test_a_workspace_that_cannot_be_opened_is_said_and_the_frame_stays() -> None:
    def broken() -> Any:
        raise StoreUnusable("The state is newer than this program.")

    async def main() -> None:
        app = Console(session_of(broken))
        async with app.run_test(size=NARROW) as pilot:
            await until(pilot, lambda: "newer than this program" in text(app))
            await press(pilot, "question_mark")
            await until(pilot, lambda: app.view.NAME == "help")
            app.session.closing.set()

    import asyncio

    asyncio.run(main())


def test_esc_leaves_every_dialog_and_the_console_lives() -> None:
    from console.widgets.form import Field, Form

    async def scene(pilot: Pilot[int], app: Console) -> None:
        answers: list[object] = []
        form = Form(app.session.look, "Values", [Field(name="region", type="string", value="north")])
        for opened in (
            lambda: app.push_screen(form, answers.append),
            Everywhere(app).do_palette,
            lambda: app.view.do_run_retry(),
        ):  # type: ignore[attr-defined]  # runs
            app.view.query_one("Table").select("orders_daily__000002")  # type: ignore[attr-defined]  # a table
            opened()
            await until(pilot, lambda: len(app.screen_stack) == 2)
            await press(pilot, "escape")
            assert len(app.screen_stack) == 1
        assert answers == [None] and app.view.NAME == "runs"

    play(session_of(still.client), scene)


@pytest.mark.parametrize(
    "keys", [("enter", "enter"), ("space", "space"), ("escape", "escape"), ("enter", "escape")]
)
def test_keys_that_come_together_answer_a_dialog_once(
    monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str]
) -> None:
    monkeypatch.setattr(dialog, "GUARD_SECONDS", 0.0)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        answers: list[object] = []
        app.push_screen(PreviewDialog(app.session.look, Preview(title="Close", touched=[])), answers.append)
        await until(pilot, lambda: "[ Cancel ]" in text(app))
        for key in keys:  # both before the console does anything
            app.screen.focused.post_message(Key(key, None))  # type: ignore[union-attr]  # the buttons
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert len(answers) == 1

    play(session_of(still.client), scene)


def test_a_preview_is_as_high_as_its_lines_are_at_the_width_of_the_terminal() -> None:
    shown = Preview(
        title="Retry",
        touched=[[Cell("a_very_long_name_" * 24 + " ends")]],
        effects=[[Cell("and below: merge")]],
    )

    async def scene(pilot: Pilot[int], app: Console) -> None:
        app.preview(shown, lambda answer: None)
        await until(pilot, lambda: "Retry" in text(app))
        card = app.screen.query_one(Card)
        for size in (NARROW, (160, 48), NARROW):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: " ends" in text(app) and "and below: merge" in text(app))
            await until(pilot, lambda: card.size.height == card.rows + 1)

    play(session_of(still.client), scene)


def test_choices_that_do_not_fit_a_small_terminal_are_seen_when_they_are_chosen() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        choices = [("leave", "Leave running"), ("wait", "Wait"), ("stop", "Stop")]
        app.preview(Preview(title="Close", touched=[], choices=choices), lambda answer: None)
        await until(pilot, lambda: "[ Cancel ]" in text(app))
        assert "Stop" not in text(app)
        await press(pilot, "right", "right", "right")
        assert "[ Stop ]" in text(app)
        await press(pilot, "right")
        assert "[ Cancel ]" in text(app)

    play(session_of(still.client), scene, size=(40, 10))


def test_a_form_says_what_does_not_fit_and_is_not_sent_until_all_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    from console.widgets.form import Field, Form

    monkeypatch.setattr(dialog, "GUARD_SECONDS", 0.0)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        answers: list[object] = []
        fields = [
            Field(name="days", type="integer", required=True),
            Field(name="region", type="string", value="north"),
        ]
        app.push_screen(Form(app.session.look, "Values", fields, confirm="Run"), answers.append)
        await until(pilot, lambda: "days" in text(app))
        await typed(pilot, "soon")
        await until(pilot, lambda: "This is no integer" in text(app))
        await press(pilot, "enter", "enter", "right", "enter")
        assert not answers
        await press(pilot, "up", "up", *["backspace"] * 4)
        await typed(pilot, "7")
        await press(pilot, "enter", "enter", "enter")
        assert answers == [{"days": 7, "region": "north"}]

    play(session_of(still.client), scene)


def test_a_key_for_a_view_that_is_still_being_put_together_does_no_harm() -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        app.go(Place("run", "orders_daily__000000"))
        assert not app.view.is_mounted
        rows = {each.id: each for each in app.keymap.actions}
        assert not app.perform(rows["run.tree"])
        await until(pilot, lambda: "join_sales" in text(app))

    play(session_of(lambda: still.client()), scene)


def test_a_table_drawn_before_it_is_told_of_its_size_shows_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the event came late, or not at all, and lines stood there without a word."""
    monkeypatch.setattr(Table, "on_resize", lambda self, event: None)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "orders_daily" in text(app) and "pipeline" in text(app))

    play(session_of(still.client), scene)
