"""What every dialog shares: a box in the middle that keeps its keys to itself, buttons in a row.

Law: a dialog answers a value and does nothing. The Enter that opened it cannot answer it: keys count only after
the box was painted and the key that opened it is over.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Region
from textual.message import Message
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget

from console.theme import Look, style

Answer = TypeVar("Answer")
GUARD_SECONDS = 0.25  # a repeated Enter of the key that opened the dialog falls into this


class Buttons(Widget, can_focus=True):
    """A row of choices; left and right choose, Enter takes."""

    DEFAULT_CSS = "Buttons { height: 1; width: 1fr; }"

    class Taken(Message):
        """One was taken."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, names: Sequence[tuple[str, str]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._names = list(names)  # name, label
        self.at = 0
        self._places: list[tuple[int, int]] = []

    @property
    def current(self) -> str:
        """The one under the cursor."""
        return self._names[self.at][0]

    def render_line(self, y: int) -> Strip:
        """The row; where it is too long for the box, as much of it as shows the choice under the cursor."""
        parts, x, left, width = [Segment(" ")], 1, 0, self.size.width
        self._places = []
        for i, (_, label) in enumerate(self._names):
            chosen = i == self.at
            text = f"[ {label} ]"
            parts.append(Segment(text, style("", cursor=chosen, focused=self.has_focus)))
            parts.append(Segment("  "))
            self._places.append((x, x + len(text)))
            x += len(text) + 2
            if chosen:
                left = max(0, x - 1 - width)
        self._places = [(start - left, end - left) for start, end in self._places]
        return Strip(parts).crop_extend(left, left + width, None)

    def step(self, by: int) -> None:
        """Another one."""
        self.at = (self.at + by) % len(self._names)
        self.refresh(Region(0, 0, self.size.width, 1))

    def on_key(self, event: events.Key) -> None:
        """Choose and take."""
        if event.key in ("left", "right"):
            event.stop()
            self.step(1 if event.key == "right" else -1)
        elif event.key in ("enter", "space"):
            event.stop()
            self.post_message(self.Taken(self.current))

    def on_click(self, event: events.Click) -> None:
        """Take the one under the mouse."""
        for i, (start, end) in enumerate(self._places):
            if start <= event.x < end:
                self.at = i
                self.refresh()
                self.post_message(self.Taken(self.current))

    def on_focus(self) -> None:
        """Looks different."""
        self.refresh()

    def on_blur(self) -> None:
        """Looks different."""
        self.refresh()


class Toggle(Widget, can_focus=True):
    """A switch that can be read without colour."""

    DEFAULT_CSS = "Toggle { height: 1; width: 1fr; }"

    def __init__(self, label: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._label = label
        self.value = False

    def render_line(self, y: int) -> Strip:
        """The switch and its label."""
        box = Segment(f"[{'x' if self.value else ' '}]", style("", cursor=self.has_focus))
        return Strip([Segment(" "), box, Segment(f" {self._label}")]).adjust_cell_length(self.size.width)

    def flip(self) -> None:
        """On or off."""
        self.value = not self.value
        self.refresh()

    def on_key(self, event: events.Key) -> None:
        """Space and Enter flip it."""
        if event.key in ("space", "enter"):
            event.stop()
            self.flip()

    def on_click(self, event: events.Click) -> None:
        """So does the mouse."""
        self.flip()

    def on_focus(self) -> None:
        """Looks different."""
        self.refresh()

    def on_blur(self) -> None:
        """Looks different."""
        self.refresh()


class Dialog(ModalScreen[Answer], Generic[Answer]):
    """A box with a title; Esc answers `leaving`."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: transparent; }
    Dialog > #box { width: 90%; max-width: 100; height: auto; max-height: 90%; background: ansi_default; }
    Dialog > #box.-line { border: round ansi_cyan; }
    Dialog > #box.-plain { border: ascii ansi_cyan; }
    """
    leaving: Any = None

    def __init__(self, look: Look, title: str) -> None:
        super().__init__()
        self.look = look
        self._title = title
        self._opened = 0.0
        self._answered = False

    def compose(self) -> ComposeResult:
        box = Vertical(id="box", classes="-plain" if self.look.plain else "-line")
        box.border_title = self._title.replace("[", "(").replace("]", ")")
        with box:
            yield from self.content()

    def content(self) -> ComposeResult:
        """What stands in the box; each dialog says."""
        yield from ()

    def on_mount(self) -> None:
        """The guard begins with the first paint."""
        self._opened = time.monotonic()

    def answer(self, result: Answer | None) -> None:
        """Leave with this. Of keys that come together, before the dialog has left, the first one counts."""
        if not self._answered:
            self._answered = True
            self.dismiss(result)

    @property
    def guarded(self) -> bool:
        """Whether a key may still be the one that opened the dialog."""
        return time.monotonic() - self._opened < GUARD_SECONDS

    def on_key(self, event: events.Key) -> None:
        """Esc leaves. Textual calls this after a dialog's own `on_key`, which therefore never calls it."""
        if event.key == "escape" and self.is_current:
            event.stop()
            self.answer(self.leaving)
