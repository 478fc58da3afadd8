"""Readers of a state that is on a PostgreSQL server.

Law: imported only for such a state (the driver costs a quarter of a short command's time). A change is told by the
server: every commit notifies, and LISTEN comes before the look, so nothing falls in between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import URL, Engine, func, select

from engine.model.errors import StoreBusy
from engine.stores import connect
from engine.stores import schema as s
from engine.stores.faults import translated
from engine.stores.queries import SqlQueries
from engine.stores.readers import understood


class PostgresQueries(SqlQueries):
    """The state on a server."""

    def __init__(self, url: URL, where: str, now: Callable[[], datetime]) -> None:
        super().__init__(where, now)
        self._engine = connect.postgres_reader(url)
        self._ready = False
        self._listening = threading.Lock()
        self._listener: psycopg.Connection[Any] | None = None

    def _source(self) -> Engine | None:
        if not self._ready:
            self._ready = understood(self._engine, self._where)
        return self._engine if self._ready else None

    def changed(self, last: object) -> tuple[bool, object]:
        commits = select(s.leadership.c.commits, s.leadership.c.epoch)
        none: tuple[Any, ...] = (0, 0)
        token = self._ask(lambda found: tuple(found.execute(commits).one()), none)
        return token != last, token

    def wait(self, last: object, seconds: float) -> tuple[bool, object]:
        end = time.monotonic() + seconds
        with self._listening:
            with translated(self._where):
                listener = self._listen()
            yes, token = self.changed(last)  # asked after LISTEN, so nothing falls in between
            while not yes and (left := end - time.monotonic()) > 0:
                self._notified(listener, left)
                yes, token = self.changed(last)
            return yes, token

    def stored_bytes(self) -> int | None:
        """Of the whole database, which may hold more than this state."""
        size = select(func.pg_database_size(func.current_database()))
        none: int | None = None
        return self._ask(lambda found: found.execute(size).scalar_one(), none)

    def _notified(self, listener: psycopg.Connection[Any], seconds: float) -> None:
        try:
            with translated(self._where):
                for _ in listener.notifies(timeout=seconds, stop_after=1):
                    return
        except StoreBusy:
            self._listener = None
            listener.close()
            raise

    def _listen(self) -> psycopg.Connection[Any]:
        if self._listener is None or self._listener.closed:
            engine = self._engine
            arguments = engine.dialect.create_connect_args(engine.url)[1]
            self._listener = psycopg.connect(**arguments, connect_timeout=5, autocommit=True)
            self._listener.execute("LISTEN penstock")
        return self._listener

    def close(self) -> None:
        self._engine.dispose()
        with self._listening:
            if self._listener is not None:
                self._listener.close()
                self._listener = None
