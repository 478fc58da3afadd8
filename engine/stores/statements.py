"""The statements of the hot path, compiled once per database to text with positional parameters.

Law: they are built from the tables of `schema`, never written as text. SQLAlchemy's own executemany costs more
than SQLite needs to run the statement, so the writer hands these texts and plain tuples to the driver itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement, Dialect, Table, and_, bindparam, delete, insert, not_, or_, select, update

from engine.stores import ledgers, records
from engine.stores import schema as s
from engine.stores.data_statements import DataStatements, compile_data_statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """SQL text by purpose; the order of the parameters is the order of the names in `records` and `ledgers`."""

    fence: str
    commit_id: str
    new_version: str
    new_run: str
    run: str
    new_execution: str
    execution: str
    superseded: str
    retired: str
    new_attempt: str
    attempt: str
    removed_attempt: str
    transition: str
    verdict_end: str
    verdict: str
    event: str
    new_letter: str
    letter: str
    checkpoint: str
    dropped_checkpoint: str
    audit: str
    schedule: str
    broken: str
    mended: str
    metric: str
    data: DataStatements


def compile_statements(dialect: Dialect) -> Statements:
    """All of them, for one database."""
    make = Compiler(dialect)
    return Statements(
        fence=make.update(s.leadership, FENCE_SET, FENCE_WHERE),
        commit_id=make.upsert(s.commit_ids, ("slot", "commit_id", "event_seq"), ("slot",)),
        new_version=make.insert(s.pipeline_versions, ledgers.VERSION),
        new_run=make.insert(s.pipeline_runs, records.RUN_BIRTH + records.RUN_LIFE),
        run=make.update(s.pipeline_runs, records.RUN_LIFE, ("run_id", "row_version")),
        new_execution=make.insert(
            s.task_executions,
            (*records.EXECUTION_BIRTH, *records.EXECUTION_LIFE, "ordinal", "current"),
        ),
        execution=make.update(s.task_executions, records.EXECUTION_LIFE, ("execution_id", "row_version")),
        superseded=make.superseded(),
        retired=make.update(s.task_executions, ("current",), ("execution_id",)),
        new_attempt=make.insert(s.attempts, records.ATTEMPT_BIRTH + records.ATTEMPT_LIFE),
        attempt=make.update(s.attempts, records.ATTEMPT_LIFE, ("token",)),
        removed_attempt=make.delete(s.attempts, ("token",)),
        transition=make.insert(s.transitions, ledgers.TRANSITION),
        verdict_end=make.verdict_end(),
        verdict=make.upsert(s.verdicts, (*ledgers.VERDICT, "until"), ("execution_id", "since", "code")),
        event=make.insert(s.events, ledgers.EVENT),
        new_letter=make.insert(s.dead_letters, ledgers.LETTER),
        letter=make.update(s.dead_letters, ledgers.LETTER[1:], ("id",)),
        checkpoint=make.upsert(s.checkpoints, ledgers.CHECKPOINT, ("run_id", "task_id", "map_index")),
        dropped_checkpoint=make.delete(s.checkpoints, ("run_id", "task_id", "map_index")),
        audit=make.insert(s.audit, tuple(s.audit.columns.keys())),
        schedule=make.upsert(s.schedules, ledgers.SCHEDULE, ("pipeline_id", "profile")),
        broken=make.upsert(s.definition_status, ledgers.BROKEN, ("file",)),
        mended=make.delete(s.definition_status, ("file",)),
        metric=make.upsert(s.task_metrics, ledgers.METRIC, ledgers.METRIC[:5]),
        data=compile_data_statements(make),
    )


FENCE_SET = ("commits", "event_seq", "transition_seq", "audit_seq", "audit_hash")
FENCE_WHERE = ("id", "epoch", "holder")


class Compiler:
    """Core constructs to text, refusing any whose parameters would not come in the order asked for."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._insert: Any
        if dialect.name == "sqlite":  # the other dialect is not even imported
            from sqlalchemy.dialects import sqlite

            self._insert = sqlite.insert
        else:
            from sqlalchemy.dialects import postgresql

            self._insert = postgresql.insert

    def insert(self, table: Table, names: Sequence[str]) -> str:
        values = {name: bindparam(name, type_=table.c[name].type) for name in names}
        return self.text(insert(table).values(values), names)

    def update(self, table: Table, names: Sequence[str], where: Sequence[str]) -> str:
        values = [(table.c[name], bindparam(f"new_{name}", type_=table.c[name].type)) for name in names]
        statement = update(table).where(_matches(table, where)).ordered_values(*values)
        return self.text(statement, [*(f"new_{name}" for name in names), *(f"key_{name}" for name in where)])

    def delete(self, table: Table, where: Sequence[str]) -> str:
        return self.text(delete(table).where(_matches(table, where)), [f"key_{name}" for name in where])

    def select(self, table: Table, names: Sequence[str], where: Sequence[str]) -> str:
        statement = select(*(table.c[name] for name in names)).where(_matches(table, where))
        return self.text(statement, [f"key_{name}" for name in where])

    def upsert(
        self,
        table: Table,
        names: Sequence[str],
        key: Sequence[str],
        keep: Sequence[str] = (),
        unless: Callable[[Any, Any], Any] | None = None,
    ) -> str:
        """A row that is there keeps its `keep`; `unless` (old row, new row) it is to be left as it is."""
        values = {name: bindparam(name, type_=table.c[name].type) for name in names}
        statement = self._insert(table).values(values)
        changed = {name: statement.excluded[name] for name in names if name not in (*key, *keep)}
        if not changed:
            return self.text(statement.on_conflict_do_nothing(index_elements=list(key)), names)
        where = None if unless is None else not_(unless(table.c, statement.excluded))
        return self.text(
            statement.on_conflict_do_update(index_elements=list(key), set_=changed, where=where), names
        )

    def superseded(self) -> str:
        """A newer execution of the same task makes the older ones history."""
        table = s.task_executions
        older = and_(
            _matches(table, ("run_id", "task_id", "map_index")),
            table.c.sequence < bindparam("key_sequence", type_=table.c.sequence.type),
            table.c.current == bindparam("key_current", type_=table.c.current.type),
        )
        statement = update(table).where(older).ordered_values((table.c.current, bindparam("new_current")))
        names = ("new_current", "key_run_id", "key_task_id", "key_map_index", "key_sequence", "key_current")
        return self.text(statement, names)

    def verdict_end(self) -> str:
        """Whatever verdict holds ends, unless it is the very one (since, code) that is being written again."""
        table = s.verdicts
        another = or_(
            table.c.since != bindparam("key_since", type_=table.c.since.type),
            table.c.code != bindparam("key_code", type_=table.c.code.type),
        )
        statement = (
            update(table)
            .where(and_(_matches(table, ("execution_id",)), table.c.until.is_(None), another))
            .ordered_values((table.c.until, bindparam("new_until")))
        )
        return self.text(statement, ("new_until", "key_execution_id", "key_since", "key_code"))

    def text(self, statement: ClauseElement, names: Sequence[str]) -> str:
        """As the driver takes it, with its parameters in this order."""
        compiled: Any = statement.compile(dialect=self._dialect)
        order = list(compiled.positiontup)
        if order != list(names):
            raise AssertionError(f"parameters of {compiled} come as {order}, not as {list(names)}")
        return str(compiled)


def _matches(table: Table, names: Sequence[str]) -> Any:
    keys = (table.c[name] == bindparam(f"key_{name}", type_=table.c[name].type) for name in names)
    return and_(*keys)
