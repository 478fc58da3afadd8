"""One attempt's log on disk.

Law: JSON lines as engine.ports.logs describes them, in the order they came; nothing is made for an attempt that
says nothing. Past its cap the first half stays and the last half rotates. A disk that is full costs lines,
counted, and never an error to the caller.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

BUFFER = 64 << 10
_LINE_END = ord("\n")
GAP, OLD, NEW = ".gap", ".old", ".new"
_encode = msgspec.json.Encoder().encode


class AttemptLog:
    """Written by one thread. The cap counts bytes on disk: half for the head, a quarter for each of two tails."""

    def __init__(
        self,
        path: Path | str,
        *,
        cap: int,
        now: Callable[[], datetime],
        file_mode: int = 0o600,
        folder_mode: int = 0o700,
    ) -> None:
        self._path = path
        self._cap = cap
        self._now = now
        self._modes = file_mode, folder_mode
        self._handle: int | None = None
        self._buffer = bytearray()
        self._buffered = 0  # lines in it
        self._seq = 0
        self._size = 0  # bytes of the current file, buffer included
        self._lines = 0  # of the current file
        self._old = (0, 0)  # lines and bytes of the old tail
        self._missing = (0, 0)
        self._gap_seq = 0  # > 0: the head is full
        self._dropped = 0
        self._telling = 0  # dropped lines of which the first line in the buffer tells
        self._torn = False

    @property
    def dirty(self) -> bool:
        """Whether something waits to be flushed."""
        return bool(self._buffer)

    @property
    def lost(self) -> int:
        """Lines that could not be written and of which no note in the log tells, so far."""
        return self._dropped + self._telling

    def add(
        self, stream: str, level: str, data: bytes, *, at: str, more: bool = False, logger: str | None = None
    ) -> None:
        """One record. `at` is a `stamp`, made once per read: lines that came together have one time."""
        record: dict[str, Any] = {"seq": 0, "at": at, "stream": stream, "level": level}
        try:
            record["text"] = data.decode()
        except UnicodeDecodeError:
            record["b64"] = data  # msgspec writes bytes as base64
        if logger:
            record["logger"] = logger
        if more:
            record["more"] = True
        self._append(record)

    def flush(self) -> None:
        """Hand the buffer to the kernel."""
        if not self._buffer:
            return
        written = self._write(self._buffer)
        if written < len(self._buffer):
            whole = self._buffer.count(b"\n", 0, written)
            if self._telling and not whole:  # the note is lost, too, and it was no line of the attempt's
                self._dropped += self._telling - 1
            self._dropped += self._buffered - whole
            self._size -= len(self._buffer) - written
        self._buffered = self._telling = 0
        self._buffer.clear()

    def close(self) -> None:
        """Flush and let go of the file."""
        self.flush()
        self._tell_dropped()
        self.flush()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _append(self, record: dict[str, Any]) -> None:
        limit = self._cap // 4 if self._gap_seq else self._cap // 2
        if self._size >= limit:
            self._turn()
        if self._dropped:
            self._tell_dropped()
        self._put(record)

    def _put(self, record: dict[str, Any]) -> None:
        self._seq += 1
        record["seq"] = self._seq
        line = _encode(record) + b"\n"
        self._buffer += line
        self._buffered += 1
        self._size += len(line)
        self._lines += 1
        if len(self._buffer) >= BUFFER:
            self.flush()

    def _tell_dropped(self) -> None:
        if self._dropped:
            text = f"{self._dropped} lines could not be written here: the disk was full or not writable."
            self._telling, self._dropped = self._dropped, 0
            self._put(self._note(text))

    def _note(self, text: str) -> dict[str, Any]:
        return {"seq": 0, "at": stamp(self._now()), "stream": "engine", "level": "WARNING", "text": text}

    def _turn(self) -> None:
        """The current file is full: go on in a new tail; the tail before the last goes."""
        self.flush()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        try:
            if self._gap_seq:
                self._missing = self._missing[0] + self._old[0], self._missing[1] + self._old[1]
                self._old = self._lines, self._size
                if self._name(NEW).exists():
                    self._name(NEW).replace(self._name(OLD))
            else:
                self._seq += 1
                self._gap_seq = self._seq
            if self._missing[0]:
                self._write_gap()
        except OSError:
            pass  # the lines themselves will fail next, and be counted
        self._size = self._lines = 0

    def _write_gap(self) -> None:
        lines, size = self._missing
        text = f"{lines} lines ({size / 1e6:.1f} MB) are missing here: the log passed its {self._cap / 1e6:g} MB."
        line = self._note(text) | {"seq": self._gap_seq}
        partial = self._name(GAP + "~")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, self._modes[0])
        try:
            os.write(handle, _encode(line) + b"\n")
        finally:
            os.close(handle)
        partial.replace(self._name(GAP))

    def _write(self, data: bytearray) -> int:
        """How many of these bytes were written."""
        left = len(data)
        try:
            if self._handle is None:
                self._handle = self._open()
            # After a write that failed half-way its torn line is ended, so that it spoils no other.
            if self._torn:
                os.write(self._handle, b"\n")
                self._torn = False
            view = memoryview(data)
            while left:
                left -= os.write(self._handle, view[-left:])
        except OSError:
            written = len(data) - left
            self._torn = self._torn or (written > 0 and data[written - 1] != _LINE_END)
        return len(data) - left

    def _open(self) -> int:
        target = self._name(NEW if self._gap_seq else "")
        target.parent.mkdir(mode=self._modes[1], parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(target, flags, self._modes[0])

    def _name(self, suffix: str) -> Path:
        return Path(f"{self._path}{suffix}")  # made only when something is written: most attempts say nothing


def stamp(moment: datetime) -> str:
    """ISO 8601 with milliseconds and Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
