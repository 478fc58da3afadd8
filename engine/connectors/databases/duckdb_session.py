"""DuckDB files: opened within bounds, and what goes wrong with them said kindly.

Law: memory is limited and what does not fit goes to a temporary folder, but for indexes, which DuckDB holds whole,
and a block or two of each column that is written: who writes to a table that needs more asks for it (`widen`). No
extension is ever downloaded, and no variable of this program can be named in a query. A look opens the file
read-only, so that many may look at once; who comes to read or write rows waits its turn. A message repeats no value
of a row or a query.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from engine.model.errors import (
    ConfigurationError,
    DataQualityError,
    NetworkError,
    PermissionFailure,
    ResourceExhaustion,
    TaskFailure,
    TimeoutFailure,
)
from engine.model.workspace import Connection

STATEMENT_SECONDS, ASK_EVERY = 60.0, 0.2
MEMORY_MB = 96  # with Arrow and the interpreter an attempt stays below 256 MB
INDEX_MB = 320  # an index of some ten million keys
MOST_MB = 2048  # however many columns a file claims to have
COLUMN_MB = 1  # for each column being written; half of it was enough for 100, 300 and 800 columns of text
THREADS = (
    1  # a second one that keeps the order of rows makes most things slower (duckdb_groups has what it does not)
)
# Where the order of rows may be any, two threads write, each to row groups of its own.
UNORDERED_THREADS, UNORDERED_MB = 2, 104
# Where two threads write whole row groups in order: what they and their groups may take; and, for each column
# and thread, what DuckDB wants to see before it starts them. It never takes that.
ORDERED_THREADS, ORDERED_MB, SHOWN_MB = 2, 86, 8.5

# How a message begins: errors that come out of a stream have no class of their own.
_BEGINNINGS: tuple[tuple[str, type[TaskFailure]], ...] = (
    ("Out of Memory Error", ResourceExhaustion),
    ("INTERRUPT Error", TimeoutFailure),
    ("Permission Error", PermissionFailure),
    ("Constraint Error", DataQualityError),
    ("Conversion Error", DataQualityError),
    ("Out of Range Error", DataQualityError),
    ("Invalid Input Error", DataQualityError),
    ("TransactionContext Error", ResourceExhaustion),
    ("HTTP Error", NetworkError),
)
# Where the beginning does not tell, the words.
_WORDS: tuple[tuple[str, type[TaskFailure]], ...] = (
    ("no space left", ResourceExhaustion),
    ("disk quota", ResourceExhaustion),
    ("max_temp_directory_size", ResourceExhaustion),
    ("permission denied", PermissionFailure),
    ("read-only", PermissionFailure),
    ("too many open files", ResourceExhaustion),
)
_VALUE = re.compile(r"""'[^']*'|"[^"]*"|(?<=[Vv]alue )\S+|(?<=Input: ).*""", re.DOTALL)
_NAMED = re.compile(
    r"""(?:named?|column|table|view|type|function|schema|file|bindings:(?: ?"[^"]*",)*) ?$""", re.IGNORECASE
)
_NO_ROOM = re.compile(r"(?:allocate|pin) (?:a )?block of size")
_PID = re.compile(r"\(PID (\d+)\)")


_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()


class Session:
    """One DuckDB file. `looking` opens it read-only, `writing` opens and makes it."""

    def __init__(self, connection: Connection, root: Path) -> None:
        self.id = connection.id
        self._config = connection.config
        self.path = _path(connection, root)
        self.reading = 0  # cursors that are open on it
        self._link: duckdb.DuckDBPyConnection | None = None
        self._writable = False
        self._memory_mb = 0
        self._patience = 0.0
        _SESSIONS.add(self)

    @property
    def uri(self) -> str:
        return self.path.as_uri().replace("file:", "duckdb:", 1)

    def looking(self) -> duckdb.DuckDBPyConnection:
        """The file, to be read; it must be there."""
        if self._link is None:
            if not self.path.is_file():
                raise ConfigurationError(f"Connection '{self.id}': there is no file {self.path}.")
            self._open(writable=False)
        return self._link

    def writing(self) -> duckdb.DuckDBPyConnection:
        """The file, to be written; made where there is none."""
        if self._link is None or not self._writable:
            self._make_way()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open(writable=True)
        return self._link

    def there(self) -> bool:
        """Whether the file exists: a destination that is not there has no tables and no ledger."""
        return self.path.is_file()

    def widen(self, columns: int, *, indexed: bool) -> None:
        """More memory from here on, for a wide table or an index; nothing where the connection says how much
        there is."""
        wanted = min(MOST_MB, max(INDEX_MB if indexed else 0, columns * COLUMN_MB))
        if "memory_mb" not in self._config and wanted > MEMORY_MB:
            _limit(self.writing(), wanted)
            self._memory_mb = wanted

    @property
    def threads_in_order(self) -> int:
        """How many may write whole row groups of one table: not several while the file is read beside."""
        beside = any(each.path == self.path and each.reading for each in tuple(_SESSIONS))
        kept = _order_kept(self.id, self._config)
        return _number(self.id, self._config, "threads", ORDERED_THREADS) if kept and not beside else 1

    @property
    def memory_in_order(self) -> int:
        """What they may take with the rows they hold, in MB."""
        return _number(self.id, self._config, "memory_mb", ORDERED_MB)

    @contextmanager
    def in_order(self, columns: int) -> Iterator[Callable[[int], None]]:
        """Several threads for what is written meanwhile. Yields what bounds their memory, in MB, once they run."""
        threads, link = self.threads_in_order, self.writing()
        shown = max(self.memory_in_order, int(SHOWN_MB * threads * columns) + 4)
        knob = link.cursor()
        knob.execute(f"SET memory_limit = '{shown}MB'")
        knob.execute(f"SET threads = {threads}")
        try:
            yield lambda mb: _limit(knob, int(self._config.get("memory_mb", mb)))
        finally:
            knob.execute(f"SET threads = {_number(self.id, self._config, 'threads', THREADS)}")
            _limit(knob, self._memory_mb)
            knob.close()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Wait, where another process has the file, as long as a statement may take."""
        self._patience = float(self._config.get("timeout_seconds", STATEMENT_SECONDS))
        try:
            yield
        finally:
            self._patience = 0.0

    def close(self) -> None:
        """Close the file; DuckDB removes what it has spilled."""
        self._close_link()

    def _make_way(self) -> None:
        """A process has a file open to be read or to be written: looks that rest are closed; they open it anew."""
        for each in tuple(_SESSIONS):
            if each.path == self.path and not each._writable and not each.reading:
                each._close_link()

    def _close_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _open(self, *, writable: bool) -> None:
        with self.failures():
            try:
                link = self._connected(read_only=not writable)
            except duckdb.ConnectionException:
                # This process writes to the file already: a look shares what it has open.
                if writable:
                    raise
                writable = True
                link = self._connected(read_only=False)
            link.execute("SET TimeZone = 'UTC'")
        self._link, self._writable = link, writable
        self._memory_mb = _number(self.id, self._config, "memory_mb", MEMORY_MB)

    def _connected(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        until = time.monotonic() + self._patience
        while True:
            try:
                return duckdb.connect(str(self.path), read_only=read_only, config=self._settings())
            except duckdb.IOException as error:
                if "Could not set lock" not in str(error) or time.monotonic() >= until:
                    raise
            time.sleep(ASK_EVERY)

    def _settings(self) -> dict[str, str | bool | int | float | list[str]]:
        # The same for every connector of this process: one that differs could not share the open file.
        spill = Path(tempfile.gettempdir()) / f"penstock-duckdb-{os.getpid()}"
        kept = _order_kept(self.id, self._config)
        memory, threads = (MEMORY_MB, THREADS) if kept else (UNORDERED_MB, UNORDERED_THREADS)
        return {
            "memory_limit": f"{_number(self.id, self._config, 'memory_mb', memory)}MB",
            "threads": str(_number(self.id, self._config, "threads", threads)),
            "preserve_insertion_order": kept,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        }

    @contextmanager
    def failures(self, what: str = "") -> Iterator[None]:
        """DuckDB's errors as ours. `what`: the object that is read or written."""
        try:
            yield
        except duckdb.Error as error:
            raise failure(error, self.id, self.path, what) from error

    @contextmanager
    def streaming(self, what: str = "") -> Iterator[None]:
        """The same around a stream of Arrow, where DuckDB's errors are Arrow's or the system's."""
        try:
            yield
        except (duckdb.Error, OSError, ValueError) as error:
            raise failure(error, self.id, self.path, what) from error

    @contextmanager
    def within(self, link: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
        """Interrupt what runs longer."""
        timer = threading.Timer(seconds, link.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _limit(link: duckdb.DuckDBPyConnection, mb: int) -> None:
    link.execute(f"SET memory_limit = '{mb}MB'")


def _path(connection: Connection, root: Path) -> Path:
    given = connection.config.get("path") or connection.config.get("database")
    if not given or str(given).startswith(":"):
        raise ConfigurationError(f"Connection '{connection.id}' needs a `path` to the DuckDB file.")
    return (root / Path(str(given)).expanduser()).resolve()


def _order_kept(name: str, config: Mapping[str, Any]) -> bool:
    given = config.get("row_order", "kept")
    if given not in ("kept", "any"):
        raise ConfigurationError(f"Connection '{name}': `row_order` is kept or any.")
    return bool(given == "kept")


def _number(name: str, config: Mapping[str, Any], key: str, default: int) -> int:
    given = config.get(key, default)
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ConfigurationError(f"Connection '{name}': `{key}` is a whole number of at least 1.")
    return given


def failure(error: Exception, name: str, path: Path, what: str = "") -> TaskFailure:
    """The failure that an error of DuckDB stands for."""
    words = str(error).strip()
    place = f"Connection '{name}'" + (f", {what}" if what else "")
    if "Could not set lock" in words:
        return _locked(words, place, path)
    if "different configuration" in words:
        return ConfigurationError(
            f"{place}: {path.name} is being read in this task, and cannot be written meanwhile; read it in an "
            "`extract` of its own."
        )
    kind = _kind(error, words)
    full = words.startswith("Out of Memory") or _NO_ROOM.search(words)
    hint = " Raise `memory_mb` on the connection." if full else ""
    return kind(f"{place}: {without_values(words)}{hint}")


def _locked(words: str, place: str, path: Path) -> ResourceExhaustion:
    holder = _PID.search(words)
    by = f"process {holder[1]}" if holder else "another process"
    return ResourceExhaustion(
        f"{place}: {path} is in use by {by}, and a DuckDB file is open to one writer or to readers only. "
        "Close it there, or give the tasks that use this file one pool with a single slot."
    )


def _kind(error: Exception, words: str) -> type[TaskFailure]:
    for phrase, kind in _WORDS:
        if phrase in words.lower():
            return kind
    for beginning, kind in _BEGINNINGS:
        if words.startswith(beginning):
            return kind
    return DataQualityError if isinstance(error, duckdb.DataError) else ConfigurationError


def without_values(words: str) -> str:
    """The first lines of a message, without the statement it quotes and without values of rows."""
    said = words.split("\n\nLINE ")[0].split("\nOriginal Line:")[0]
    return _VALUE.sub(_hidden, " ".join(said.split()))[:400]


def _hidden(found: re.Match[str]) -> str:
    # What follows `named`, `column` and the like is a name; the rest may be anybody's data.
    before = found.string[: found.start()]
    return found[0] if _NAMED.search(before) else "(value not shown)"
