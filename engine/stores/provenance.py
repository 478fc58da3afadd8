"""What touches of one transaction do to the store: datasets, versions of their columns, edges.

Law: part of the very transaction that holds the outcomes, on its cursor. What a touch means is
`engine.rules.datasets`; here it is only looked up and written down. Touches of one dataset are bounded in number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from engine.model.dataset import Dataset, DatasetTouch, TouchRecord
from engine.rules.datasets import after_touch, edges_of
from engine.stores import data_records as records
from engine.stores.data_records import Columns
from engine.stores.data_statements import DataStatements
from engine.stores.values import clean

TOUCHES_KEPT = 1_000  # of each dataset, reads and writes apart (LIN-07)


class Cursor(Protocol):
    """What both drivers' cursors can do."""

    def execute(self, sql: Any, parameters: Any = ..., /) -> Any: ...

    def fetchone(self) -> Any: ...


class Provenance:
    """One transaction's touches on their way into the store."""

    def __init__(self, sql: DataStatements, cursor: Cursor) -> None:
        self._sql, self._cursor = sql, cursor
        self._known: dict[tuple[str, str], tuple[Dataset, str]] = {}  # with the hash of its columns

    def write(self, touches: Sequence[TouchRecord]) -> None:
        """All of them, in their order."""
        last = int((self._row(self._sql.last_touch, ()) or (0,))[0] or 0)
        for seq, record in enumerate(touches, last + 1):
            self._touch(record, seq)
        for dataset, columns_hash in self._known.values():
            self._cursor.execute(self._sql.dataset, records.write_dataset(dataset, columns_hash))
        for edge in edges_of(touches):
            self._cursor.execute(self._sql.edge, records.write_edge(edge))
        for key in dict.fromkeys(_group(each) for each in touches):
            self._cursor.execute(self._sql.trimmed, (*key, *key, 1, TOUCHES_KEPT))

    def _touch(self, record: TouchRecord, seq: int) -> None:
        touch = record.touch
        columns_hash, text = records.write_columns(touch.columns)
        key = (record.profile or "", clean(touch.dataset))
        known, known_hash = self._look_up(key)
        if columns_hash:
            self._cursor.execute(self._sql.new_columns, (columns_hash, text))
        # The same text is the same columns, whatever had to be replaced in their names on the way here.
        previous = touch.columns if columns_hash in ("", known_hash) else self._previous(record)
        found = after_touch(known, record, previous)
        if found.columns != (known.columns if known is not None else ()):
            self._cursor.execute(self._sql.version, records.write_version(found, columns_hash, record))
            known_hash = columns_hash
        self._known[key] = found, known_hash
        self._cursor.execute(self._sql.touch, records.write_touch(record, seq, columns_hash))

    def _look_up(self, key: tuple[str, str]) -> tuple[Dataset | None, str]:
        if key in self._known:
            return self._known[key]
        row = self._row(self._sql.known, key)
        if row is None:
            return None, ""
        return records.dataset_of(row, self._columns(row[4])), row[4]

    def _previous(self, record: TouchRecord) -> Columns | None:
        key = (*_group(record), record.pipeline_id, record.task_id, "", 1, 0)
        row = self._row(self._sql.previous, key)
        return None if row is None else self._columns(row[0])

    def _columns(self, columns_hash: str) -> Columns:
        row = self._row(self._sql.columns, (columns_hash,)) if columns_hash else None
        return records.read_columns(row[0]) if row is not None else ()

    def _row(self, sql: str, parameters: tuple[Any, ...]) -> Any:
        self._cursor.execute(sql, parameters)
        return self._cursor.fetchone()


def _group(record: TouchRecord) -> tuple[str, str, str]:
    touch: DatasetTouch = record.touch
    return (record.profile or "", clean(touch.dataset), touch.direction.value)
