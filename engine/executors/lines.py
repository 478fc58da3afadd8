"""Bytes of a pipe cut into lines.

Law: bounded memory whatever comes. A line longer than 64 KiB is cut and goes on in the next record; no cut goes
through a secret.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.executors.mask import Masker

LONGEST_LINE = 64 << 10


class Lines:
    """One stream of one attempt."""

    __slots__ = ("_masker", "_rest", "last")

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._rest = bytearray()
        self.last = b""  # the last line that was not blank: what went wrong often stands there

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Whole lines, masked; True: the line goes on in the next one."""
        if b"\n" not in data:
            self._rest += data
        else:
            head, *more = data.split(b"\n")
            self._rest += head
            yield from self._long()
            yield self._line(bytes(self._rest)), False
            tail = more.pop()
            for line in more:
                if len(line) <= LONGEST_LINE:
                    yield self._line(line), False
                    continue
                self._rest[:] = line
                yield from self._long()
                yield self._line(bytes(self._rest)), False
            self._rest[:] = tail
        yield from self._long()

    def end(self) -> Iterator[tuple[bytes, bool]]:
        """What is left when the stream has ended."""
        while len(self._rest) > LONGEST_LINE:
            yield self._cut(), True
        if self._rest:
            yield self._line(bytes(self._rest)), False
            self._rest.clear()

    def _long(self) -> Iterator[tuple[bytes, bool]]:
        # Cut only when a secret that begins before the cut would be whole.
        while len(self._rest) >= LONGEST_LINE + self._masker.longest + 1:
            yield self._cut(), True

    def _cut(self) -> bytes:
        window = bytes(self._rest[: LONGEST_LINE + self._masker.longest])
        at = self._masker.cut(window, LONGEST_LINE)
        piece = bytes(self._rest[:at])
        del self._rest[:at]
        return self._line(piece)

    def _line(self, data: bytes) -> bytes:
        masked = self._masker.line(data)
        if masked and not masked.isspace():
            self.last = masked
        return masked
