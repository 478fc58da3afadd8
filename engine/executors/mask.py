"""Secrets taken out of what attempts say, before it is stored.

Law: a secret once added is masked from then on, in every attempt's log and report.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.rules.masking import Mask


class Masker:
    """Grows; one thread masks (the supervisor), any thread may add."""

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._mask = Mask(())

    @property
    def longest(self) -> int:
        """Bytes of the longest form of a secret: what a cut through a line must look beyond."""
        return self._mask.longest

    def add(self, values: Iterable[str]) -> None:
        """From now on these are masked too, in every spelling."""
        known = self._values.union(values)
        if known != self._values:
            self._values, self._mask = known, Mask(known)

    def line(self, data: bytes) -> bytes:
        """Bytes of a log."""
        return self._mask.data(data)

    def cut(self, data: bytes, at: int) -> int:
        """Where to cut `data` near `at` so that no secret is torn in two."""
        return self._mask.cut(data, at)

    def text(self, text: str) -> str:
        """One text."""
        return self._mask.text(text)

    def json(self, value: Any) -> Any:
        """Plain JSON: every text in it, keys included."""
        return self._mask.value(value)
