"""The wake-up heap: what the engine has to look at, and when. No polling of what is known in advance."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from heapq import heappop, heappush
from itertools import count


class Timers:
    """Named alarms on the wall clock; a name set again replaces its earlier alarm."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, str, Callable[[], None]]] = []
        self._valid: dict[str, int] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._valid)

    def set(self, name: str, at: datetime, ring: Callable[[], None]) -> None:
        """Ring at this time (or at once when it has passed)."""
        number = next(self._numbers)
        self._valid[name] = number
        heappush(self._heap, (at, number, name, ring))

    def drop(self, name: str) -> None:
        """Never mind."""
        self._valid.pop(name, None)

    def next(self) -> datetime | None:
        """When the next one rings."""
        while self._heap and self._valid.get(self._heap[0][2]) != self._heap[0][1]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: datetime) -> list[Callable[[], None]]:
        """Take everything that is to ring by now, earliest first."""
        rings: list[Callable[[], None]] = []
        while (at := self.next()) is not None and at <= now:
            _, _, name, ring = heappop(self._heap)
            del self._valid[name]
            rings.append(ring)
        return rings
