"""Rows of PostgreSQL by ADBC, which makes Arrow of COPY's binary form.

Law: as by COPY: a few megabytes at a time, refused where Arrow cannot carry a value, given up when the server falls
silent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from typing import Any

import pyarrow as pa

from engine.connectors.databases.pg_copy import conformed
from engine.connectors.databases.pg_link import Login
from engine.connectors.databases.rows import BYTES
from engine.connectors.databases.sql_errors import failure
from engine.connectors.databases.watch import Watch
from engine.model.errors import TimeoutFailure


def by_adbc(
    login: Login, query: str, schema: pa.Schema, what: str, milliseconds: int = 0
) -> Generator[pa.RecordBatch, None, None]:
    """The rows of a query, within so many milliseconds."""
    from adbc_driver_postgresql import dbapi

    where, there, watch = f"Connection '{login.id}', {what}", _sockets(login.port), None
    try:
        with dbapi.connect(login.within(milliseconds), autocommit=True) as link, link.cursor() as cursor:
            opened = _sockets(login.port) - there
            watch = Watch(opened.pop(), login.silence) if len(opened) == 1 else None
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BYTES)})
            for batch in _batches(cursor, query, watch):
                yield conformed(batch, schema, where)
    except (dbapi.Error, OSError) as error:  # OSError: what happened while rows came
        if watch is not None and watch.silent:
            raise TimeoutFailure(f"{where}: the server has said nothing for too long; it was given up.") from error
        raise failure(error, login.id, what) from error
    finally:
        if watch is not None:
            watch.end()


def _batches(cursor: Any, query: str, watch: Watch | None) -> Iterator[pa.RecordBatch]:
    waiting = watch.waiting if watch is not None else nullcontext
    with waiting():
        cursor.execute(query)
        reader = cursor.fetch_record_batch()
    while True:
        with waiting():
            batch = next(reader, None)
        if batch is None:
            return
        yield batch


def _sockets(port: str) -> set[int]:
    """This process's connections to a server's port: the driver does not say which is its own. Empty where that
    cannot be told."""
    return {
        int(name)
        for name in (os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ())
        if _leads_to(int(name), port)
    }


def _leads_to(descriptor: int, port: str) -> bool:
    try:
        if not os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
            return False
        with socket.socket(fileno=os.dup(descriptor)) as ours:
            peer = ours.getpeername()
    except OSError:
        return False  # no socket, or not connected
    return str(peer[1]) == port if isinstance(peer, tuple) else str(peer).endswith(f".s.PGSQL.{port}")
