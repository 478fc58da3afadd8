"""The messages of PostgreSQL's `pgoutput` plug-in, version 1, read into changes.

Law: pure: bytes in, values out. Only what is needed is read: begin, commit, relation, insert, update, delete and
truncate; the rest is passed over. Values are text as their type writes it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
UNCHANGED: Any = object()  # a large value that the log does not repeat


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction follows, whole."""

    lsn: int  # where its commit record is
    at: datetime
    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The end of a transaction."""

    end: int  # the first place after it


@dataclass(frozen=True, slots=True)
class Relation:
    """The columns of a table, told before its first change and whenever they have changed."""

    id: int
    columns: Sequence[str]
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Change:
    """One row."""

    relation: int
    op: str  # insert, update, delete
    new: Sequence[Any] | None = None  # a value for each column
    old: Sequence[Any] | None = None  # the key before, or the whole row where the table's identity is full
    whole: bool = False  # `old` is all of it


@dataclass(frozen=True, slots=True)
class Truncate:
    """All rows of these tables have gone."""

    relations: Sequence[int]


@dataclass(slots=True)
class _Reader:
    data: bytes
    at: int = field(default=1)

    def take(self, form: str) -> Any:
        found = struct.unpack_from(f"!{form}", self.data, self.at)
        self.at += struct.calcsize(f"!{form}")
        return found[0]

    def text(self) -> str:
        end = self.data.index(0, self.at)
        found = self.data[self.at : end].decode()
        self.at = end + 1
        return found

    def row(self) -> list[Any]:
        return [self._value() for _ in range(self.take("H"))]

    def _value(self) -> Any:
        kind = self.take("c")
        if kind == b"n":
            return None
        if kind == b"u":
            return UNCHANGED
        size = self.take("i")
        found = self.data[self.at : self.at + size]
        self.at += size
        return found.decode()

    def time(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.take("q"))


def message(data: bytes) -> Begin | Commit | Relation | Change | Truncate | None:
    """One message; None for what tells of no row."""
    reader = _Reader(data)
    kind = data[:1]
    if kind == b"B":
        return Begin(reader.take("Q"), reader.time(), reader.take("I"))
    if kind == b"C":
        reader.take("B")
        reader.take("Q")
        return Commit(reader.take("Q"))
    if kind == b"R":
        return _relation(reader)
    if kind in (b"I", b"U", b"D"):
        return _change(reader, kind)
    if kind == b"T":
        count = reader.take("I")
        reader.take("B")
        return Truncate([reader.take("I") for _ in range(count)])
    return None


def _relation(reader: _Reader) -> Relation:
    number = reader.take("I")
    reader.text()
    reader.text()
    reader.take("B")
    columns, keys = [], set()
    for _ in range(reader.take("H")):
        flags, name = reader.take("B"), reader.text()
        reader.take("I")
        reader.take("i")
        columns.append(name)
        if flags & 1:
            keys.add(name)
    return Relation(number, columns, frozenset(keys))


def _change(reader: _Reader, kind: bytes) -> Change:
    relation = reader.take("I")
    if kind == b"I":
        reader.take("c")
        return Change(relation, "insert", new=reader.row())
    old, whole = None, False
    marker = reader.take("c")
    if marker in (b"K", b"O"):
        old, whole = reader.row(), marker == b"O"
        if kind == b"D":
            return Change(relation, "delete", old=old, whole=whole)
        reader.take("c")
    return Change(relation, "update", new=reader.row(), old=old, whole=whole)
