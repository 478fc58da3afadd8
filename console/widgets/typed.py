"""One line that is typed, or that holds what others wrote until somebody types.

Law: what it holds is as it was given; what it shows of it steers no terminal. A character stands for a character,
so that the cursor is where it seems to be.
"""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Input

from engine.client.text import clean_in_place


class TypedLine(Input):
    """Textual's own sends the terminal whatever its value is: a default of a parameter could name the window."""

    @property
    def _value(self) -> Text:
        """What is drawn; Textual asks for nothing else."""
        return Text(clean_in_place(self.value), no_wrap=True, overflow="ignore", end="")
