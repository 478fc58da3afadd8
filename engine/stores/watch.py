"""Has an SQLite file been written by somebody else? Asked many times a second.

Law: one connection of its own that reads nothing but `PRAGMA data_version`, whose number only means something
within one connection; so a token carries the connection's turn with it, and a new turn counts as a change.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from engine.stores import connect, files

Token = tuple[int, int]  # turn and data version; (0, 0): there is no file
_NONE: Token = (0, 0)


class FileWatch:
    """Safe from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file: files.Identity | None = None
        self._turn = 0

    def changed(self, last: object) -> tuple[bool, object]:
        """Whether it has, and the token to ask with the next time. Unreadable right now counts as changed."""
        with self._lock:
            try:
                token = self._token()
            except sqlite3.Error:
                self._let_go()
                return True, last
        return token != last, token

    def _token(self) -> Token:
        there = files.identity(self._path)
        if there != self._file or self._connection is None:
            self._let_go()
            if there is None:
                return _NONE
            self._connection = connect.open_file(self._path, "ro", 0.05)
            self._file = there
            self._turn += 1
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return self._turn, version

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._file = None, None

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._let_go()
