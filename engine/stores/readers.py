"""Where readers find the state in a file, and how they notice that it changed.

Law: a state that is not there yet, is being made, was replaced or came back is noticed at the next question;
nothing is cached but connections.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from engine.model.errors import StoreUnusable
from engine.stores import connect, files, migrate
from engine.stores import schema as s
from engine.stores.queries import SqlQueries
from engine.stores.watch import FileWatch

_POLL_SECONDS = 0.025  # between two looks at the file
_CALM_POLL_SECONDS = 0.1  # while it stays as it is


class SqliteQueries(SqlQueries):
    """The state in a file. A file that appears, goes or is replaced is noticed at the next question."""

    def __init__(self, path: Path, where: str, now: Callable[[], datetime]) -> None:
        super().__init__(where, now)
        self._path = path
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._file: files.Identity | None = None
        self._watch = FileWatch(path)

    def _source(self) -> Engine | None:
        there = files.identity(self._path)
        with self._lock:
            if self._engine is not None and there == self._file:
                return self._engine
            self._let_go()
            if there is None or not files.has_state(self._path):
                return None
            engine = connect.sqlite_reader(self._path)
            if not understood(engine, self._where):
                engine.dispose()  # an engine is making it at this moment
                return None
            self._engine, self._file = engine, there
            return engine

    def changed(self, last: object) -> tuple[bool, object]:
        return self._watch.changed(last)

    def wait(self, last: object, seconds: float) -> tuple[bool, object]:
        end, pause = time.monotonic() + seconds, _POLL_SECONDS
        while True:
            yes, token = self.changed(last)
            left = end - time.monotonic()
            if yes or left <= 0:
                return yes, token
            time.sleep(min(left, pause))
            pause = min(2 * pause, _CALM_POLL_SECONDS)

    def stored_bytes(self) -> int | None:
        sizes = [files.size(Path(f"{self._path}{suffix}")) for suffix in ("", "-wal", "-shm")]
        return None if sizes[0] is None else sum(each or 0 for each in sizes)

    def _let_go(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
        self._engine, self._file = None, None

    def close(self) -> None:
        with self._lock:
            self._let_go()
        self._watch.close()


def understood(engine: Engine, where: str) -> bool:
    """Whether there are tables to read; StoreUnusable when this program does not understand them."""
    with engine.connect() as connection:
        found = migrate.revision(connection)
    if found is None:
        return False
    migrate.refuse_newer(found, where)
    if found != s.REVISION:
        raise StoreUnusable(
            f"{where} was written by an older Penstock (revision {found});"
            " start an engine once to bring it up to date."
        )
    return True
