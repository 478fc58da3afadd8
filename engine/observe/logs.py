"""Attempt logs read back: implements engine.ports.logs.LogReader.

Law: reading never leaves the logs folder, never loads a whole file, and takes files as they are found: growing,
rotating, torn by a crash or gone. One attempt's log is the file itself and, once it was too long, its rotated
parts beside it (`.gap`, `.old`, `.new`); sequence numbers say in which order the parts belong.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from engine.model.errors import RequestError
from engine.ports.logs import LogLine

PARTS = ("", ".gap", ".old", ".new")
_LONGEST = 1024 * 1024  # of one stored line: 64 KiB of text, every byte of it escaped
_BLOCK = 256 * 1024
_SHORT = 1024 * 1024  # bytes that may as well be read from the beginning
_MOST_PLACES = 512
# <task>.<sequence>.<attempt>.jsonl, with the map index in brackets behind the task
_NAME = re.compile(r"(?P<task>[^.\[\]]+)(?:\[(?P<index>\d+)\])?\.\d+\.(?P<attempt>\d+)\.jsonl")
_EPOCH = datetime.fromtimestamp(0, UTC)
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class LogFiles:
    """All logs below one folder: `<run id>/<file of the attempt>`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: OrderedDict[tuple[str, str | None, int], _Place] = OrderedDict()  # by what was given last
        self._lock = threading.Lock()

    def lines(self, log: str, *, after: int = 0, grep: str | None = None) -> Iterator[LogLine]:
        """Lines with seq > after; with grep those that contain the text, whatever its case."""
        wanted = grep.casefold() if grep else None
        with ExitStack() as stack:
            files, named = self._open(log, stack), _named(log)
            place = self._place(log, grep, after, files)
            for file in files[place.part :]:
                inode = os.fstat(file.fileno()).st_ino
                for record in _records(file):
                    place.pass_line(record, file, inode)
                    if place.seq <= after:
                        continue
                    line = _line(record, named, place.seq)
                    if wanted is None or wanted in line.text.casefold():
                        place.given = line.seq
                        yield line
        self._remember(log, grep, place)

    def tail(self, log: str, count: int) -> list[LogLine]:
        """The last lines, oldest first; of a long log read from the end. `lines` after the last goes on there."""
        found: deque[LogLine] = deque()
        with ExitStack() as stack:
            files, named = self._open(log, stack), _named(log)
            if sum(os.fstat(file.fileno()).st_size for file in files) <= _SHORT:
                return list(deque(self.lines(log), maxlen=max(0, count)))
            for file in reversed(files):
                end = _end_of_lines(file)
                for record in _last_records(file, count - len(found), end):
                    if not found and _seq(record):
                        self._remember(log, None, _Place.at(_seq(record), file, end))
                    found.appendleft(_line(record, named, _seq(record)))
                if len(found) >= count:
                    break
        return list(found)

    def delete_run(self, run_id: str) -> int:
        """Remove a run's folder; bytes freed."""
        folder = self._inside(run_id)
        if folder == self._folder.resolve() or not folder.is_dir():
            return 0
        freed = _bytes(folder)
        shutil.rmtree(folder, ignore_errors=True)  # what is left is freed at the next pass
        return freed - _bytes(folder)

    def used_bytes(self) -> int:
        """Size of all logs."""
        return _bytes(self._folder)

    def _open(self, log: str, stack: ExitStack) -> list[BinaryIO]:
        """The parts that exist, by their first sequence number. All are opened before any is read, so that a
        rotation in between takes none of them away."""
        base = self._inside(log)
        files: list[tuple[int, BinaryIO]] = []
        for suffix in PARTS:
            try:
                file = stack.enter_context(base.with_name(base.name + suffix).open("rb"))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            first = _first_seq(file)
            if first is not None:
                files.append((first, file))
                file.seek(0)
        return [file for _, file in sorted(files, key=lambda pair: pair[0])]

    def _place(self, log: str, grep: str | None, after: int, files: Sequence[BinaryIO]) -> _Place:
        """Where to go on: where the reader that asks for `after` stopped last time, else at the beginning. Without
        it, following a log would read all of it at each look."""
        with self._lock:
            place = self._places.get((log, grep, after))
        if place is not None:
            for part, file in enumerate(files):
                status = os.fstat(file.fileno())
                if status.st_ino == place.inode and status.st_size >= place.byte:
                    file.seek(place.byte)
                    return replace(place, part=part)
        return _Place(given=after)

    def _remember(self, log: str, grep: str | None, place: _Place) -> None:
        with self._lock:
            self._places[log, grep, place.given] = place
            self._places.move_to_end((log, grep, place.given))
            while len(self._places) > _MOST_PLACES:
                self._places.popitem(last=False)

    def _inside(self, name: str) -> Path:
        folder = self._folder.resolve()
        path = (folder / name).resolve() if name and "\x00" not in name else folder.parent
        if not path.is_relative_to(folder):
            raise RequestError(f"'{name[:80]!a}' is not below the logs folder {folder}.")
        return path


@dataclass(slots=True)
class _Place:
    """How far a reader has come."""

    given: int  # the last number it was given: what it will ask to go on after
    part: int = 0
    inode: int = 0
    byte: int = 0  # behind the last whole line
    raw: int = 0  # the number in that line
    offset: int = 0

    @classmethod
    def at(cls, seq: int, file: BinaryIO, byte: int) -> _Place:
        """Behind a line whose number is known."""
        return cls(given=seq, inode=os.fstat(file.fileno()).st_ino, byte=byte, raw=seq)

    @property
    def seq(self) -> int:
        return self.offset + self.raw

    def pass_line(self, record: Any, file: BinaryIO, inode: int) -> None:
        number = _seq(record) or self.raw + 1  # a damaged line counts as the next one
        if number <= self.raw:
            self.offset += self.raw  # the next poke of a sensor began to count anew in the same file
        self.raw = number
        self.byte = file.tell()
        self.inode = inode


def _records(file: BinaryIO) -> Iterator[Any]:
    """Whole lines only: what has no end yet is still being written, or was torn by a crash."""
    while raw := file.readline(_LONGEST):
        if not raw.endswith(b"\n"):
            if len(raw) < _LONGEST:
                return
            _skip_line(file)
        yield _decoded(raw)


def _first_seq(file: BinaryIO) -> int | None:
    """The first number in it, whatever damaged lines are before that; None: it has no whole line yet."""
    found = None
    for record in _records(file):
        found = _seq(record)
        if found:
            break
    return found


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(_LONGEST)) and not rest.endswith(b"\n"):
        pass


def _end_of_lines(file: BinaryIO) -> int:
    """Behind the last whole line."""
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        found = file.read(size).rfind(b"\n")
        if found >= 0:
            return position + found + 1
    return 0


def _last_records(file: BinaryIO, count: int, end: int) -> Iterator[Any]:
    """The last lines before `end`, newest first, in blocks from there."""
    position = end - 1  # without the last line's end
    rest = b""
    while position > 0 and count > 0:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        rest, *whole = (file.read(size) + rest).split(b"\n")
        for piece in reversed(whole):
            if count <= 0:
                return
            count -= 1
            yield _decoded(piece)
    if end > 0 and count > 0:
        yield _decoded(rest)


def _decoded(raw: bytes) -> Any:
    """The record, or None for a line that is none (a crash tore it, and the next writer went on behind it)."""
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _seq(record: Any) -> int:
    seq = record.get("seq") if isinstance(record, dict) else None
    return seq if isinstance(seq, int) else 0


def _named(log: str) -> tuple[str, int | None, int]:
    """Task, map index and attempt, as the file's name says."""
    found = _NAME.fullmatch(Path(log).name)
    if found is None:
        return "", None, 0
    index = found.group("index")
    return found.group("task"), int(index) if index else None, int(found.group("attempt"))


def _line(record: Any, named: tuple[str, int | None, int], seq: int) -> LogLine:
    fields = record if isinstance(record, dict) else {}
    task_id, map_index, attempt = named
    return LogLine(
        seq=seq,
        at=instant(fields.get("at")) or _EPOCH,
        stream=str(fields.get("stream", "engine")),
        level=str(fields.get("level", "WARNING")),
        text=_text(fields),
        task_id=task_id,
        map_index=map_index,
        attempt=attempt,
    )


def _text(fields: dict[str, Any]) -> str:
    if "text" in fields:
        return str(fields["text"])
    try:
        return base64.b64decode(str(fields["b64"]), validate=True).decode("utf-8", "surrogateescape")
    except (KeyError, ValueError):
        return "(this line of the log is damaged)"


def instant(value: Any) -> datetime | None:
    """An ISO 8601 instant, aware; None when it is none."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bytes(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue  # it went while we counted
    return total
