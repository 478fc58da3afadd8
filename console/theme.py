"""How the console looks: sixteen ANSI colours, attributes that survive monochrome, and a plain ASCII set.

Law: a tone says what something means; only here does it become a colour. The terminal's own palette and
background are kept, so a slow line is sent short codes and a user's colours stay theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from rich.style import Style

from engine.layout.glyphs import ASCII, UNICODE, CharSet

if TYPE_CHECKING:
    from textual.theme import Theme

_TONES = {
    "": "",
    "ok": "green",
    "bad": "bold red",
    "run": "bright_blue",
    "warn": "yellow",
    "queue": "cyan",
    "gone": "magenta",
    "dim": "bright_black",
    "strong": "bold",
    "accent": "cyan",
    "key": "bold cyan",
    "head": "bold underline",
    "match": "black on yellow",
    "lit": "bold yellow",
    "mark": "bold yellow",
}

STATE_TONES = {
    "SUCCESS": "ok",
    "FAILED": "bad",
    "RUNNING": "run",
    "RETRYING": "warn",
    "QUEUED": "queue",
    "CANCELLED": "gone",
    "SKIPPED": "dim",
    "WAITING": "dim",
    "PENDING": "dim",
    "LOST": "warn",
    "SUBMITTED": "run",
    "healthy": "ok",
    "degraded": "warn",
    "unhealthy": "bad",
}


@dataclass(frozen=True, slots=True)
class Look:
    """What a terminal can show."""

    plain: bool = False  # ASCII only

    @property
    def chars(self) -> CharSet:
        """Glyphs and line pieces."""
        return ASCII if self.plain else UNICODE

    @property
    def dot(self) -> str:
        """Between two facts of one line."""
        return "|" if self.plain else "·"

    @property
    def crumb(self) -> str:
        """Between two breadcrumbs."""
        return ">" if self.plain else "›"

    @property
    def rule(self) -> str:
        """A horizontal line."""
        return "-" if self.plain else "─"

    @property
    def bar(self) -> str:
        """A vertical line."""
        return "|" if self.plain else "│"

    @property
    def ellipsis(self) -> str:
        """Something is left out."""
        return self.chars.ellipsis


@cache
def style(tone: str, *, cursor: bool = False, focused: bool = True) -> Style:
    """The Rich style of a tone; the cursor is reverse video, underlined where the focus is elsewhere."""
    base = Style.parse(_TONES.get(tone, "") or "none")
    if not cursor:
        return base
    return Style.parse("reverse") if focused else base + Style.parse("underline")


def state_tone(state: str) -> str:
    """The tone of a state, unknown ones plain."""
    return STATE_TONES.get(state, "")


def themes() -> list[Theme]:
    """What `theme = ...` may name besides Textual's own."""
    from textual.theme import BUILTIN_THEMES, Theme

    dark = BUILTIN_THEMES["ansi-dark"]
    ours = Theme(
        name="penstock",
        primary="ansi_cyan",
        secondary="ansi_cyan",
        warning="ansi_yellow",
        error="ansi_red",
        success="ansi_green",
        accent="ansi_cyan",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        dark=True,
        ansi=True,
        variables=dict(dark.variables),
    )
    return [ours]
