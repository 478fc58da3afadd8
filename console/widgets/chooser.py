"""The palette: type to search, arrows to choose, Enter to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from textual import events
from textual.app import ComposeResult
from textual.widgets import Input

from console.keymap import shown
from console.present.cells import Cell
from console.present.columns import Column
from console.theme import Look
from console.widgets.dialog import Dialog
from console.widgets.table import Table
from console.widgets.typed import TypedLine

_STILL = datetime.fromtimestamp(0, UTC)  # nothing here moves with the time


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One thing to choose."""

    id: str
    label: str
    keys: str = ""
    help: str = ""
    order: int = 0


class Chooser(Dialog[str | None]):
    """Answers the id of what was chosen."""

    DEFAULT_CSS = """
    Chooser Table { height: 14; }
    Chooser Input { border: none; height: 1; padding: 0 1; }
    """

    def __init__(self, look: Look, title: str, choices: Sequence[Choice]) -> None:
        super().__init__(look, title)
        self._choices = list(choices)

    def content(self) -> ComposeResult:
        yield TypedLine(placeholder="search", compact=True)
        columns: list[Column[Choice]] = [
            Column(name="keys", title="key", width=7, cell=lambda each, _: Cell(self._key(each), "key")),
            Column(name="label", title="action", width=18, cell=lambda each, _: Cell(each.label, "strong")),
            Column(name="help", title="what it does", width=20, grow=1, cell=lambda each, _: Cell(each.help)),
        ]
        yield Table(
            columns,
            key=lambda each: each.id,
            natural=lambda each: self._choices.index(each),
            look=self.look,
            now=lambda: _STILL,
            empty="Nothing matches.",
            header=False,
        )

    def _key(self, each: Choice) -> str:
        return shown(each.keys, plain=self.look.plain)

    @property
    def table(self) -> Table[Choice]:
        """The list."""
        return self.query_one(Table)

    def on_mount(self) -> None:
        """Typing comes first."""
        self.table.put(self._choices)
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Every word has to occur."""
        event.stop()
        words = event.value.casefold().split()
        self.table.filter_rows(lambda each: all(word in _text(each) for word in words))
        self.table.do_cursor_first()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it."""
        event.stop()
        self._take()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Taken by the mouse."""
        event.stop()
        self._take()

    def _take(self) -> None:
        chosen = self.table.selected
        if chosen is not None and not self.guarded:
            self.answer(chosen.id)

    def on_key(self, event: events.Key) -> None:
        """Arrows move in the list while the focus stays in the line."""
        moves = {
            "down": self.table.do_cursor_down,
            "up": self.table.do_cursor_up,
            "pagedown": self.table.do_page_down,
            "pageup": self.table.do_page_up,
        }
        if event.key in moves:
            event.stop()
            moves[event.key]()


def _text(choice: Choice) -> str:
    return f"{choice.id} {choice.label} {choice.help}".casefold()
