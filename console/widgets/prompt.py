"""The one-line prompt at the foot: `:`, `/` and search.

Law: Enter hands over exactly what is typed; Tab or the right arrow takes the suggestion; Esc leaves everything
as it was. A refusal is said above the line, and the line is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

from console.present.cells import Cell, cell
from console.theme import Look
from console.widgets.strips import Strips
from console.widgets.typed import TypedLine
from engine.client.text import clean

Complete = Callable[[str], Sequence[str]]
"""What the line may become, best first; each begins with what is typed."""


class Line(TypedLine):
    """The input; Tab takes the suggestion instead of leaving."""

    DEFAULT_CSS = "Line { border: none; height: 1; padding: 0; background: ansi_default; }"

    class Left(Message):
        """Esc, or Backspace on an empty line."""

    def late(self, event: events.Key) -> None:
        """A key that came before the focus did: over a slow line several come at once."""
        self._forward_event(event)

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "escape" or (event.key == "backspace" and not self.value):
            event.stop()
            event.prevent_default()
            self.post_message(self.Left())
        elif event.key == "tab":
            event.stop()
            event.prevent_default()
            if self._suggestion:
                self.value = self._suggestion
                self.cursor_position = len(self.value)
        else:
            await super()._on_key(event)


class _Completer(Suggester):
    def __init__(self, complete: Complete) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        found = self._complete(value) if value else ()
        return next((each for each in found if clean(each) == each), None)  # drawn as it is


class Prompt(Vertical):
    """A sign, a line, and above them what is wrong or what is near."""

    DEFAULT_CSS = """
    Prompt { height: auto; display: none; dock: bottom; }
    Prompt.-open { display: block; }
    Prompt #asked { height: 1; width: 1fr; layout: horizontal; }
    Prompt #sign { width: auto; }
    """

    class Entered(Message):
        """A line was entered."""

        def __init__(self, sign: str, text: str) -> None:
            super().__init__()
            self.sign = sign
            self.text = text

    class Changed(Entered):
        """The line changed (only told for prompts that ask for it)."""

    class Closed(Message):
        """The prompt was left."""

    def __init__(self, look: Look) -> None:
        super().__init__(id="prompt")
        self._look = look
        self._sign = ""
        self._live = False
        self._complete: Complete | None = None

    def compose(self) -> ComposeResult:
        yield Strips(self._look, id="hint")
        with Vertical(id="asked"):
            yield Strips(self._look, id="sign")
            yield Line(select_on_focus=False, compact=True)

    @property
    def open(self) -> bool:
        """Whether it is there."""
        return self.has_class("-open")

    @property
    def line(self) -> Line:
        """The input."""
        return self.query_one(Line)

    def ask(
        self, sign: str, text: str = "", *, complete: Complete | None = None, hint: str = "", live: bool = False
    ) -> None:
        """Open it."""
        self._sign, self._live, self._complete = sign, live, complete
        line = self.line
        line.suggester = _Completer(complete) if complete is not None else None
        strip = self.query_one("#sign", Strips)
        strip.styles.width = len(sign)
        strip.show([[Cell(sign, "key")]])
        self.say(hint, "dim")
        self.add_class("-open")
        line.value = text
        line.cursor_position = len(text)
        line.focus()

    def say(self, text: str, tone: str = "bad") -> None:
        """A sentence above the line; the line is kept."""
        hint = self.query_one("#hint", Strips)
        hint.display = bool(text)
        hint.show([[Cell(" "), cell(text, tone)]])

    def close(self) -> None:
        """Away with it."""
        self.remove_class("-open")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Exactly what is typed."""
        event.stop()
        self.post_message(self.Entered(self._sign, event.value))

    def on_input_changed(self, event: Input.Changed) -> None:
        """What is near to it."""
        event.stop()
        if not self.open:
            return
        if self._complete is not None:
            found = [each for each in self._complete(event.value) if each != event.value][:8]
            self.say("  ".join(found), "dim")
        if self._live:
            self.post_message(self.Changed(self._sign, event.value))

    def on_line_left(self, event: Line.Left) -> None:
        """Left."""
        event.stop()
        self.post_message(self.Closed())
