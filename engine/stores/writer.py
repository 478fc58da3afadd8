"""The engine's side of the state: one connection that writes.

Law: every transaction begins by writing the leadership row under this engine's epoch, so a deposed engine writes
nothing, and two commits never overlap. On SQLite this connection alone checkpoints. The file is the one that was
opened: if another has taken its name, nothing is written to either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy import delete as delete_from

from engine.model.breaker import Breaker
from engine.model.dataset import Watermark
from engine.model.errors import Conflict, Deposed, StoreUnusable
from engine.model.event import Event
from engine.model.run import Attempt, DeadLetter, PipelineRun
from engine.ports import failpoint
from engine.ports.store import Changes, Checkpoint, PipelineVersion, RunRecord, ScheduleState
from engine.stores import data_reading, migrate, pruning, reading
from engine.stores import schema as s
from engine.stores.applying import Application, Heads, latest_instant
from engine.stores.faults import (
    DAMAGED_ROW,
    damaged,
    from_database,
    lost_connection,
    readable,
    translate,
    translated,
)
from engine.stores.files import identity
from engine.stores.records import read_run
from engine.stores.statements import FENCE_SET, compile_statements
from engine.stores.values import micros

LOG_PAGES = 8000  # 32 MB: each move of the write-ahead log into the file is two waits for the disk in mid-run


def _system_now() -> datetime:
    return datetime.now(UTC)


class SqlStateStore:
    """StateStore over SQLAlchemy Core; the hot path hands compiled statements to the driver itself."""

    def __init__(
        self,
        engine: Engine,
        where: str,
        *,
        path: Path | None = None,
        checkpointing: bool = True,
        now: Callable[[], datetime] = _system_now,
    ) -> None:
        """`path` is SQLite's file. Brings the schema up to date. `now` dates what carries no time of its own."""
        self._engine = engine
        self._where = where
        self._path = path
        self._now = now
        self._sql = compile_statements(engine.dialect)
        self._connection: Connection | None = None
        self._heads: Heads | None = None
        self._epoch, self._holder = 0, ""
        self._broken: StoreUnusable | None = None
        self._abandoned = False
        self._checkpointing = checkpointing
        with readable(where):
            migrate.bring_up(self._connected(), where)
        self._file = None if path is None else identity(path)
        self.allow_checkpoints(checkpointing)

    # ------------------------------------------------------------------------------------- leading

    def take_over(self, epoch: int, holder: str, at: datetime) -> None:
        with self._transaction() as connection:
            stands = connection.execute(select(s.leadership)).one()
            if stands.epoch > epoch or (stands.epoch == epoch and stands.holder != holder):
                raise Deposed(f"Epoch {stands.epoch} stands in {self._where}; this engine has {epoch}.")
            connection.execute(update(s.leadership).values(epoch=epoch, holder=holder, at=micros(at)))
        self._epoch, self._holder = epoch, holder

    def allow_checkpoints(self, allowed: bool) -> None:
        """SQLite: whether this connection moves the write-ahead log into the file.

        Off while an older holder that could not be killed still has the file open (FAULTS: the WAL-reset bug).
        """
        self._checkpointing = allowed
        if self._path is not None:
            with translated(self._where):
                pages = LOG_PAGES if allowed else 0
                self._connected().exec_driver_sql(f"PRAGMA wal_autocheckpoint={pages}").close()
                self._connected().rollback()

    # ------------------------------------------------------------------------------------- writing

    def commit(self, changes: Changes, commit_id: str) -> int:
        if not changes:
            return 0
        try:
            return self._commit(changes, commit_id)
        except Conflict:
            known = self._committed(commit_id)
            if known is None:
                raise
            return known

    def _commit(self, changes: Changes, commit_id: str) -> int:
        with self._transaction() as connection:
            application = Application(self._sql, changes, self._heads or self._read_heads(connection))
            cursor = _driver(connection).cursor()
            try:
                self._fence(cursor, application.heads)
                application.run(cursor, commit_id, latest_instant(changes) or self._now())
                if self._path is None:
                    cursor.execute("SELECT pg_notify('penstock', '')")
            finally:
                cursor.close()
            failpoint.hit("store.before_commit")
        failpoint.hit("store.after_commit")
        self._heads = application.heads
        return application.last_event

    def _fence(self, cursor: Any, heads: Heads) -> None:
        """The first write of every transaction; on PostgreSQL it also holds off whoever would take over."""
        cursor.execute(self._sql.fence, (*heads.values, 1, self._epoch, self._holder))
        if cursor.rowcount != 1:
            raise Deposed(f"Another engine leads {self._where}; epoch {self._epoch} is over.")

    def _read_heads(self, connection: Connection) -> Heads:
        query = select(*(s.leadership.c[name] for name in FENCE_SET))
        row = connection.execute(query.with_for_update()).one()  # after a commit whose reply was lost, not before
        return Heads(**row._mapping)

    def _committed(self, commit_id: str) -> int | None:
        """The last event of a commit that was made already, though its reply was lost."""
        with self._reading() as connection:
            query = select(s.commit_ids.c.event_seq).where(s.commit_ids.c.commit_id == commit_id)
            found: int | None = connection.execute(query).scalar_one_or_none()
            return found

    def prune(self, *, before: datetime, keep_runs: int, limit: int) -> Sequence[str]:
        with self._transaction() as connection:
            heads = self._heads or self._read_heads(connection)
            cursor = _driver(connection).cursor()
            self._fence(cursor, heads)
            cursor.close()
            gone = pruning.prune_runs(connection, before=before, keep_runs=keep_runs, limit=limit)
            pruning.prune_events(connection, before=before, limit=max(limit, 1) * pruning.EVENTS_PER_RUN)
            pruning.prune_data(connection, now=self._now())
        self._heads = heads
        return gone

    def probe(self, at: datetime) -> None:
        """Write one row and remove those older than an hour: whether the store takes writes (HLT-03)."""
        with self._transaction() as connection:
            old = s.health_check_temp.c.at
            connection.execute(delete_from(s.health_check_temp).where(old == micros(at)))
            connection.execute(insert(s.health_check_temp).values(at=micros(at)))
            connection.execute(delete_from(s.health_check_temp).where(old < micros(at) - 3_600_000_000))

    # ------------------------------------------------------------------------------------- reading

    def active_runs(self, scope: str | None = None) -> Sequence[RunRecord]:
        with self._reading() as connection:
            return reading.active_records(connection, scope)

    def load_run(self, run_id: str) -> RunRecord | None:
        with self._reading() as connection:
            return reading.record(connection, run_id)

    def run_exists(self, run_id: str) -> bool:
        with self._reading() as connection:
            return reading.run(connection, run_id) is not None

    def previous_run(self, pipeline_id: str, profile: str | None, before: datetime) -> PipelineRun | None:
        runs = s.pipeline_runs
        query = (
            select(runs)
            .where(runs.c.pipeline_id == pipeline_id, runs.c.profile == (profile or ""))
            .where(runs.c.logical_date < micros(before))
            .order_by(runs.c.logical_date.desc(), runs.c.triggered_at.desc(), runs.c.run_id.desc())
        )
        with self._reading() as connection:
            return reading.one(connection, query, read_run)

    def latest_version(self, pipeline_id: str) -> PipelineVersion | None:
        with self._reading() as connection:
            return reading.version(connection, pipeline_id, None)

    def version(self, pipeline_id: str, version: int) -> PipelineVersion | None:
        with self._reading() as connection:
            return reading.version(connection, pipeline_id, version)

    def version_with_hash(self, pipeline_id: str, hash: str) -> PipelineVersion | None:
        with self._reading() as connection:
            return reading.version_with_hash(connection, pipeline_id, hash)

    def answered(self, request_ids: Sequence[str]) -> frozenset[str]:
        if not request_ids:
            return frozenset()
        with self._reading() as connection:
            return reading.answered(connection, request_ids)

    def unsent_hooks(self) -> Sequence[Event]:
        with self._reading() as connection:
            return reading.unsent_hooks(connection)

    def fired_hooks(self, run_id: str) -> frozenset[str]:
        with self._reading() as connection:
            return reading.fired_hooks(connection, run_id)

    def child_runs(self, execution_ids: Sequence[str]) -> Sequence[PipelineRun]:
        with self._reading() as connection:
            return reading.child_runs(connection, execution_ids)

    def schedules(self) -> Sequence[ScheduleState]:
        with self._reading() as connection:
            return reading.schedules(connection)

    def letter(self, letter_id: str) -> DeadLetter | None:
        with self._reading() as connection:
            return reading.letter(connection, letter_id)

    def letters_of(self, execution_ids: Sequence[str]) -> Sequence[DeadLetter]:
        with self._reading() as connection:
            return reading.open_letters_of(connection, execution_ids)

    def open_letters(self, before: datetime, limit: int) -> Sequence[DeadLetter]:
        with self._reading() as connection:
            return reading.open_letters(connection, before, limit)

    def attempts_of(self, execution_id: str) -> Sequence[Attempt]:
        with self._reading() as connection:
            return reading.attempts_of(connection, execution_id)

    def checkpoint(self, run_id: str, task_id: str, map_index: int | None) -> Checkpoint | None:
        with self._reading() as connection:
            return reading.checkpoint(connection, run_id, task_id, map_index)

    def watermarks(self, pipeline_id: str, profile: str | None) -> Sequence[Watermark]:
        with self._reading() as connection:
            return data_reading.watermarks(connection, profile or "", pipeline_id)

    def breakers(self) -> Sequence[Breaker]:
        with self._reading() as connection:
            return data_reading.breakers(connection)

    def median_seconds(self, pipeline_id: str) -> Mapping[str, float]:
        with self._reading() as connection:
            return reading.median_seconds(connection, pipeline_id)

    # ------------------------------------------------------------------------------------- letting go

    def close(self) -> None:
        if self._abandoned or self._connection is None:
            return
        if self._broken is not None or not self._in_place():
            self.abandon()  # closing would checkpoint: onto a failing disk, or into a file that is nobody's
            return
        connection, self._connection = self._connection, None
        with translated(self._where):
            try:
                if self._path is not None and self._checkpointing:
                    connection.exec_driver_sql("PRAGMA busy_timeout=200").close()  # a reader may keep the log busy
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                connection.close()
                self._engine.dispose()

    def abandon(self) -> None:
        # Closing the last connection of a process checkpoints, so this one stays open until `os._exit`.
        self._abandoned = True
        if self._connection is not None:
            try:
                _driver(self._connection).rollback()
            except Exception:  # noqa: BLE001 - a deposed engine has nobody left to tell
                return

    # ------------------------------------------------------------------------------------- the connection

    def _connected(self) -> Connection:
        if self._abandoned:
            raise Deposed(f"This engine no longer leads {self._where}.")
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            connection = self._connected()
            try:
                yield connection
            finally:
                connection.rollback()
        except Exception as error:
            told = self._failed(error)
            if isinstance(told, DAMAGED_ROW):
                told = damaged(error, self._where)
            if told is error:
                raise
            raise told from error

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Begin, and commit at the end; whatever goes wrong leaves nothing written, or an unknown outcome that
        `commit_id` settles."""
        self._check_standing()
        try:
            connection = self._connected()
            if self._path is not None:
                _driver(connection).execute("BEGIN IMMEDIATE")
            yield connection
            _driver(connection).commit()
            connection.rollback()  # SQLAlchemy's own bookkeeping: the transaction is over already
        except BaseException as error:
            self._heads = None  # what was given is given again, unless the commit did happen
            told = self._failed(error)
            if isinstance(told, UnicodeDecodeError):  # a driver's message about a damaged file is not text either
                told = damaged(error, self._where)
            if told is error:
                raise
            raise told from error

    def _failed(self, error: BaseException) -> BaseException:
        """Leave the connection fit for the next call, and say it in our words."""
        if lost_connection(error):
            self._drop_connection()
        elif self._connection is not None:
            try:
                _driver(self._connection).rollback()
                self._connection.rollback()
            except Exception:  # noqa: BLE001 - the first error is the one to tell
                self._drop_connection()
        if not from_database(error):
            return error
        told = translate(error, self._where)
        if isinstance(told, StoreUnusable):
            self._broken = told
        return told

    def _drop_connection(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.invalidate()
            connection.close()

    def _check_standing(self) -> None:
        if self._broken is not None:
            raise self._broken
        if not self._in_place():
            raise StoreUnusable(
                f"{self._path} was deleted or replaced while the engine was running; this engine stops."
                " Start it again to go on with the file that is there now."
            )

    def _in_place(self) -> bool:
        """Whether the file that was opened still has its name."""
        return self._path is None or identity(self._path) == self._file


def _driver(connection: Connection) -> Any:
    """The driver's own connection."""
    return connection.connection.driver_connection
