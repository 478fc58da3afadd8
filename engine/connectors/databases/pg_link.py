"""One connection to PostgreSQL: how it is opened, asked, and noticed when it falls silent.

Law: a session speaks UTF-8 in UTC with ISO dates, whatever the server's defaults. Statements carry their values
beside them ($1), never in them. A peer that says nothing for `silence_seconds` is given up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import RawCursor, conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from engine.connectors.databases.certificates import located
from engine.connectors.databases.naming import quoted
from engine.connectors.databases.pool import SIZE, Pools
from engine.connectors.databases.sql_errors import failure
from engine.connectors.databases.watch import Watch
from engine.model.errors import ConfigurationError, TimeoutFailure
from engine.model.workspace import Connection

CONNECT_SECONDS = 10
SILENCE_SECONDS = 600.0
_SESSION = "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=iso_8601 -c extra_float_digits=1 -c bytea_output=hex"
_TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding", "gssencmode")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir")

pools: Pools[Link] = Pools()


class Link:
    """A session in autocommit, but between `begin` and its end."""

    def __init__(self, parameters: Mapping[str, Any], connection: str, silence: float) -> None:
        self.id = connection
        with failures(connection):
            self.wire: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(
                "",
                autocommit=True,
                prepare_threshold=None,
                cursor_factory=RawCursor,
                row_factory=tuple_row,
                **parameters,
            )
        self.watch = Watch(self.wire.fileno(), silence)

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a statement answers."""
        with self.watch.waiting(), self.wire.cursor() as cursor:
            cursor.execute(statement.encode(), values or None)
            return cursor.fetchall()

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; the number of rows it touched."""
        with self.watch.waiting(), self.wire.cursor() as cursor:
            cursor.execute(statement.encode(), values or None)
            return max(cursor.rowcount, 0)

    def begin(self, how: str = "") -> None:
        """Open a transaction."""
        self.run(f"BEGIN {how}")

    def commit(self) -> None:
        """Commit; a transaction that has failed is an error, not a silent ROLLBACK."""
        if self.wire.info.transaction_status is TransactionStatus.INERROR:
            raise psycopg.errors.InFailedSqlTransaction("the transaction has failed and cannot be committed")
        self.run("COMMIT")

    def rollback(self) -> None:
        """End the transaction without a trace; a connection that is gone has ended it."""
        if self.wire.closed or self.wire.info.transaction_status is TransactionStatus.IDLE:
            return
        try:
            self.run("ROLLBACK")
        except psycopg.Error:
            self.close()

    def alive(self) -> bool:
        """Whether the server answers."""
        if self.wire.closed:
            return False
        try:
            self.rows("SELECT 1")
        except psycopg.Error:
            return False
        return self.wire.info.transaction_status is TransactionStatus.IDLE

    def close(self) -> None:
        """End the session."""
        self.watch.end()
        self.wire.close()

    @contextmanager
    def failures(self, what: str = "") -> Iterator[None]:
        """The driver's errors as ours."""
        try:
            with failures(self.id, what):
                yield
        except Exception as error:
            if self.watch.silent and not isinstance(error, TimeoutFailure):
                place = f"Connection '{self.id}'" + (f", {what}" if what else "")
                raise TimeoutFailure(
                    f"{place}: the server has said nothing for too long; it was given up."
                ) from None
            raise


@contextmanager
def failures(connection: str, what: str = "") -> Iterator[None]:
    """The driver's errors as ours. `what`: the object that is read or written."""
    try:
        yield
    except psycopg.Error as error:
        raise failure(error, connection, what) from error


class Login:
    """How a connection of type `postgresql` is reached."""

    def __init__(self, connection: Connection, root: Path) -> None:
        self.id = connection.id
        self._config = connection.config
        self.parameters = _parameters(connection, root)
        self.silence = _number(connection, "silence_seconds", SILENCE_SECONDS)
        self.adbc = bool(connection.config.get("adbc", True))
        self.size = int(_number(connection, "pool_size", SIZE))

    @property
    def key(self) -> tuple[tuple[str, Any], ...]:
        """What tells one login from another."""
        return tuple(sorted(self.parameters.items()))

    def opened(self) -> Link:
        """A new session."""
        return Link(self.parameters, self.id, self.silence)

    def looked(self, seconds: float) -> Link:
        """A new session that can only look, and for so long only."""
        options = f"{self.parameters['options']} -c default_transaction_read_only=on"
        bounded = f"{options} -c statement_timeout={int(seconds * 1000)}"
        return Link({**self.parameters, "options": bounded}, self.id, seconds + CONNECT_SECONDS)

    def within(self, milliseconds: int) -> str:
        """The login as libpq's own string, for a session whose statements take no longer."""
        options = f"{self.parameters['options']} -c statement_timeout={milliseconds}"
        return conninfo.make_conninfo("", **{**self.parameters, "options": options})

    @property
    def port(self) -> str:
        return str(self.parameters.get("port") or 5432)

    @property
    def address(self) -> str:
        """Where the server is, as a URI names it."""
        return f"postgresql://{self.parameters.get('host') or 'localhost'}:{self.port}"


def _number(connection: Connection, key: str, default: float) -> float:
    given = connection.config.get(key, default)
    if isinstance(given, bool) or not isinstance(given, int | float) or given <= 0:
        raise ConfigurationError(f"Connection '{connection.id}': `{key}` is a number above 0.")
    return float(given)


def _parameters(connection: Connection, root: Path) -> dict[str, Any]:
    config = connection.config
    own = {
        "host": config.get("host"),
        "port": config.get("port"),
        "dbname": config.get("database"),
        "user": config.get("user") or config.get("username"),
        "password": config.get("password"),
        **{key: config.get(key) for key in _TLS},
    }
    found = {**_from_url(connection), **{key: str(value) for key, value in own.items() if value}}
    if found.get("sslmode") != "disable":
        files = [key for key in _FILES if not _is_word(key, found.get(key))]
        found.update(located(connection.id, found, files, root))
    found["options"] = f"{found.get('options', '')} {_SESSION}{_path(config.get('schema'))}".strip()
    defaults = {"connect_timeout": CONNECT_SECONDS, "application_name": "penstock", "client_encoding": "utf8"}
    alive = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
    return {**defaults, **alive, **found}


def _is_word(key: str, given: Any) -> bool:
    """What libpq takes for no file: whom this machine trusts, and the key that an engine of OpenSSL holds."""
    return (key == "sslrootcert" and given == "system") or (key == "sslkey" and ":" in str(given))


def _path(schema: Any) -> str:
    """Where tables without a schema are looked for and made."""
    if not schema:
        return ""
    named = quoted(str(schema)).replace("\\", "\\\\").replace(" ", "\\ ")  # as libpq reads options
    return f" -c search_path={named}"


def _from_url(connection: Connection) -> dict[str, Any]:
    url = connection.config.get("url")
    if not url:
        return {}
    scheme, _, rest = str(url).partition("://")
    if scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ConfigurationError(f"Connection '{connection.id}': its URL is to begin with postgresql://.")
    try:
        parts: dict[str, Any] = conninfo.conninfo_to_dict(f"postgresql://{rest}")
    except psycopg.ProgrammingError:
        parts = {}  # its message quotes the URL
    if not parts:
        raise ConfigurationError(f"Connection '{connection.id}' has a URL that cannot be read.")
    return parts
