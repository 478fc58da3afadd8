"""One database that SQLAlchemy speaks to: its engine, what it holds, how its names are quoted.

Law: connections are asked whether they live before they are used; no message carries a value. What a dialect's
driver needs installing is said by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from engine.connectors.databases.naming import OWN, no_table
from engine.connectors.databases.pool import SIZE
from engine.connectors.databases.sql_errors import failure
from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection


class Link:
    """See the module."""

    def __init__(self, connection: Connection) -> None:
        self.id = connection.id
        self._url = _url(connection)
        self.schema: str | None = connection.config.get("schema")  # of tables without one
        self.engine = self._made(connection)

    def _made(self, connection: Connection) -> sa.Engine:
        pooled = {"pool_size": int(connection.config.get("pool_size", SIZE)), "max_overflow": 0, "pool_timeout": 30}
        own: dict[str, Any] = {} if self._url.get_backend_name() == "sqlite" else pooled
        own["connect_args"] = dict(connection.config.get("connect_args") or {})
        try:
            return sa.create_engine(self._url, hide_parameters=True, pool_pre_ping=True, **own)
        except NoSuchModuleError as error:
            raise ConfigurationError(
                f"Connection '{self.id}': there is no dialect '{self._url.drivername}' of SQLAlchemy; install it."
            ) from error
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"Connection '{self.id}' needs '{error.name}', which is not installed: pip install {error.name}."
            ) from error

    @property
    def address(self) -> str:
        """Where the database is, without login and options."""
        url = self._url
        port = f":{url.port}" if url.port else ""
        return f"{url.get_backend_name()}://{url.host or ''}{port}/{url.database or ''}"

    @contextmanager
    def failures(self, what: str = "") -> Iterator[None]:
        """SQLAlchemy's errors as ours. `what`: the object that is read or written."""
        try:
            yield
        except SQLAlchemyError as error:
            raise failure(error, self.id, what) from error

    @contextmanager
    def looking(self, what: str = "") -> Iterator[sa.Connection]:
        """A connection whose transaction is rolled back."""
        with self.failures(what), self.engine.connect() as wire:
            try:
                yield wire
            finally:
                if not wire.invalidated:
                    wire.rollback()

    # What is there

    def tables(self) -> list[str]:
        """Tables and views of the default schema, without our own."""
        with self.failures():
            there = sa.inspect(self.engine)
            names = sorted({*there.get_table_names(self.schema), *there.get_view_names(self.schema)})
        return [each for each in names if not each.startswith(OWN)]

    def find(self, given: str) -> sa.Table | None:
        """The table of this name, reflected: as it stands, or schema.table."""
        schema, _, table = given.rpartition(".")
        with self.failures(f"table '{given}'"):
            there = sa.inspect(self.engine)
            for name, within in ((given, self.schema), (table, schema)):
                if not name or within == "":
                    continue
                if there.has_table(name, schema=within) or name in there.get_view_names(schema=within):
                    return sa.Table(
                        name, sa.MetaData(), schema=within, autoload_with=self.engine, resolve_fks=False
                    )
        return None

    def table(self, given: str) -> sa.Table:
        """The table of this name, or a ConfigurationError with the nearest there is."""
        found = self.find(given)
        if found is None:
            raise self.missing(given)
        return found

    def drop(self, wire: sa.Connection, name: str, schema: str | None) -> None:
        """Drop a table of ours, by its name alone."""
        sa.Table(name, sa.MetaData(), schema=schema).drop(wire, checkfirst=True)

    def missing(self, given: str) -> ConfigurationError:
        """There is no such table."""
        return no_table(self.id, given, self.tables())

    def indexed(self, table: sa.Table) -> tuple[set[str], list[str]]:
        """The first columns of indexes, and the columns of the primary key."""
        primary = [each.name for each in table.primary_key.columns]
        first = {next(iter(each.columns)).name for each in table.indexes if len(each.columns)}
        return first | set(primary[:1]), primary

    def quoted(self, name: str) -> str:
        """An identifier in this dialect, as text() takes it."""
        preparer = self.engine.dialect.identifier_preparer
        found = str(preparer.quote_identifier(name))
        return found.replace("%%", "%") if preparer._double_percents else found  # text() doubles them itself

    def quoted_table(self, table: sa.Table) -> str:
        """A table's name in this dialect, fit for text()."""
        parts = [self.quoted(each) for each in (table.schema, table.name) if each]
        return ".".join(parts).replace(":", "\\:")


def _url(connection: Connection) -> sa.URL:
    given: Any = connection.config.get("url")
    if not given:
        raise ConfigurationError(f"Connection '{connection.id}' needs a `url`: dialect+driver://host/database.")
    try:
        url = sa.make_url(str(given))
        user, password = connection.config.get("user"), connection.config.get("password")
        return url.set(username=user or url.username, password=password or url.password)
    except (SQLAlchemyError, ValueError) as error:
        raise ConfigurationError(f"Connection '{connection.id}' has a URL that cannot be read.") from error
