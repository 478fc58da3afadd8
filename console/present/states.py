"""States as cells: a glyph and a letter or word before they are a colour."""

from __future__ import annotations

from console.present.cells import Cell, cell
from console.theme import Look, state_tone
from engine.layout.glyphs import state_style


def state_cell(state: str, look: Look, *, narrow: bool = False) -> Cell:
    """`✓ SUCCESS`, or `✓S`."""
    glyph = look.chars.state(state)
    text = f"{glyph}{state_style(state).letter}" if narrow else f"{glyph} {cell(state).text}"
    return Cell(text, state_tone(state))


def strip(states: list[str], look: Look) -> list[Cell]:
    """The last runs, one glyph each."""
    return [Cell(look.chars.state(each), state_tone(each)) for each in states]
