"""Dead letters in the console: found, read, edited, run again, discarded, exported (DLQ-04, DLQ-06, DLQ-09)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Input

from console.app import Console
from console.place import Place
from console.present.letters import first_line, queue_line, tasks_named
from console.present.redrive import written
from console.screens.editing import EditForm, letter_fields, policy_fields
from console.screens.letter import LetterView
from console.screens.letters import LettersView, queue_named
from console.screens.redrive import MOST, Chosen, gather
from console.session import Session
from console.theme import Look
from console.widgets.dialog import Buttons
from console.widgets.preview import PreviewDialog
from engine.client.commands import Commands
from engine.client.scalars import value as read_value
from engine.client.values import LetterGroup
from engine.model.errors import ErrorKind, Queue
from engine.model.event import Actor
from engine.model.run import DeadLetter, LetterStatus
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, lines, play, press, session_of, text, typed, until

_CONTROL = {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)]} | {"\u202e"}
AT = datetime(2026, 11, 19, 14, 0, tzinfo=UTC)


def clean(app: Console) -> bool:
    return not any(char in _CONTROL for line in lines(app) for char in line)


def session(keeper: HostKeeper, **more: Any) -> Session:
    return session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root, **more)


def letters(keeper: HostKeeper, status: LetterStatus | None = None) -> list[DeadLetter]:
    return list(keeper.workspace.client.queries.letters(status=status)[0])


async def listed(pilot: Pilot[int], app: Console, rows: int) -> LettersView:
    await until(pilot, lambda: isinstance(app.view, LettersView) and len(app.view.table.rows) == rows)
    assert isinstance(app.view, LettersView)
    return app.view


async def confirm(pilot: Pilot[int], app: Console) -> None:
    """The button beside Cancel."""
    await until(pilot, lambda: isinstance(app.screen, PreviewDialog) and not app.screen.guarded)
    await press(pilot, "right", "enter")


async def fill(pilot: Pilot[int], app: Console, values: dict[str, str]) -> EditForm:
    """Write over fields and send the form off to be checked."""
    await until(pilot, lambda: isinstance(app.screen, EditForm) and not app.screen.guarded)
    form = app.screen
    assert isinstance(form, EditForm)
    for number, each in enumerate(form.fields):
        if each.name in values:
            form.query_one(f"#field-{number}", Input).value = values[each.name]
    buttons = form.query_one(Buttons)
    buttons.at = 1
    buttons.focus()
    await press(pilot, "enter")
    return form


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_letters_are_browsed_from_the_group_to_the_one(keeper: HostKeeper, size: tuple[int, int]) -> None:
    """DLQ-09: what looks alike is one row; Enter goes to its letters and then to one, whatever they are made of."""
    runs = [keeper.run("shop"), keeper.run("shop")]

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = await listed(pilot, app, 1)
        group: Any = view.table.selected
        assert (group.count, group.task_count, group.seen) == (2, 1, 2)
        assert "shop/bad" in text(app) and "[all 2]" in text(app) and "permanent 2" in text(app)
        assert clean(app)
        await press(pilot, "enter")
        view = await listed(pilot, app, 2)
        assert {row.run_id for row in view.table.rows.chosen} <= set(runs)
        assert clean(app)
        await press(pilot, "down", "enter")
        await until(pilot, lambda: isinstance(app.view, LetterView) and app.view.detail is not None)
        shown = text(app)
        assert "shop/bad" in shown and "LogicError" in shown and "after" in shown  # after was skipped because of it
        assert clean(app)
        if size == WIDE:
            assert "region = north" in shown and "max_attempts = 1" in shown
        else:
            await press(pilot, "end")
            assert "max_attempts = 1" in text(app)
        await press(pilot, "w")
        await until(pilot, lambda: app.view.NAME == "why")

    play(session(keeper), scene, size=size, start=Place("dlq"))


def test_a_group_of_one_is_its_letter(keeper: HostKeeper) -> None:
    run_id = keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = await listed(pilot, app, 1)
        assert view.run_argument == f"{run_id} bad"
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.view, LetterView) and app.view.detail is not None)
        assert app.view.run_argument == f"{run_id} bad"

    play(session(keeper), scene, start=Place("dlq", "permanent"))


def test_a_queue_and_a_filter_hide_and_esc_takes_them_back(keeper: HostKeeper) -> None:
    keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = await listed(pilot, app, 1)
        await press(pilot, "Q")
        assert len(view.table.rows) == 0 and "[transient 0]" in text(app)
        await press(pilot, "escape")
        assert len(view.table.rows) == 1
        assert view.filter("kind:network") is None
        assert len(view.table.rows) == 0
        assert view.filter("task:bad pipeline:sh*") is None
        assert len(view.table.rows) == 1
        assert "no field" in (view.filter("colour:red") or "")

    play(session(keeper), scene, start=Place("dlq"))


def test_a_letter_is_edited_requeued_and_its_run_ends_green(keeper: HostKeeper) -> None:
    """DLQ-06: the form claims it, checks as `--set` does, shows what is touched; the edit makes the run succeed."""
    run_id = keeper.run("shop")
    keeper.start()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await listed(pilot, app, 1)
        await press(pilot, "e")
        form = await fill(pilot, app, {"parameters.region": "[1, 2]"})
        claimed = letters(keeper)[0]
        assert claimed.status is LetterStatus.IN_PROGRESS and claimed.history[-1]["action"] == "letter.claim"
        await until(pilot, lambda: "region" in form.query_one("#wrong").text)  # type: ignore[attr-defined]  # Strips
        assert app.screen is form  # what does not fit keeps the form open
        await fill(pilot, app, {"parameters.region": "south", "config.command": "echo fine"})
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog) and "Requeue 1 letter" in text(app))
        shown = text(app)
        assert "echo fine" in shown and "south" in shown and "shop/bad" in shown and run_id in shown
        assert "decided again below: after" in shown and clean(app)
        await confirm(pilot, app)
        await until(pilot, lambda: keeper.workspace.client.run(run_id).state.value == "SUCCESS")
        await listed(pilot, app, 0)

    play(session(keeper), scene, start=Place("dlq"))
    done = letters(keeper, LetterStatus.REQUEUED)
    assert [each.requeued_as is not None for each in done] == [True]
    again = next(each for each in keeper.workspace.client.queries.executions(run_id) if each.task_id == "bad")
    assert again.parameter_overrides == {"region": "south"} and again.config_overrides == {"command": "echo fine"}


def test_all_of_a_group_are_edited_at_once_without_an_engine(keeper: HostKeeper) -> None:
    """With nobody leading the command is applied and the letters leave the list; the runs wait for an engine."""
    runs = {keeper.run("shop"), keeper.run("shop")}

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await listed(pilot, app, 1)
        await press(pilot, "e")
        await fill(pilot, app, {"config.command": "echo fine"})
        await until(pilot, lambda: "Requeue 2 letters" in text(app))
        await confirm(pilot, app)
        await listed(pilot, app, 0)

    play(session(keeper), scene, start=Place("dlq"))
    assert {each.run_id for each in letters(keeper, LetterStatus.REQUEUED)} == runs
    mine = {each.run_id for each in keeper.workspace.client.queries.runs(active=True)[0]}
    assert mine == runs


def test_a_retry_policy_travels_whole(keeper: HostKeeper) -> None:
    run_id = keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await listed(pilot, app, 1)
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.view, LetterView) and app.view.detail is not None)
        await press(pilot, "p")
        form = await fill(pilot, app, {"max_attempts": "none"})
        await until(pilot, lambda: "cannot be" in form.query_one("#wrong").text)  # type: ignore[attr-defined]  # Strips
        await fill(pilot, app, {"max_attempts": "4"})
        await confirm(pilot, app)
        await until(pilot, lambda: not letters(keeper))
        await until(pilot, lambda: "requeued" in text(app))

    before = letters(keeper)[0].retry_policy
    play(session(keeper), scene, start=Place("dlq"))
    again = next(each for each in keeper.workspace.client.queries.executions(run_id) if each.task_id == "bad")
    assert again.retry_override is not None
    assert again.retry_override.max_attempts == 4
    assert again.retry_override.backoff_seconds == before["backoff_seconds"]


def test_discarding_asks_why_and_marked_ones_go_together(keeper: HostKeeper) -> None:
    keeper.run("shop")
    keeper.run("shop")
    group = keeper.workspace.client.queries.letter_groups()[0]

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await listed(pilot, app, 2)
        await press(pilot, "*", "x")
        await confirm(pilot, app)
        await until(pilot, lambda: "Say why" in text(app))  # without a reason nothing is done
        assert isinstance(app.screen, PreviewDialog)
        await typed(pilot, "withdrawn")
        await press(pilot, "enter", "enter")
        await listed(pilot, app, 0)
        await press(pilot, "r")
        await until(pilot, lambda: "No letter is selected" in text(app))

    play(session(keeper), scene, start=Place("dlq", group.fingerprint))
    closed = letters(keeper, LetterStatus.DISCARDED)
    assert [each.history[-1]["reason"] for each in closed] == ["withdrawn", "withdrawn"]


def test_a_discard_is_taken_back(keeper: HostKeeper) -> None:
    keeper.run("shop")
    group = keeper.workspace.client.queries.letter_groups()[0]

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await listed(pilot, app, 1)
        await press(pilot, "x")
        await confirm(pilot, app)
        await typed(pilot, "withdrawn")
        await press(pilot, "enter", "enter")
        await listed(pilot, app, 0)
        await press(pilot, "u")
        await listed(pilot, app, 1)

    play(session(keeper), scene, start=Place("dlq", group.fingerprint))
    (letter,) = letters(keeper)
    assert [each["action"] for each in letter.history] == ["letter.discard", "letter.restore"]


def test_what_somebody_else_works_on_is_refused_with_the_reason(keeper: HostKeeper) -> None:
    """DLQ-04: no form opens on a letter that another operator claimed."""
    keeper.run("shop")
    client = keeper.workspace.client
    bob = Commands(
        mailbox=client.mailbox,
        queries=client.queries,
        clock=client.clock,
        new_id=client.new_id,
        actor=Actor(name="bob@10.9.9.9"),
    )
    bob.send("letter.claim", {"letter_ids": [letters(keeper)[0].id]})
    keeper.apply()

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await listed(pilot, app, 1)
        await press(pilot, "e")
        await until(pilot, lambda: "bob@10.9.9.9 is working on" in text(app))
        assert len(app.screen_stack) == 1
        await press(pilot, "r")
        await until(pilot, lambda: "bob@10.9.9.9 works on 1 letter" in text(app))

    play(session(keeper), scene, start=Place("dlq"))


def test_letters_are_exported_as_json(keeper: HostKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper.run("shop")
    monkeypatch.chdir(tmp_path)
    letter = letters(keeper)[0]

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await listed(pilot, app, 1)
        await press(pilot, "ctrl+s")
        await until(pilot, lambda: list(tmp_path.glob("letter-*.json")) and "Wrote 1 letter" in text(app))

    play(session(keeper), scene, start=Place("dlq"))
    raw = (tmp_path / f"letter-{letter.id}.json").read_bytes()
    (written_letter,) = json.loads(raw)["letters"]
    assert written_letter["id"] == letter.id and written_letter["config"] == dict(letter.config)
    assert not any(byte > 126 or (byte < 32 and byte != 10) for byte in raw)


def test_a_read_only_console_changes_no_letter(keeper: HostKeeper) -> None:
    keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await listed(pilot, app, 1)
        for key in ("e", "r", "p", "x"):
            await press(pilot, key)
            assert len(app.screen_stack) == 1
        await until(pilot, lambda: "read-only" in text(app))
        assert letters(keeper)[0].status is LetterStatus.NEW

    play(session(keeper, read_only=True), scene, start=Place("dlq"))


def test_a_letter_that_is_not_there_and_a_queue_that_is_not_one_are_said(keeper: HostKeeper) -> None:
    keeper.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "no queue 'permanant'" in text(app) and "permanent" in text(app))
        app.go(Place("letter", "zzz"))
        await until(pilot, lambda: "There is no dead letter 'zzz'" in lines(app)[2])
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: app.view.size.width == 100)
        assert "There is no dead letter 'zzz'" in lines(app)[2] and "Reading" not in text(app)
        app.go(Place("letter"))
        await until(pilot, lambda: isinstance(app.view, LetterView) and app.view.detail is not None)

    play(session(keeper), scene, start=Place("dlq", "permanant"))


# ---- values


def made(number: int, **more: Any) -> DeadLetter:
    given_: dict[str, Any] = {
        "id": f"l{number}", "queue": Queue.PERMANENT, "pipeline_id": "p", "run_id": f"r{number}", "task_id": "t",
        "map_index": None, "execution_id": f"x{number}", "kind": ErrorKind.LOGIC, "error_type": "exit 1",
        "message": "no", "fingerprint": "f", "failed_at": AT, "attempts": 1, "retry_policy": {"max_attempts": 2},
        **more,
    }  # fmt: skip
    return DeadLetter(**given_)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(_JSON)
def test_what_stands_in_a_field_means_the_letters_value_and_harms_no_terminal(value: Any) -> None:
    shown = written(value)
    assert shown.isprintable()
    back = read_value(shown)
    assert json.dumps(back) == json.dumps(value)


def test_fields_are_what_all_letters_have_and_a_difference_is_not_overwritten() -> None:
    one = made(1, config={"command": "a", "env": {"X": 1}, "a.b": 1}, parameters={"day": "2026-01-01"})
    two = made(2, config={"command": "b", "env": {"X": 1}}, parameters={"day": "2026-01-01", "more": 1})
    fields = letter_fields([one, two], [])
    assert [(each.name, each.value) for each in fields] == [
        ("parameters.day", "2026-01-01"),
        ("config.command", None),
        ("config.env", '{"X": 1}'),
    ]
    assert "differs" in fields[1].help
    form = EditForm(Look(), "t", fields, lambda changed, fits, wrong: None)
    same = {"parameters.day": "2026-01-01", "config.env": {"X": 1}}
    assert form.changes(same) == {}
    assert form.changes({**same, "config.command": "c", "config.env": {"X": True}}) == {
        "config.command": "c",
        "config.env": {"X": True},
    }
    assert [each.value for each in policy_fields([one, two]) if each.name == "max_attempts"] == ["2"]


def test_a_group_names_its_task_or_the_first_and_how_many_more() -> None:
    group = LetterGroup(
        fingerprint="f", queue="permanent", kind="LogicError", error_type="e", message="m", count=7, claimed=0,
        seen=9, first_seen=AT, last_seen=AT, tasks=(("p", "a"), ("p", "b")), task_count=5, newest="l", run_id="r",
        map_index=3,
    )  # fmt: skip
    assert tasks_named(group) == "p/a and 4 more"
    assert tasks_named(replace(group, count=1, tasks=(("p", "a"),), task_count=1)) == "p/a[3]"
    assert first_line("\n  one\ntwo") == "one"
    assert queue_named("Data-Quality") == "data_quality" and queue_named("x") is None
    line = "".join(each.text for each in queue_line({"permanent": 2}, "permanent", Look()))
    assert "[permanent 2]" in line and "all 2" in line


def test_of_a_flood_only_so_many_are_taken_at_once_and_the_rest_is_said() -> None:
    class Queries:
        def letters(self, *, fingerprint: str, limit: int) -> tuple[list[DeadLetter], str | None]:
            return [made(i) for i in range(limit)], "more"

        def executions(self, run_id: str) -> list[Any]:
            return []

        def task_seconds(self, pipeline_id: str) -> dict[str, float]:
            return {"t": 2.0}

    class Client:
        queries = Queries()

        def run(self, run_id: str) -> Any:
            return run_id

        def pinned(self, run: Any) -> None:
            return None

    client: Any = Client()
    found = gather(client, Chosen(fingerprints=("f",)))
    assert len(found.letters) == MOST
    assert found.left == 1 and found.unread == MOST - 50 and found.seconds == 2.0 * MOST
