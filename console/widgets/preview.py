"""The preview of what changes things: exactly what is touched, and what follows from it.

Law: Cancel is focused first, and the Enter that opened the preview cannot confirm it. It answers the choices
made in it, or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from textual import events
from textual.app import ComposeResult
from textual.widgets import Input

from console.present.cells import Cell, Line, cell
from console.theme import Look
from console.widgets.card import Card
from console.widgets.dialog import Buttons, Dialog, Toggle
from console.widgets.strips import Strips
from console.widgets.typed import TypedLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What is asked. `options` are switches by name; `reason` asks for a sentence; `choices` for one of some."""

    title: str
    touched: Sequence[Line]
    effects: Sequence[Line] = ()
    confirm: str = "Do it"
    choices: Sequence[tuple[str, str]] = ()  # buttons beside Cancel instead of `confirm`: name, label
    options: Sequence[tuple[str, str]] = ()
    reason: str = ""  # the label; empty: none is asked for
    undo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The answer."""

    choice: str
    options: frozenset[str] = field(default_factory=frozenset)
    reason: str = ""


class PreviewDialog(Dialog[Confirmed | None]):
    """Shows a preview."""

    DEFAULT_CSS = """
    PreviewDialog #touched { height: auto; max-height: 50vh; min-height: 1; }
    PreviewDialog Input { border: none; height: 1; padding: 0; }
    """

    def __init__(self, look: Look, preview: Preview) -> None:
        super().__init__(look, preview.title)
        self.preview = preview

    def content(self) -> ComposeResult:
        asked = self.preview
        card = Card(self.look, id="touched")
        yield card
        for name, label in asked.options:
            yield Toggle(label, id=f"option-{name}")
        if asked.reason:
            yield Strips(self.look, id="label")
            yield TypedLine(id="reason", compact=True, placeholder="reason")
        yield Strips(self.look, id="wrong")
        choices = asked.choices or ((("yes"), asked.confirm),)
        yield Buttons([("", "Cancel"), *choices], id="buttons")

    def on_mount(self) -> None:
        """Cancel has the focus."""
        asked = self.preview
        lines: list[Line] = [*asked.touched]
        if asked.effects:
            lines += [[], *asked.effects]
        if asked.undo:
            lines += [[], [Cell("To take it back: ", "dim"), cell(asked.undo)]]
        card = self.query_one(Card)
        card.styles.height = self._height(len(lines))
        card.show(lines)
        self.call_after_refresh(self._fit)
        if asked.reason:
            self.query_one("#label", Strips).show([[cell(asked.reason, "dim")]])
        self.query_one("#wrong", Strips).display = False
        self.query_one(Buttons).focus()

    def on_resize(self) -> None:
        """Lines are folded elsewhere."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        card = self.query_one(Card)
        card.styles.height = self._height(card.rows)

    def _height(self, rows: int) -> int:
        """All of it, as far as the screen has room: what is touched below the last row is not seen at once."""
        return min(max(rows + 1, 2), max(3, self.app.size.height // 2))

    def on_buttons_taken(self, event: Buttons.Taken) -> None:
        """Confirmed, or not."""
        event.stop()
        if not event.name:
            self.answer(None)
            return
        if self.guarded:
            return
        reason = self.query_one("#reason", Input).value.strip() if self.preview.reason else ""
        if self.preview.reason and not reason:
            self._refuse("Say why; it goes into the audit trail.")
            self.query_one("#reason", Input).focus()
            return
        options = frozenset(
            name for name, _ in self.preview.options if self.query_one(f"#option-{name}", Toggle).value
        )
        self.answer(Confirmed(choice=event.name, options=options, reason=reason))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """From the reason to the buttons."""
        event.stop()
        self.query_one(Buttons).focus()

    def on_key(self, event: events.Key) -> None:
        """Up and down walk through it."""
        if event.key == "down":
            event.stop()
            self.focus_next()
        elif event.key == "up":
            event.stop()
            self.focus_previous()

    def _refuse(self, sentence: str) -> None:
        wrong = self.query_one("#wrong", Strips)
        wrong.display = True
        wrong.show([[Cell(sentence, "bad")]])
