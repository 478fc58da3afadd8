"""What is typed, or stands in a line until somebody types, steers no terminal and is kept as it is."""

from __future__ import annotations

import asyncio

import pytest
from textual.pilot import Pilot

from console.app import Console
from console.widgets import dialog
from console.widgets.form import Field, Form
from console.widgets.prompt import _Completer
from engine.client.text import clean_in_place
from tests.console import still
from tests.console.stage import play, press, session_of, text, until

HOSTILE = "[/b] \x1b]0;owned\x07 \x9b2J \u202eflip 世界"


def test_a_default_of_others_is_drawn_as_pictures_and_sent_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialog, "GUARD_SECONDS", 0.0)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        answers: list[object] = []
        fields = [Field(name="note", type="string", value=HOSTILE)]
        app.push_screen(Form(app.session.look, "Values", fields, confirm="Run"), answers.append)
        await until(pilot, lambda: "世界" in text(app))
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text(app))
        assert "[/b] ␛]0;owned␇" in text(app)
        await press(pilot, "end", "backspace", "enter", "right", "enter")
        assert answers == [{"note": HOSTILE[:-1]}]

    play(session_of(still.client), scene)


def test_a_picture_stands_for_each_character() -> None:
    assert len(clean_in_place(HOSTILE)) == len(HOSTILE)


def test_what_steers_a_terminal_is_not_suggested() -> None:
    completer = _Completer(lambda typed: [f"{typed}\x1b]0;owned\x07", f"{typed}_plain"])
    assert asyncio.run(completer.get_suggestion("data sales")) == "data sales_plain"
