"""Commands on their way to the engine, and the lease that says which engine leads.

Law: on SQLite a small database of its own in rollback-journal mode, so that many processes may write it without
coming near the state's write-ahead log; on PostgreSQL two tables beside the state. Reading creates nothing. Every
change is one short transaction that has the only write lock from its first statement on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Double,
    Engine,
    Integer,
    MetaData,
    QueuePool,
    Table,
    Text,
    create_engine,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)

from engine.model.errors import StoreUnusable
from engine.model.event import Actor, Command
from engine.ports.mailbox import Lease
from engine.stores import connect, files
from engine.stores.bell import Bell
from engine.stores.faults import translated
from engine.stores.records import Row
from engine.stores.schema import Instant, Number
from engine.stores.values import clean, clean_or_none, dump_or_none, instant, mapping, micros
from engine.stores.watch import FileWatch

FORMAT = 1
_LEASE_FIELDS = ("holder", "host", "pid", "pid_started", "boot_id", "user", "started_by", "scope")

metadata = MetaData()

commands = Table(
    "commands",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("request_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("arguments", Text),
    Column("actor", Text, nullable=False),
    Column("address", Text),
    Column("session", Text),
    Column("sent_at", Instant, nullable=False),
    sqlite_autoincrement=True,  # a number is never given twice, so nothing is ever taken for old
)

lease = Table(  # one row; without a holder nobody leads, but the epoch stays
    "lease",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("format", Integer, nullable=False),
    Column("epoch", Number, nullable=False),
    Column("holder", Text),
    Column("host", Text),
    Column("pid", Number),
    Column("pid_started", Double),
    Column("boot_id", Text),
    Column("user", Text),
    Column("started_by", Text),
    Column("scope", Text),
    Column("acquired_at", Instant),
    Column("expires_at", Instant),
)


class Box(Protocol):
    """Where the two tables are: what differs between the databases."""

    where: str

    def engine(self, *, create: bool) -> Engine | None:
        """Connections to it; None when there is none and none is to be made."""

    bell: Bell | None

    def changed(self, last: object) -> tuple[bool, object]:
        """As in the port."""

    def close(self) -> None:
        """Let go."""


class SqlMailbox:
    """Mailbox over SQLAlchemy Core."""

    def __init__(self, box: Box) -> None:
        self._box = box

    # ------------------------------------------------------------------------------------- commands

    def send(self, command: Command) -> None:
        with self._writing(create=True) as connection:
            assert connection is not None
            known = select(commands.c.seq).where(commands.c.request_id == command.request_id)
            if connection.execute(known).first() is None:  # sent again after a reply that was lost
                connection.execute(insert(commands).values(**_columns(command)))
        if self._box.bell is not None:
            self._box.bell.ring()

    def pending(self, limit: int = 100) -> Sequence[Command]:
        with self._reading() as connection:
            if connection is None:
                return ()
            query = select(commands).order_by(commands.c.seq).limit(limit)
            return [_command(row) for row in connection.execute(query)]

    def remove(self, request_ids: Sequence[str]) -> None:
        if not request_ids:
            return
        with self._writing() as connection:
            if connection is not None:
                connection.execute(delete(commands).where(commands.c.request_id.in_(list(request_ids))))

    def listen(self, heard: Callable[[], None]) -> Callable[[], None] | None:
        return None if self._box.bell is None else self._box.bell.listen(heard)

    def changed(self, last: object) -> tuple[bool, object]:
        with translated(self._box.where):
            return self._box.changed(last)

    # ------------------------------------------------------------------------------------- the lease

    def lease(self) -> Lease | None:
        with self._reading() as connection:
            return None if connection is None else _lease(connection.execute(select(lease)).first())

    def acquire(self, candidate: Lease, now: datetime, *, holder_gone: bool) -> Lease | None:
        """As in the port. `candidate.epoch` is the epoch of the lease that the caller looked at, or the one that
        stands in the state if that is higher (0: neither); the next one is above it and above the counter. A
        lease with a higher epoch than the caller has seen was taken in the meantime and is not the one whose
        holder was proven gone."""
        with self._writing(create=True) as connection:
            assert connection is not None
            row = connection.execute(select(lease).with_for_update()).one()
            standing = _lease(row)
            if standing is not None and not _free(standing, candidate, now, holder_gone):
                return None
            won = replace(candidate, epoch=max(row.epoch, candidate.epoch) + 1)
            values = {name: getattr(won, name) for name in _LEASE_FIELDS}
            instants = {"acquired_at": micros(won.acquired_at), "expires_at": micros(won.expires_at)}
            connection.execute(update(lease).values(**values, **instants, epoch=won.epoch))
        return won

    def renew(self, lease: Lease, until: datetime) -> bool:
        return self._change_own(lease, expires_at=micros(until))

    def release(self, lease: Lease) -> None:
        self._change_own(lease, holder=None)

    def _change_own(self, held: Lease, **values: Any) -> bool:
        with self._writing() as connection:
            if connection is None:
                return False
            ours = (lease.c.holder == held.holder, lease.c.epoch == held.epoch)
            return connection.execute(update(lease).where(*ours).values(**values)).rowcount == 1

    def epoch(self) -> int:
        """The highest epoch ever given here; 0 when none was."""
        with self._reading() as connection:
            return 0 if connection is None else connection.execute(select(lease.c.epoch)).scalar_one()

    def raise_epoch(self, floor: int) -> None:
        """Give no epoch up to `floor` from now on (a restored state)."""
        with self._writing(create=True) as connection:
            assert connection is not None
            connection.execute(update(lease).where(lease.c.epoch < floor).values(epoch=floor))

    def close(self) -> None:
        self._box.close()

    # ------------------------------------------------------------------------------------- transactions

    @contextmanager
    def _reading(self) -> Iterator[Connection | None]:
        with translated(self._box.where):
            engine = self._box.engine(create=False)
            if engine is None:
                yield None
                return
            with engine.connect() as connection:
                yield connection

    @contextmanager
    def _writing(self, *, create: bool = False) -> Iterator[Connection | None]:
        with translated(self._box.where):
            engine = self._box.engine(create=create)
            if engine is None:
                yield None
                return
            with engine.connect() as connection:
                begin(connection)
                yield connection
                connection.commit()


def begin(connection: Connection) -> None:
    """On SQLite the write lock is taken at once; on PostgreSQL the row lock does it."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE").close()


def _free(standing: Lease, candidate: Lease, now: datetime, holder_gone: bool) -> bool:
    proven = holder_gone and standing.epoch <= candidate.epoch
    return proven or standing.expires_at <= now


def make_tables(connection: Connection, where: str) -> None:
    """The two tables and the lease row, if they are not there; StoreUnusable when a newer program made them."""
    begin(connection)
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_xact_lock(7365637)"))
    metadata.create_all(connection)
    found = connection.execute(select(lease.c.format)).scalar_one_or_none()
    if found is None:
        connection.execute(insert(lease).values(id=1, format=FORMAT, epoch=0))
    connection.commit()
    if found is not None and found > FORMAT:
        raise StoreUnusable(f"{where} was made by a newer Penstock. Upgrade Penstock.")


# ------------------------------------------------------------------------------------------- SQLite


class FileBox:
    """mailbox.db. A file that was deleted or replaced is opened anew."""

    def __init__(self, path: Path, where: str, create: Callable[[], None]) -> None:
        self.where = where
        self._path = path
        self._create = create
        self.bell: Bell | None = Bell(path.with_name("bell"))
        self._watch = FileWatch(path)
        self._engine: Engine | None = None
        self._file: files.Identity | None = None

    def engine(self, *, create: bool) -> Engine | None:
        there = files.identity(self._path)
        if self._engine is not None and there == self._file:
            return self._engine
        if not files.has_state(self._path):  # missing, or being made by somebody at this moment
            if not create:
                return None
            self._create()
        return self._open()

    def _open(self) -> Engine:
        path = self._path

        def open_connection() -> sqlite3.Connection:
            connection = connect.open_file(path, "rw", connect.READ_SECONDS)
            # EXTRA: the journal's removal is synced too, so what was sent is not undone by a power cut.
            connection.execute("PRAGMA synchronous=EXTRA").close()
            return connection

        engine = create_engine("sqlite://", creator=open_connection, poolclass=QueuePool, pool_size=2)
        with engine.connect() as connection:
            make_tables(connection, self.where)
        before, self._engine, self._file = self._engine, engine, files.identity(path)
        if before is not None:
            before.dispose()
        return engine

    def changed(self, last: object) -> tuple[bool, object]:
        return self._watch.changed(last)

    def close(self) -> None:
        self._watch.close()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def sqlite_mailbox(path: Path, where: str, create: Callable[[], None]) -> SqlMailbox:
    """A mailbox in a file of its own; `create` makes the folder and the empty file with the right modes."""
    return SqlMailbox(FileBox(path, where, create))


# ------------------------------------------------------------------------------------------- PostgreSQL


class ServerBox:
    """Two tables on the server that has the state."""

    def __init__(self, url: URL, where: str) -> None:
        self.where = where
        self.bell: Bell | None = None
        self._engine = connect.postgres_mailbox(url)
        self._ready = False

    def engine(self, *, create: bool) -> Engine | None:
        if not self._ready:
            with self._engine.connect() as connection:
                if not create and not inspect(connection).has_table("lease"):
                    return None
                connection.rollback()
                make_tables(connection, self.where)
            self._ready = True
        return self._engine

    def changed(self, last: object) -> tuple[bool, object]:
        engine = self.engine(create=False)
        if engine is None:
            return last is not None, None
        query = select(func.max(commands.c.seq), func.count(), select(lease.c.epoch).scalar_subquery())
        with engine.connect() as connection:
            token = tuple(connection.execute(query).one())
        return token != last, token

    def close(self) -> None:
        self._engine.dispose()


def postgres_mailbox(url: URL, where: str) -> SqlMailbox:
    """A mailbox beside the state."""
    return SqlMailbox(ServerBox(url, where))


# ------------------------------------------------------------------------------------------- rows


def _columns(command: Command) -> dict[str, Any]:
    return {
        "request_id": command.request_id,
        "name": clean(command.name),
        "arguments": dump_or_none(command.arguments),
        "actor": clean(command.actor.name),
        "address": clean_or_none(command.actor.address),
        "session": clean_or_none(command.actor.session),
        "sent_at": micros(command.sent_at),
    }


def _command(row: Row) -> Command:
    return Command(
        request_id=row.request_id,
        name=row.name,
        arguments=mapping(row.arguments),
        actor=Actor(name=row.actor, address=row.address, session=row.session),
        sent_at=instant(row.sent_at),
    )


def _lease(row: Row | None) -> Lease | None:
    if row is None or row.holder is None:
        return None
    fields: dict[str, Any] = {name: getattr(row, name) for name in _LEASE_FIELDS}
    acquired, expires = instant(row.acquired_at), instant(row.expires_at)
    return Lease(**fields, acquired_at=acquired, expires_at=expires, epoch=row.epoch)
