"""Pipelines: how each fares, what is wrong with a definition, and what can be done from there (CON, PIP)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from console.app import Console
from console.dag.view import DagView
from console.place import Place
from console.present.pipelines import PipelineRow, columns, facts, trend
from console.screens.defining import Findings
from console.screens.pipeline import PipelineView
from console.screens.pipelines import PipelinesView
from console.screens.run import RunView
from console.theme import Look
from console.widgets.card import Card
from console.widgets.dialog import Buttons
from console.widgets.form import Form
from console.widgets.preview import PreviewDialog
from console.widgets.prompt import Prompt
from engine.model.errors import Problem
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, play, press, session_of, text, typed, until

NOW = datetime(2026, 11, 19, 14, 2, 30, tzinfo=UTC)
LIST = Place("pipelines")
TYPED = """\
id: typed
name: Typed
owner: ana
tags: [nightly, money]
schedule: {cron: "0 2 * * *"}
parameters:
  count: {type: integer, default: 3, minimum: 1, description: how many}
  note: {type: string, default: none}
tasks:
  - {id: one, name: One, type: shell, config: {command: "echo {{ count }}"}}
  - {id: two, name: Two, type: shell, dependencies: [one], config: {command: "echo two"}}
"""
BROKEN = """\
id: broken
name: Broken
tasks:
  - {id: a, name: A, type: shel, config: {command: "echo"}}
"""


@pytest.fixture
def shop(keeper: HostKeeper) -> HostKeeper:
    folder = keeper.workspace.settings.root / "pipelines"
    (folder / "typed.yaml").write_text(TYPED)
    (folder / "broken.yaml").write_text(BROKEN)
    return keeper


def session(keeper: HostKeeper, **more: Any) -> Any:
    return session_of(keeper.open_client, keeper, root=keeper.workspace.settings.root, **more)


async def selected(pilot: Pilot[int], app: Console, name: str) -> PipelinesView:
    view = app.view
    assert isinstance(view, PipelinesView)
    await until(pilot, lambda: len(view.table.rows) > 0)
    view.table.select(next(row.key for row in view._all() if row.id == name))
    await pilot.pause()
    return view


def row(**more: Any) -> PipelineRow:
    base: dict[str, Any] = {
        "id": "p", "name": "p", "file": "pipelines/p.yaml", "states": ("SUCCESS", "FAILED"), "last_at": NOW,
        "cron": "", "timezone": "UTC", "next_fire": None, "paused": "", "enabled": True, "rate": 0.5,
        "median": 10.0, "p95": 20.0,
        "trend": None, "owner": "", "tags": (), "version": 1, "tasks": 2, "errors": (), "warnings": (),
    }  # fmt: skip
    return PipelineRow(**(base | more))


# ---- how it looks


def test_a_trend_is_shown_when_it_is_more_than_noise() -> None:
    assert trend(None, Look()).text == "" and trend(1.05, Look()).text == ""
    assert trend(1.5, Look()) == ("↑50%", "warn") and trend(0.5, Look()) == ("↓50%", "ok")
    assert trend(100.0, Look(True)).text == "+999%"


def test_hostile_definitions_steer_no_terminal() -> None:
    hostile = "\x1b]0;x\x07\x1b[31m\u202e\x9b"
    problem = Problem(severity="error", message=hostile)
    bad = row(id=hostile, name=hostile, owner=hostile, tags=(hostile,), cron=hostile, errors=(problem,))
    for look in (Look(), Look(True)):
        for column in columns(look):
            made = column.cell(bad, NOW)
            pieces = [made] if hasattr(made, "tone") else list(made)
            said = "".join(piece.text for piece in pieces)  # type: ignore[union-attr]  # cells by now
            assert not any(ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F or char == "\u202e" for char in said)
    assert facts(bad)[0]["is"] == "broken" and facts(row(paused="by ana: down"))[0]["is"] == "paused"


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "160x48"])
def test_every_pipeline_is_listed_and_a_broken_one_with_its_problem(
    shop: HostKeeper, size: tuple[int, int]
) -> None:
    shop.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "Pipelines 4" in text(app) and "✗" in text(app))
        assert "never run" in text(app) and "0%" in text(app)
        await selected(pilot, app, "broken")
        if size == NARROW:
            await press(pilot, "d")
        await until(pilot, lambda: "did you mean 'shell'" in app.view.query_one(Card).text)
        assert "broken.yaml:4" in app.view.query_one(Card).text
        if size == NARROW:
            await press(pilot, "escape")
        await press(pilot, "/")
        await typed(pilot, "is:broken")
        await press(pilot, "enter")
        await until(pilot, lambda: "Pipelines 1 of 4" in text(app))
        await press(pilot, "escape")
        view = await selected(pilot, app, "typed")
        view.do_pipeline_details() if not view.query_one(Card).display else None
        await until(pilot, lambda: "ana" in view.query_one(Card).text)
        said = view.query_one(Card).text
        assert "nightly, money" in said and "0 2 * * *" in said and "count" in said and "none yet" in said

    play(session(shop), scene, size=size, start=LIST)


def test_a_pipeline_shows_its_runs_and_its_graph(shop: HostKeeper) -> None:
    run_id = shop.run("shop")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await selected(pilot, app, "shop")
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.view, PipelineView) and app.view.run_argument == run_id)
        await until(pilot, lambda: "✗ FAILED" in text(app))
        await press(pilot, "g")
        view = app.view
        assert isinstance(view, PipelineView)
        await until(pilot, lambda: view.query_one(DagView).canvas is not None and "✗ bad" in text(app))
        await press(pilot, "backspace", ":")
        await until(pilot, lambda: app.query_one(Prompt).open)
        await typed(pilot, "pipeline")  # without a name: the selected one
        await press(pilot, "enter")
        await until(pilot, lambda: app.view is view)
        await press(pilot, "g", "enter")
        await until(pilot, lambda: isinstance(app.view, RunView))

    play(session(shop), scene, start=LIST)


def test_a_name_that_does_not_exist_says_what_is_near(shop: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "Did you mean 'shop'?" in text(app))

    play(session(shop), scene, start=Place("pipeline", "shpo"))


# ---- trigger


def test_a_run_is_triggered_by_a_form_of_typed_parameters_and_offers_the_last_values(shop: HostKeeper) -> None:
    """CON-05: what does not fit is said, what was given last is offered, the run is gone to."""

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = await selected(pilot, app, "typed")
        await press(pilot, "t")
        form = await _form(pilot, app)
        fields = list(form.query(Input))
        assert [each.value for each in fields] == ["3", "none", "", ""]
        fields[0].value = "many"
        await until(pilot, lambda: "This is no integer." in text(app))
        fields[0].value = "0"  # of its type, but below the minimum: the rules of the definition decide
        await _confirm(pilot, form)
        again = await _form(pilot, app, other=form)
        await until(pilot, lambda: "expected at least 1" in text(app))
        assert again.query(Input).first().value == "0"
        again.query(Input).first().value = "7"
        await _confirm(pilot, again)
        await until(pilot, lambda: isinstance(app.view, RunView))
        made = shop.workspace.client.run("last:typed")
        assert made.parameters == {"count": 7, "note": "none"} and app.view.place.argument == made.run_id
        await press(pilot, "backspace")
        await until(pilot, lambda: app.view is view and "·" in text(app))
        await press(pilot, "t")
        form = await _form(pilot, app)
        assert form.query(Input).first().value == "7"
        await press(pilot, "escape")

    play(session(shop), scene, start=LIST)


def test_a_broken_definition_is_not_triggered_and_says_why(shop: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await selected(pilot, app, "broken")
        await press(pilot, "t")
        await until(pilot, lambda: "did you mean 'shell'" in text(app).replace("\n", " "))
        assert len(app.screen_stack) == 1

    play(session(shop), scene, size=WIDE, start=LIST)


def test_a_read_only_console_triggers_and_edits_nothing(shop: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await selected(pilot, app, "typed")
        await press(pilot, "t")
        await until(pilot, lambda: "read-only" in text(app))
        await press(pilot, "e")
        await until(pilot, lambda: "it opens no editor" in text(app))
        assert shop.workspace.client.queries.runs()[0] == []

    play(session(shop, read_only=True), scene, start=LIST)


async def _form(pilot: Pilot[int], app: Console, other: Form | None = None) -> Form:
    await until(pilot, lambda: isinstance(app.screen, Form) and app.screen is not other and app.screen.is_mounted)
    form = app.screen
    assert isinstance(form, Form)
    await until(pilot, lambda: not form.guarded and len(form.query(Input)) == len(form.fields))
    return form


async def _confirm(pilot: Pilot[int], form: Form) -> None:
    buttons = form.query_one(Buttons)
    buttons.focus()
    await pilot.pause()
    while buttons.current != "yes":
        await press(pilot, "right")
    await press(pilot, "enter")


# ---- pause and resume


def test_a_pause_shows_what_will_not_happen_and_can_be_taken_back(shop: HostKeeper) -> None:
    """CON: consequence before, undo after."""

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await selected(pilot, app, "typed")
        await press(pilot, "p")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        dialog = app.screen
        assert isinstance(dialog, PreviewDialog)
        await until(pilot, lambda: not dialog.guarded and "It will not fire at" in text(app))
        dialog.query_one("#reason", Input).value = "source is down"
        dialog.query_one(Buttons).focus()
        await press(pilot, "right", "enter")
        await until(pilot, lambda: _paused(shop, "typed"))
        await until(pilot, lambda: "= paused" in text(app))
        await press(pilot, "u")
        await until(pilot, lambda: not _paused(shop, "typed"))
        await until(pilot, lambda: "= paused" not in text(app))

    play(session(shop), scene, start=LIST)


def test_what_has_no_schedule_is_not_paused(shop: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await selected(pilot, app, "shop")
        await press(pilot, "p")
        await until(pilot, lambda: "has no schedule" in text(app))

    play(session(shop), scene, start=LIST)


def _paused(keeper: HostKeeper, pipeline_id: str) -> bool:
    return any(
        each.paused for each in keeper.workspace.client.queries.schedules() if each.pipeline_id == pipeline_id
    )


# ---- definitions


@contextlib.contextmanager
def _nothing(*_: Any) -> Iterator[None]:
    yield


def test_a_definition_is_edited_and_checked_on_return(
    shop: HostKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        '#!/bin/sh\nsed -i "s/type: shel,/type: shell,/; s/echo two/echo 2/" "$2"\ntest "$1" = "-x y"\n'
    )
    editor.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{editor} '-x y'")
    monkeypatch.setattr(App, "suspend", _nothing)  # a test has no terminal to hand over

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await selected(pilot, app, "broken")
        await press(pilot, "e")
        await until(pilot, lambda: isinstance(app.screen, Findings) and "Valid" in text(app))
        await press(pilot, "escape")
        await until(pilot, lambda: "did you mean" not in text(app))
        assert "broken" in shop.workspace.client.catalog.ids()

    play(session(shop), scene, start=LIST)


def test_validation_says_every_problem_of_what_is_marked(shop: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "Pipelines 4" in text(app))
        await press(pilot, "*", "V")
        await until(pilot, lambda: isinstance(app.screen, Findings) and "1 definition with problems" in text(app))
        said = app.screen.query_one(Card).text
        assert "did you mean 'shell'" in said and "✓ typed" in said

    play(session(shop), scene, start=LIST)


def test_where_the_terminal_cannot_be_handed_over_it_says_what_to_do(
    shop: HostKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "true")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await selected(pilot, app, "typed")
        await press(pilot, "e")
        await until(pilot, lambda: "then press V" in text(app).replace("\n", " "))

    play(session(shop), scene, size=WIDE, start=LIST)


def test_numbers_of_the_past_are_in_the_row(shop: HostKeeper) -> None:
    fire = NOW + timedelta(hours=2)
    made = {column.name: column.cell(row(next_fire=fire, trend=1.3), NOW) for column in columns(Look())}
    said = {
        name: value.text if hasattr(value, "tone") else "".join(each.text for each in value)  # type: ignore[union-attr]
        for name, value in made.items()
    }
    assert said["last"] == "✓✗" and said["rate"] == "50%" and said["next"] == "in 2 h"
    assert (said["p50"], said["p95"], said["trend"], said["version"]) == ("10s", "20s", "↑30%", "v1")
