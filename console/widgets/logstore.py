"""The lines of a log, kept small: the newest as they are, older ones in compressed blocks.

Law: a million lines cost tens of megabytes, not hundreds; a line is found by its number with one block opened,
which is then remembered. Lines are only ever added. Text stays as it was written: whoever shows it cleans it.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import NamedTuple

BLOCK = 1_000
_OPEN = 8  # blocks kept open

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class LogRecord(NamedTuple):
    """One line."""

    at: float  # seconds since 1970
    level: str
    stream: str
    name: str  # task, with its index where it is mapped
    attempt: int
    text: str


def rank(level: str) -> int:
    """How bad a level is; an unknown one counts as INFO."""
    return LEVELS.index(level) if level in LEVELS else 1


class LogStore:
    """Append-only; reading is safe from another thread."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._newest: list[LogRecord] = []
        self._opened: OrderedDict[int, list[LogRecord]] = OrderedDict()
        self._ranks = array("B")
        self._attempts = array("H")
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._ranks)

    def add(self, records: Iterable[LogRecord]) -> None:
        """Newer lines."""
        for record in records:
            self._newest.append(record)
            if len(self._newest) == BLOCK:
                self._blocks.append(_pack(self._newest))
                self._newest = []
            self._attempts.append(min(record.attempt, 65_535))
            self._ranks.append(rank(record.level))

    def at(self, number: int) -> LogRecord:
        """A line by its number from 0."""
        block, place = divmod(number, BLOCK)
        if block >= len(self._blocks):
            return self._newest[place]
        return self._block(block)[place]

    def kept(self, least: int, attempt: int | None) -> array[int]:
        """The numbers of lines at least so bad, of one attempt or all."""
        ranks, attempts = self._ranks, self._attempts
        return array(
            "I",
            (i for i in range(len(ranks)) if ranks[i] >= least and (attempt is None or attempts[i] == attempt)),
        )

    def fits(self, number: int, least: int, attempt: int | None) -> bool:
        """Whether a line is one of `kept`."""
        return self._ranks[number] >= least and (attempt is None or self._attempts[number] == attempt)

    def attempts(self) -> list[int]:
        """The attempts there are lines of."""
        return sorted(set(self._attempts))

    def bad(self, start: int = 0) -> int | None:
        """The first line from `start` on that says ERROR or worse."""
        return next((i for i in range(start, len(self._ranks)) if self._ranks[i] >= 3), None)

    def __iter__(self) -> Iterator[LogRecord]:
        return (self.at(i) for i in range(len(self)))

    def _block(self, number: int) -> list[LogRecord]:
        with self._lock:
            found = self._opened.get(number)
            if found is None:
                found = self._opened[number] = _unpack(self._blocks[number])
                while len(self._opened) > _OPEN:
                    self._opened.popitem(last=False)
            else:
                self._opened.move_to_end(number)
            return found


def _pack(records: list[LogRecord]) -> bytes:
    return zlib.compress(json.dumps(records, separators=(",", ":")).encode("ascii"), 1)


def _unpack(block: bytes) -> list[LogRecord]:
    return [LogRecord(*each) for each in json.loads(zlib.decompress(block))]
