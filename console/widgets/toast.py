"""Toasts: what happened elsewhere, one line above the footer, gone by itself. Nothing steals the focus."""

from __future__ import annotations

from textual.timer import Timer

from console.present.cells import Cell, cell
from console.theme import Look
from console.widgets.strips import Strips

_SECONDS = 6.0
_LONGER = 12.0  # what is wrong stays longer


class Toasts(Strips):
    """The newest message; how many others came with it."""

    DEFAULT_CSS = "Toasts { height: 1; width: 1fr; display: none; dock: bottom; }"

    def __init__(self, look: Look) -> None:
        super().__init__(look, id="toasts")
        self._timer: Timer | None = None
        self._waiting = 0

    def say(self, text: str, tone: str = "") -> None:
        """Show a sentence for a while."""
        self._waiting = self._waiting + 1 if self.display else 0
        more = f"  (+{self._waiting})" if self._waiting else ""
        self.display = True
        sign = self._look.chars.state({"bad": "FAILED", "ok": "SUCCESS"}.get(tone, "QUEUED"))
        self.show([[Cell(f" {sign} ", tone), cell(text, tone), Cell(more, "dim")]])
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_LONGER if tone == "bad" else _SECONDS, self.hide)

    def hide(self) -> None:
        """Gone."""
        self._waiting = 0
        self.display = False
