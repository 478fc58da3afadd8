"""One connection to a SQLite file.

Law: a look opens the file read-only, so that it neither makes nor changes one. A write waits its turn for
`timeout_seconds` and holds the file for one short transaction. What runs too long is interrupted.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.connectors.databases.sql_errors import failure
from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection

STATEMENT_SECONDS = 60.0
_STEPS = 10_000  # of SQLite's machine between two looks at the clock


def file_of(connection: Connection, root: Path) -> Path:
    """The file that a connection names."""
    path = connection.config.get("path") or connection.config.get("database")
    if not path or str(path).startswith(":"):
        raise ConfigurationError(f"Connection '{connection.id}' needs a `path` to the SQLite file.")
    return (root / Path(str(path)).expanduser()).resolve()


class Link:
    """A session in autocommit, but between `begin` and its end."""

    def __init__(self, connection: str, file: Path, *, writes: bool, seconds: float) -> None:
        self.id, self._file = connection, file
        if not writes and not file.is_file():
            raise ConfigurationError(f"Connection '{connection}': there is no file {file}.")
        if writes:
            file.parent.mkdir(parents=True, exist_ok=True)
        with self.failures():
            self.wire = sqlite3.connect(
                f"{file.as_uri()}?mode={'rwc' if writes else 'ro'}",
                uri=True,
                timeout=seconds,
                isolation_level=None,
                check_same_thread=False,
            )
            self.wire.execute("PRAGMA cache_size = -16384")

    def bounded(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Interrupt whatever runs beyond so many seconds from now."""
        deadline = monotonic() + seconds
        self.wire.set_progress_handler(lambda: monotonic() > deadline, _STEPS)

    def rows(self, statement: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """What a statement answers."""
        return self.wire.execute(statement, values).fetchall()

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; the number of rows it touched."""
        return max(self.wire.execute(statement, values).rowcount, 0)

    def rollback(self) -> None:
        """End the transaction without a trace."""
        if self.wire.in_transaction:
            self.wire.execute("ROLLBACK")

    def close(self) -> None:
        """End the session."""
        self.wire.close()

    @contextmanager
    def failures(self, what: str = "") -> Iterator[None]:
        """The driver's errors as ours. `what`: the object that is read or written."""
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise failure(error, self.id, what) from error
        except OverflowError as error:
            raise failure(sqlite3.DataError("a number is beyond 64 bits"), self.id, what) from error
