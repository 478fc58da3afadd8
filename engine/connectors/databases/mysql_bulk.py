"""Many rows into one MySQL table: LOAD DATA from memory where the server allows it, else INSERT of many rows.

Law: what LOAD DATA would bend or skip it only warns of, so that any warning fails the load. INSERT takes 5,000 to
25,000 rows at a time: more when the round trips are short, fewer when they are long, never more than one packet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from engine.connectors.databases import mysql_text as text
from engine.connectors.databases.mysql_catalog import Catalog, Name, quoted
from engine.connectors.databases.mysql_errors import without_values
from engine.connectors.databases.mysql_link import Link
from engine.model.errors import DataQualityError

FEWEST, FIRST, MOST = 5_000, 10_000, 25_000  # rows of one INSERT
SHORT, LONG = 0.5, 5.0  # seconds of one INSERT


class Pace:
    """How many rows the next INSERT takes (DST-08)."""

    def __init__(self) -> None:
        self.rows = FIRST

    def took(self, seconds: float) -> None:
        """An INSERT is through."""
        if seconds < SHORT:
            self.rows = min(MOST, self.rows * 3 // 2)
        elif seconds > LONG:
            self.rows = max(FEWEST, self.rows // 2)


class Bulk:
    """One table and the columns that are written."""

    def __init__(
        self, link: Link, catalog: Catalog, where: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._link, self._catalog, self._where, self._clock = link, catalog, where, clock
        self._allowed, self._packet = self._asked()

    def _asked(self) -> tuple[bool, int]:
        row = self._catalog.rows("SELECT @@local_infile, @@max_allowed_packet")[0]
        return str(row[0]) in ("1", "ON"), int(row[1])

    def write(
        self, into: Name, columns: Sequence[str], bits: Sequence[bool], schema: pa.Schema, batches: Iterable[Any]
    ) -> int:
        """All rows of the batches: how many."""
        if self._allowed:
            return self._load(into, columns, bits, schema, batches)
        return self._insert(into, columns, batches)

    def _load(
        self, into: Name, columns: Sequence[str], bits: Sequence[bool], schema: pa.Schema, batches: Iterable[Any]
    ) -> int:
        listed, sets = text.assignments(schema, [quoted(each) for each in columns], bits)
        statement = (
            f"LOAD DATA LOCAL INFILE 'rows' INTO TABLE {into.sql} CHARACTER SET utf8mb4 "
            r"FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' "
            f"({listed}){f' SET {sets}' if sets else ''}"
        )
        sent = 0

        def blocks() -> Iterator[memoryview]:
            nonlocal sent
            for batch in batches:
                sent += batch.num_rows
                yield text.rows_of(batch)

        written, warnings = self._link.feed(statement, blocks())
        if warnings or written != sent:
            self._refuse(sent - written)
        return sent

    def _refuse(self, missing: int) -> None:
        found = self._catalog.rows("SHOW WARNINGS LIMIT 1")
        words = without_values(str(found[0][2])) if found else "the server gave no reason"
        skipped = f"{missing} row(s) were not taken: " if missing > 0 else ""
        raise DataQualityError(f"{self._where}: {skipped}{words}. Nothing was loaded.")

    def _insert(self, into: Name, columns: Sequence[str], batches: Iterable[Any]) -> int:
        listed = ", ".join(quoted(each) for each in columns)
        start = f"INSERT INTO {into.sql} ({listed}) VALUES ".encode()
        pace, written = Pace(), 0
        for group in self._groups(batches, pace, len(start)):
            began = self._clock()
            rows = self._link.query(start + b",".join(group))
            pace.took(self._clock() - began)
            written += len(group)
            answer: Any = self._link._result
            if answer.warning_count or rows != len(group):
                self._refuse(len(group) - int(rows))
        return written

    def _groups(self, batches: Iterable[Any], pace: Pace, start: int) -> Iterator[list[bytes]]:
        """Tuples in groups of the pace, none longer than half a packet but for a single long row."""
        held: list[bytes] = []
        size = 0
        for batch in batches:
            for row in text.tuples_of(batch):
                if held and (len(held) >= pace.rows or start + size + len(row) > self._packet // 2):
                    yield held
                    held, size = [], 0
                held.append(row)
                size += len(row) + 1
        if held:
            yield held
