"""Where somebody is: a view and its argument, as it could be typed after `:`. And where they came from.

Law: pure. Going somewhere forgets what lay ahead, like a browser.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """One view of one thing."""

    view: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.view} {self.argument}".rstrip()


class History:
    """Places gone through, and which of them is shown."""

    def __init__(self, start: Place, *, most: int = 100) -> None:
        self._places = [start]
        self._at = 0
        self._most = most

    @property
    def here(self) -> Place:
        """What is shown."""
        return self._places[self._at]

    @property
    def trail(self) -> list[Place]:
        """From the first place to this one."""
        return self._places[: self._at + 1]

    def go(self, place: Place) -> None:
        """Somewhere new; the same place twice is once."""
        if place == self.here:
            return
        self._places = [*self.trail, place][-self._most :]
        self._at = len(self._places) - 1

    def replace(self, place: Place) -> None:
        """The same view under another argument."""
        self._places[self._at] = place

    def step(self, by: int) -> Place | None:
        """Back or forward; None at the end."""
        if not 0 <= self._at + by < len(self._places):
            return None
        self._at += by
        return self.here
