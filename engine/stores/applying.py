"""One `Changes` as a handful of statements on the driver's cursor.

Law: it runs inside a transaction somebody else began and ends; a row that was not as expected raises Conflict and
leaves the rollback to them. A record that is both new and replaced in the same changes is inserted as its last
form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from engine.model.errors import Conflict
from engine.ports.store import Changes
from engine.stores import chain, data_records, ledgers, records
from engine.stores.provenance import Provenance
from engine.stores.records import Values
from engine.stores.schema import COMMIT_IDS_KEPT
from engine.stores.statements import Statements
from engine.stores.values import map_key, micros

Record = TypeVar("Record")


class Cursor(Protocol):
    """What both drivers' cursors can do."""

    @property
    def rowcount(self) -> int: ...

    def execute(self, sql: Any, parameters: Any = ..., /) -> Any: ...

    def executemany(self, sql: Any, parameters: Any, /) -> Any: ...

    def fetchone(self) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """The last numbers given, kept in the leadership row: whoever writes it next goes on from there."""

    commits: int
    event_seq: int
    transition_seq: int
    audit_seq: int
    audit_hash: str

    @property
    def values(self) -> Values:
        return (self.commits, self.event_seq, self.transition_seq, self.audit_seq, self.audit_hash)


class Application:
    """The statements of one `Changes`, written from `heads` on."""

    def __init__(self, statements: Statements, changes: Changes, heads: Heads) -> None:
        self._sql = statements
        self._changes = changes
        self._before = heads
        self._audit, audit_seq, audit_hash = chain.append(changes.audit, heads.audit_seq, heads.audit_hash)
        self.heads = replace(
            heads,
            commits=heads.commits + 1,
            event_seq=heads.event_seq + len(changes.events),
            transition_seq=heads.transition_seq + len(changes.transitions),
            audit_seq=audit_seq,
            audit_hash=audit_hash,
        )

    @property
    def last_event(self) -> int:
        """The number of its last event; 0 when it has none."""
        return self.heads.event_seq if self._changes.events else 0

    def run(self, cursor: Cursor, commit_id: str, at: datetime) -> None:
        """All of it. The fence (the leadership row) was written before."""
        slot = self.heads.commits % COMMIT_IDS_KEPT
        cursor.execute(self._sql.commit_id, (slot, commit_id, self.last_event))
        self._runs(cursor)
        self._executions(cursor)
        self._attempts(cursor)
        self._ledgers(cursor)
        if self._changes.verdicts:
            self._verdicts(cursor, micros(at))
        self._rest(cursor)

    def _runs(self, cursor: Cursor) -> None:
        changes = self._changes
        _many(cursor, self._sql.new_version, [ledgers.write_version(each) for each in changes.versions])
        new, replaced = _apart(changes.new_runs, changes.runs, lambda run: run.run_id)
        _many(cursor, self._sql.new_run, [records.run_birth(run) + records.run_life(run) for run in new])
        rows = [(*records.run_life(run), run.run_id, run.row_version - 1) for run in replaced]
        _exactly(cursor, self._sql.run, rows, "run")

    def _executions(self, cursor: Cursor) -> None:
        changes = self._changes
        new, replaced = _apart(changes.new_executions, changes.executions, lambda each: each.execution_id)
        life = records.execution_life
        rows = [(*records.execution_birth(each), *life(each), place, 1) for place, each in enumerate(new)]
        _many(cursor, self._sql.new_execution, rows)
        later = [each for each in new if each.sequence > 0]
        _many(
            cursor,
            self._sql.superseded,
            [(0, each.run_id, each.task_id, map_key(each.map_index), each.sequence, 1) for each in later],
        )
        rows = [(*life(each), each.execution_id, each.row_version - 1) for each in replaced]
        _exactly(cursor, self._sql.execution, rows, "task execution")
        retired: list[Values] = [(0, execution_id) for execution_id in changes.retired_executions]
        _exactly(cursor, self._sql.retired, retired, "task execution")

    def _attempts(self, cursor: Cursor) -> None:
        changes = self._changes
        new, replaced = _apart(changes.new_attempts, changes.attempts, lambda each: each.token)
        rows = [records.attempt_birth(each) + records.attempt_life(each) for each in new]
        _many(cursor, self._sql.new_attempt, rows)
        rows = [(*records.attempt_life(each), each.token) for each in replaced]
        _exactly(cursor, self._sql.attempt, rows, "attempt")
        _many(cursor, self._sql.removed_attempt, [(token,) for token in changes.removed_attempts])

    def _ledgers(self, cursor: Cursor) -> None:
        changes, before = self._changes, self._before
        write = ledgers.write_transition
        numbered = enumerate(changes.transitions, before.transition_seq + 1)
        _many(cursor, self._sql.transition, [write(each, seq) for seq, each in numbered])
        events = enumerate(changes.events, before.event_seq + 1)
        _many(cursor, self._sql.event, [ledgers.write_event(each, seq) for seq, each in events])
        _many(cursor, self._sql.audit, self._audit)

    def _verdicts(self, cursor: Cursor, at: int) -> None:
        ends: list[Values] = []
        begun: list[Values] = []
        for execution_id, verdict in self._changes.verdicts.items():
            if verdict is None:
                ends.append((at, execution_id, -1, ""))
            else:
                row = ledgers.write_verdict(verdict)
                ends.append((row[1], execution_id, row[1], row[2]))
                begun.append((*row, None))
        _many(cursor, self._sql.verdict_end, ends)
        _many(cursor, self._sql.verdict, begun)

    def _rest(self, cursor: Cursor) -> None:
        changes, sql = self._changes, self._sql
        new, replaced = _apart(changes.new_letters, changes.letters, lambda each: each.id)
        _many(cursor, sql.new_letter, [ledgers.write_letter(each) for each in new])
        letters = [ledgers.write_letter(each) for each in replaced]
        _exactly(cursor, sql.letter, [(*row[1:], row[0]) for row in letters], "dead letter")
        dropped = [(run, task, map_key(index)) for run, task, index in changes.dropped_checkpoints]
        _many(cursor, sql.dropped_checkpoint, dropped)
        _many(cursor, sql.checkpoint, [ledgers.write_checkpoint(each) for each in changes.checkpoints])
        _many(cursor, sql.schedule, [ledgers.write_schedule(each) for each in changes.schedules.values()])
        _many(cursor, sql.mended, [(file,) for file, status in changes.broken.items() if status is None])
        broken = [(file, status) for file, status in changes.broken.items() if status is not None]
        _many(cursor, sql.broken, [ledgers.write_broken(file, status) for file, status in broken])
        _many(cursor, sql.metric, [ledgers.write_metric(each) for each in changes.metrics])
        self._data(cursor)

    def _data(self, cursor: Cursor) -> None:
        changes, sql = self._changes, self._sql.data
        _many(cursor, sql.watermark, [data_records.write_watermark(each) for each in changes.watermarks])
        _many(cursor, sql.breaker, [data_records.write_breaker(each) for each in changes.breakers.values()])
        if changes.touches:
            Provenance(sql, cursor).write(changes.touches)


def latest_instant(changes: Changes) -> datetime | None:
    """When all this happened, as far as it says itself."""
    instants = [each.at for each in changes.transitions] + [each.at for each in changes.events]
    return max(instants, default=None)


def _apart(
    new: Sequence[Record], replaced: Mapping[str, Record], key: Callable[[Record], str]
) -> tuple[Sequence[Record], Sequence[Record]]:
    """New records in their last form, and those that replace a row that is there already."""
    if not new or not replaced:
        return new, list(replaced.values())
    born = {key(record) for record in new}
    final = [replaced.get(key(record), record) for record in new]
    return final, [record for name, record in replaced.items() if name not in born]


def _many(cursor: Cursor, sql: str, rows: Sequence[Values]) -> None:
    if len(rows) == 1:
        cursor.execute(sql, rows[0])
    elif rows:
        cursor.executemany(sql, rows)


def _exactly(cursor: Cursor, sql: str, rows: Sequence[Values], noun: str) -> None:
    """A compare-and-set of many rows: each has to be there as expected."""
    if not rows:
        return
    _many(cursor, sql, rows)
    if cursor.rowcount != len(rows):
        missed = len(rows) - cursor.rowcount
        raise Conflict(f"{missed} of {len(rows)} {noun} row(s) had been written by somebody else; nothing was.")
