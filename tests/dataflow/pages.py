"""A small system to read from: pages of numbers in a SQLite file, which remembers what was asked of it.

It can be told to fail, to change its columns, and to want its pages confirmed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.dataflow.kinds import columns_of, fingerprint
from engine.model.dataset import DatasetTouch, Direction, Strategy
from engine.model.errors import NetworkError
from engine.ports.source import Candidate, Seen, Selection
from engine.ports.stream import RawText
from engine.rules.watermarks import read, written

PAGE = 10


class Pages:
    """The system itself, as a test sees it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "pages.db"
        with self.link() as link:
            link.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, seq INTEGER, name TEXT)")
            link.execute("CREATE TABLE IF NOT EXISTS asked (page INTEGER)")
            link.execute("CREATE TABLE IF NOT EXISTS confirmed (upto INTEGER)")
            link.execute("CREATE TABLE IF NOT EXISTS told (what TEXT PRIMARY KEY, value TEXT)")

    def link(self) -> sqlite3.Connection:
        """Each statement commits by itself."""
        return sqlite3.connect(self.path, isolation_level=None, timeout=30)

    def add(self, count: int) -> None:
        """More rows, newer ones."""
        with self.link() as link:
            first = link.execute("SELECT coalesce(max(id), 0) FROM rows").fetchone()[0]
            link.executemany(
                "INSERT INTO rows VALUES (?, ?, ?)",
                [(first + n, 100 + first + n, f"row {first + n}") for n in range(1, count + 1)],
            )

    def tell(self, **what: Any) -> None:
        """fail_at: a page that fails; resumable; wants_confirmation; columns: another column."""
        with self.link() as link:
            for name, value in what.items():
                link.execute("INSERT OR REPLACE INTO told VALUES (?, ?)", (name, json.dumps(value)))

    def told(self, what: str) -> Any:
        with self.link() as link:
            row = link.execute("SELECT value FROM told WHERE what = ?", (what,)).fetchone()
        return json.loads(row[0]) if row else None

    def asked(self) -> list[int]:
        """The pages that were fetched, in order."""
        with self.link() as link:
            return [row[0] for row in link.execute("SELECT page FROM asked ORDER BY rowid")]

    def confirmed(self) -> list[int]:
        """Up to which row, each time."""
        with self.link() as link:
            return [row[0] for row in link.execute("SELECT upto FROM confirmed ORDER BY rowid")]


class PagedSource:
    """See engine.ports.source.Source."""

    def __init__(self, folder: Path) -> None:
        self._pages = Pages(folder)

    def test(self) -> str:
        return "It is there."

    def discover(self, pattern: str = "*", limit: int = 1000) -> Sequence[str]:
        return ["rows"]

    def schema_of(self, selection: Selection) -> pa.Schema:
        return PagedReading(self._pages, selection).schema

    def candidates(self, selection: Selection) -> Sequence[Candidate]:
        return [Candidate(strategy=Strategy.ID, column="seq", reason="It rises.")]

    def newest(self, selection: Selection) -> Any:
        return None

    def read(self, selection: Selection) -> PagedReading:
        return PagedReading(self._pages, selection)

    def close(self) -> None:
        """Nothing is open."""


class PagedReading:
    """See engine.ports.source.Reading."""

    def __init__(self, pages: Pages, selection: Selection) -> None:
        self._pages, self._selection = pages, selection
        self._next = int((selection.resume or {}).get("page", 0))
        self._row = int((selection.resume or {}).get("row", 0))
        self._top: int | None = (selection.resume or {}).get("top")
        fields = [pa.field("id", pa.int64()), pa.field("seq", pa.int64()), pa.field("name", pa.string())]
        extra = pages.told("columns")
        self.schema = pa.schema([*fields, *([pa.field(extra, pa.string())] if extra else [])])
        self.acknowledges = bool(pages.told("wants_confirmation"))

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        window = self._selection.window
        after = read(window.after) if window and window.after else -1
        while True:
            with self._pages.link() as link:
                link.execute("INSERT INTO asked VALUES (?)", (self._next,))
                if self._pages.told("fail_at") == self._next:
                    raise NetworkError(f"Page {self._next} does not answer.")
                found = link.execute(
                    "SELECT id, seq, name FROM rows WHERE seq > ? AND id > ? ORDER BY id LIMIT ?",
                    (after, self._row, PAGE),
                ).fetchall()
            if not found:
                return
            self._next, self._row = self._next + 1, found[-1][0]
            self._top = max(self._top or 0, *(row[1] for row in found))
            columns = [*(list(each) for each in zip(*found, strict=True))]
            if len(self.schema) > len(columns):
                columns.append([None] * len(found))
            yield pa.record_batch(columns, schema=self.schema)

    def touches(self) -> Sequence[DatasetTouch]:
        return [DatasetTouch(direction=Direction.READ, dataset="pages:rows", columns=columns_of(self.schema))]

    def seen(self) -> Seen | None:
        if self._selection.window is None:
            return None
        mark = fingerprint(self.schema)
        return Seen(strategy=Strategy.ID, column="seq", value=written(self._top), fingerprint=mark)

    def position(self) -> Any:
        if not self._pages.told("resumable"):
            return None
        return {"page": self._next, "row": self._row, "top": self._top}

    def raw(self) -> RawText | None:
        return None

    def acknowledge(self) -> None:
        if self.acknowledges:
            with self._pages.link() as link:
                link.execute("INSERT INTO confirmed VALUES (?)", (self._row,))

    def close(self) -> None:
        """Nothing is open between two pages."""
