"""What goes wrong with PostgreSQL, SQLite and what SQLAlchemy speaks to, said kindly.

Law: the SQLSTATE decides the kind; where a driver has none, its words do. A message repeats no value of a row or a
statement, and says in which line and column of what was loaded the fault was found.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from engine.model.errors import (
    ConfigurationError,
    DataQualityError,
    NetworkError,
    PermissionFailure,
    ResourceExhaustion,
    TaskFailure,
    TimeoutFailure,
)

# SQLSTATE by prefix, the longest first (PostgreSQL, appendix A).
_STATES: tuple[tuple[str, type[TaskFailure]], ...] = (
    ("42501", PermissionFailure),
    ("57014", TimeoutFailure),
    ("3D000", ConfigurationError),
    ("08", NetworkError),
    ("28", PermissionFailure),
    ("57", NetworkError),
    ("40", NetworkError),
    ("53", ResourceExhaustion),
    ("55", ResourceExhaustion),
    ("58", ResourceExhaustion),
    ("22", DataQualityError),
    ("23", DataQualityError),
)
# Where a driver has no SQLSTATE, its words.
_WORDS: tuple[tuple[str, type[TaskFailure]], ...] = (
    ("constraint failed", DataQualityError),
    ("datatype mismatch", DataQualityError),
    ("duplicate entry", DataQualityError),
    ("string or blob too big", DataQualityError),
    ("authentication failed", PermissionFailure),
    ("access denied", PermissionFailure),
    ("permission denied", PermissionFailure),
    ("no pg_hba.conf entry", PermissionFailure),
    ("readonly database", PermissionFailure),
    ("server closed the connection", NetworkError),
    ("connection reset", NetworkError),
    ("connection refused", NetworkError),
    ("broken pipe", NetworkError),
    ("division by zero", DataQualityError),
    ("out of range", DataQualityError),
    ("invalid input syntax", DataQualityError),
    ("interrupted", TimeoutFailure),
    ("timeout", TimeoutFailure),
    ("timed out", TimeoutFailure),
    ("database is locked", ResourceExhaustion),
    ("table is locked", ResourceExhaustion),
    ("disk i/o error", ResourceExhaustion),
    ("database or disk is full", ResourceExhaustion),
    ("too many clients", ResourceExhaustion),
    ("does not exist", ConfigurationError),
    ("no such ", ConfigurationError),
    ("unknown database", ConfigurationError),
    ("syntax error", ConfigurationError),
    ("not a database", ConfigurationError),
    ("unable to open", ConfigurationError),
    ("malformed", ConfigurationError),
    ("certificate file", ConfigurationError),  # libpq cannot read it, or our key does not belong to it
    ("private key file", ConfigurationError),
    ("sslmode", ConfigurationError),
)
_REMEDIES: tuple[tuple[str, str], ...] = (
    ("too many clients", "Put the tasks that use it into a pool."),
    ("authentication failed", "Check user and password of the connection."),
    ("connection refused", "Check host and port, and that the server runs."),
    ("database is locked", "Another process is writing to the file."),
    ("database or disk is full", "Make room on the disk."),
    (
        "certificate verify failed",
        "Name the authority that signed the server's certificate (PostgreSQL: `sslrootcert`).",
    ),
    ("does not match host name", "`host` is to be a name that the server's certificate was made out to."),
    ("alert unknown ca", "The server does not trust who signed our own certificate."),
    ("statement timeout", "Raise `timeout_seconds`, or ask for less."),
)
_VALUE = re.compile(r"""(?:(?<=: )|(?<=value )|(?<=entry ))(?:"[^"]*"?|'[^']*'?)""")
_LINE = re.compile(r"COPY .*?, (line \d+(?:, column [^:\n]+)?)")
_LOST = "the connection was lost"


def failure(error: BaseException, connection: str, what: str = "") -> TaskFailure:
    """The failure that a driver's error stands for. `what`: the object that is read or written."""
    original = getattr(error, "orig", None) or error
    words = without_values(str(original)) or _LOST
    kind = _kind(original, words.lower())
    place = f"Connection '{connection}'" + (f", {what}" if what else "")
    at = _where(original)
    remedy = next((f" {told}" for phrase, told in _REMEDIES if phrase in words.lower()), "")
    return kind(f"{place}: {words}{at}{'.' if remedy and words[-1] != '.' else ''}{remedy}")


def without_values(words: str) -> str:
    """The first line of a message, without what a row or a statement holds."""
    lines = words.strip().splitlines()
    return _VALUE.sub("(value not shown)", lines[0].strip())[:300] if lines else ""


def _where(original: BaseException) -> str:
    context = getattr(getattr(original, "diag", None), "context", None) or ""
    found = _LINE.search(context)
    return f" ({found[1]})" if found else ""


def state_of(error: BaseException) -> str:
    """The SQLSTATE, where there is one."""
    original: Any = getattr(error, "orig", None) or error
    return str(getattr(original, "sqlstate", None) or "")


def _kind(original: BaseException, words: str) -> type[TaskFailure]:
    state = state_of(original)
    for prefix, kind in _STATES:
        if state.startswith(prefix):
            return kind
    if state:
        return ConfigurationError
    for phrase, kind in _WORDS:
        if phrase in words:
            return kind
    name = type(original).__name__
    if name in ("IntegrityError", "DataError"):
        return DataQualityError
    if isinstance(original, sqlite3.Error):
        return ConfigurationError  # a file breaks no connection, so it is the statement
    # Without a state or known words: the connection broke, or the statement is wrong.
    return NetworkError if name in ("OperationalError", "InterfaceError") else ConfigurationError
