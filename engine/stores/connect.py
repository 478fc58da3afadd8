"""Connections: one kind that writes, one kind that cannot.

Law: the state file has one writer in one process; everybody else opens it read-only, which SQLite enforces
(`mode=ro`: such a connection cannot checkpoint either, not even as the last one to close). On PostgreSQL the
server enforces it. Every wait for a lock or a server ends.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, NullPool, QueuePool, create_engine, make_url

from engine.model.errors import RequestError

LOCK_SECONDS = 2.0  # how long a write waits for a lock before it says busy
READ_SECONDS = 5.0
READERS = 5  # connections of one process, opened as threads need them


def database_url(state: str) -> URL:
    """A PostgreSQL URL as settings may write it."""
    try:
        url = make_url(state)
    except Exception as error:
        raise RequestError("`state:` is neither a path nor a database URL.") from error
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername != "postgresql+psycopg":
        raise RequestError(f"`state:` names {url.drivername}; known are a file path and postgresql+psycopg://.")
    return url


def shown(url: URL) -> str:
    """A URL without its password."""
    return url.render_as_string(hide_password=True)


def open_file(path: Path, mode: str, seconds: float) -> sqlite3.Connection:
    """A bare SQLite connection; `mode` is ro or rw (neither creates). Transactions are begun by hand."""
    uri = f"file:{quote(str(path))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=seconds)


def sqlite_writer(path: Path) -> Engine:
    """The connection that alone writes and checkpoints the state file."""

    def connect() -> sqlite3.Connection:
        connection = open_file(path, "rw", LOCK_SECONDS)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
            connection.execute(f"PRAGMA {pragma}").close()
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def sqlite_reader(path: Path) -> Engine:
    """Connections that cannot write."""

    def connect() -> sqlite3.Connection:
        connection = open_file(path, "ro", READ_SECONDS)
        connection.execute("PRAGMA query_only=ON").close()
        return connection

    return create_engine("sqlite://", creator=connect, **_pool())


def postgres_writer(url: URL) -> Engine:
    """One connection; parameters by position, so that plain tuples can be handed to the driver."""
    return _postgres(url, f"-c lock_timeout={int(LOCK_SECONDS * 1000)}", poolclass=NullPool)


def postgres_reader(url: URL) -> Engine:
    """Connections that cannot write."""
    options = "-c default_transaction_read_only=on -c statement_timeout=30000"
    engine = _postgres(url, options, **_pool(), pool_pre_ping=True)
    return engine.execution_options(isolation_level="REPEATABLE READ")  # one snapshot for one question


def postgres_mailbox(url: URL) -> Engine:
    """Connections for short changes of commands and the lease."""
    return _postgres(url, f"-c lock_timeout={int(READ_SECONDS * 1000)}", **_pool(), pool_pre_ping=True)


def _pool() -> dict[str, Any]:
    return {"poolclass": QueuePool, "pool_size": READERS, "max_overflow": READERS, "pool_timeout": READ_SECONDS}


def _postgres(url: URL, options: str, **pool: Any) -> Engine:
    arguments = {
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,  # a black hole is found out before the lease is over
        "application_name": "penstock",
        "options": options,
    }
    return create_engine(url, paramstyle="format", use_native_hstore=False, connect_args=arguments, **pool)
