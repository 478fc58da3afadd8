"""What a database says when it fails, as one of our errors.

Law: nothing of a driver leaves this room; whoever gets the error learns from its type whether trying again can
help. A password in a URL is never part of a message.

    busy      locked, out of space, out of file handles, connection lost, server restarting: StoreBusy
    unusable  damaged, no database, read-only, an I/O error: StoreUnusable; a failed fsync is never tried again,
              because the kernel may have dropped the pages it could not write
    conflict  a unique key is taken: Conflict
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeGuard

import msgspec
import sqlalchemy.exc

from engine.model.errors import Conflict, StoreBusy, StoreError, StoreUnusable

if TYPE_CHECKING:  # known by its errors, never imported for a state in a file
    import psycopg

_IOERR_SHMSIZE = sqlite3.SQLITE_IOERR_SHMSIZE  # growing the shared memory file: the disk is full
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)


# What reading a row raises when its bytes are no longer those that were written.
DAMAGED_ROW = (msgspec.MsgspecError, ValueError, TypeError, ArithmeticError, AttributeError, LookupError)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Run a block; a database's exception leaves it as a StoreError about `where`."""
    try:
        yield
    except Exception as error:
        if not from_database(error):
            raise
        raise translate(error, where) from error


def from_database(error: BaseException) -> bool:
    """Whether a driver or SQLAlchemy raised it."""
    return type(error).__module__.partition(".")[0] in ("sqlite3", "psycopg", "sqlalchemy")


def translate(error: BaseException, where: str) -> StoreError:
    """The StoreError that says the same."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause, where)
    if _is_postgres(cause):
        return _of_postgres(cause, where)
    if isinstance(cause, sqlalchemy.exc.TimeoutError):
        return StoreBusy(f"Too many reads of {where} at once; try again.")
    return StoreUnusable(f"{where} could not be used: {_sentence(cause)}")


def _of_sqlite(error: sqlite3.Error, where: str) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None) or 0
    primary = code & 0xFF
    if primary in _LOCKED:
        return StoreBusy(f"{where} is locked by another process; try again.")
    if primary == sqlite3.SQLITE_FULL or code == _IOERR_SHMSIZE:
        return StoreBusy(f"The disk under {where} is full; free some space, then it goes on.")
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return Conflict(f"{where} already has such a row: {_sentence(error)}")
    if primary == sqlite3.SQLITE_CANTOPEN:
        return StoreBusy(f"{where} cannot be opened now; check its folder's permissions and open-file limits.")
    if primary == sqlite3.SQLITE_IOERR:
        return StoreUnusable(f"The disk under {where} fails ({_sentence(error)}); check the disk, then restart.")
    if primary == sqlite3.SQLITE_READONLY:
        return StoreUnusable(f"{where} is not writable for this user; check its owner and mode.")
    if primary in _DAMAGED or primary == 0:
        hint = "restore a backup with `penstock restore FILE`"
        return StoreUnusable(f"{where} is damaged or not a Penstock state ({_sentence(error)}); {hint}.")
    return StoreUnusable(f"{where} could not be used: {_sentence(error)}")


def _is_postgres(error: BaseException) -> TypeGuard[psycopg.Error]:
    return type(error).__module__.partition(".")[0] == "psycopg"


def _of_postgres(error: psycopg.Error, where: str) -> StoreError:
    state = error.sqlstate or ""
    if state == "23505":
        return Conflict(f"{where} already has such a row: {_sentence(error)}")
    if state in ("55P03", "57014", "40001", "40P01"):
        return StoreBusy(f"{where} is locked by another session; try again.")
    if state.startswith(("53", "57P")):
        return StoreBusy(f"{where} cannot answer now: {_sentence(error)}")
    if state in ("3D000", "28000", "28P01", "42501"):
        return StoreUnusable(f"{where} refuses this user or does not exist: {_sentence(error)}")
    if lost_connection(error):
        return StoreBusy(f"The connection to {where} is lost; it is made again. ({_sentence(error)})")
    return StoreUnusable(f"{where} could not be used: {_sentence(error)}")


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Run a block that reads; rows that cannot be understood leave it as StoreUnusable too."""
    with translated(where):
        try:
            yield
        except DAMAGED_ROW as error:
            raise damaged(error, where) from error


def damaged(error: BaseException, where: str) -> StoreUnusable:
    """A row is there and makes no sense."""
    kind = type(error).__name__
    return StoreUnusable(
        f"{where} holds a row that cannot be read ({kind}: {_sentence(error)});"
        " restore a backup with `penstock restore FILE`."
    )


def lost_connection(error: BaseException) -> bool:
    """Whether a connection that raised this has to be thrown away."""
    cause = getattr(error, "orig", None) or error
    names = {kind.__name__ for kind in type(cause).__mro__}
    return _is_postgres(cause) and bool(names & {"OperationalError", "InterfaceError"})


def _sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
