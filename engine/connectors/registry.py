"""Which connector serves which connection type.

Law: a type that is known but not carried is refused by name with what there is; a connector's module is imported
when its first connection is used. A later kind of system is one line here and one file beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from engine.connectors import plugins
from engine.model.errors import ConfigurationError, NotInThisVersion
from engine.model.workspace import Connection
from engine.ports.connector import Fetched
from engine.ports.destination import Destination
from engine.ports.source import Source

_DATABASES, _FILES, _QUEUES = "engine.connectors.databases", "engine.connectors.files", "engine.connectors.queues"
_REST = "engine.connectors.rest"
# type -> the module whose `connect(connection, root)` opens it, and the extra its library comes with
_MODULES: Mapping[str, tuple[str, str | None]] = {
    "sqlite": (f"{_DATABASES}.sqlite", None),
    "postgresql": (f"{_DATABASES}.postgresql", None),
    "duckdb": (f"{_DATABASES}.duckdb", None),
    "mysql": (f"{_DATABASES}.mysql", "mysql"),
    "mariadb": (f"{_DATABASES}.mysql", "mysql"),
    "snowflake": (f"{_DATABASES}.snowflake", "snowflake"),
    "sqlalchemy": (f"{_DATABASES}.anysql", None),
    "rest": (f"{_REST}.service", None),
    "http": (f"{_REST}.service", None),
    "graphql": (f"{_REST}.graphql", None),
    "file": (f"{_FILES}.connector", None),
    "s3": (f"{_FILES}.connector", "objectstore"),
    "gcs": (f"{_FILES}.connector", "objectstore"),
    "azure": (f"{_FILES}.connector", "objectstore"),
    "rabbitmq": (f"{_QUEUES}.rabbitmq", "rabbitmq"),
    "redis": (f"{_QUEUES}.redis", "redis"),
    "nats": (f"{_QUEUES}.nats", "nats"),
    "kafka": (f"{_QUEUES}.kafka", "kafka"),
}
TYPES = frozenset(_MODULES)
LATER = frozenset({"bigquery", "sftp", "ftp", "hdfs", "mongodb", "sqlserver", "oracle"})


class Connector(Protocol):
    """One open way to one system."""

    def test(self) -> str:
        """Ask it something harmless; a sentence of who answered. TaskFailure when it does not."""

    def close(self) -> None:
        """Let go."""


class SqlReader(Connector, Protocol):
    """What answers queries."""

    def scalar(self, query: str, parameters: Mapping[str, Any]) -> Any: ...


class WebReader(Connector, Protocol):
    """What answers GET."""

    def fetch(self, url: str) -> Fetched: ...


class Connectors:
    """Opens connectors for one workspace; `scalar` and `fetch` are the ports of the same names."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, connection: Connection) -> Connector:
        """The connector of a connection whose secrets are resolved."""
        if connection.type not in _MODULES:
            added = plugins.connector(connection.type)
            if added is None:
                raise _unserved(connection)
            return cast(Connector, added(connection, self._root))
        module, extra = _MODULES[connection.type]
        try:
            return cast(Connector, import_module(module).connect(connection, self._root))
        except ModuleNotFoundError as error:
            raise _missing(connection, error, extra) from error

    def source(self, connection: Connection) -> Source:
        """A system to read from."""
        if connection.direction == "out":
            raise _wrong_way(connection, "read from", "in")
        connector = self.open(connection)
        if not isinstance(connector, Source):
            connector.close()
            raise _cannot(connection, "be read from", "a database, file, rest or queue")
        return connector

    def destination(self, connection: Connection) -> Destination:
        """A system to write to."""
        if connection.direction == "in":
            raise _wrong_way(connection, "written to", "out")
        connector = self.open(connection)
        if not isinstance(connector, Destination):
            connector.close()
            raise _cannot(connection, "be written to", "a database, file, rest or queue")
        return connector

    def scalar(self, connection: Connection, query: str, parameters: Mapping[str, Any]) -> Any:
        """The first cell of the first row."""
        connector = self.open(connection)
        with closing(connector):
            if not hasattr(connector, "scalar"):
                raise _cannot(connection, "answer SQL", "sqlite or postgresql")
            return cast(SqlReader, connector).scalar(query, parameters)

    def fetch(self, connection: Connection | None, url: str) -> Fetched:
        """GET one URL."""
        connector = self.open(connection or Connection(id="", type="http"))
        with closing(connector):
            if not hasattr(connector, "fetch"):
                raise _cannot(connection or Connection(id="", type=""), "be fetched from", "rest")
            return cast(WebReader, connector).fetch(url)

    def test(self, connection: Connection) -> str:
        """What `penstock connections test` says when all is well."""
        connector = self.open(connection)
        with closing(connector):
            return connector.test()


def _unserved(connection: Connection) -> Exception:
    name, kind = connection.id, connection.type[:40]
    if kind in LATER:
        return NotInThisVersion(
            f"Connection '{name}' is of type '{kind}', which is not in this version. "
            f"There are {', '.join(sorted(TYPES))}."
        )
    near = get_close_matches(kind, sorted(TYPES | LATER), n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    there_are = f"There are {', '.join(sorted(TYPES))}."
    return ConfigurationError(f"Connection '{name}' is of type '{kind}', which nothing serves; {hint}{there_are}")


def _missing(connection: Connection, error: ModuleNotFoundError, extra: str | None) -> ConfigurationError:
    if extra is None or (error.name or "").startswith("engine"):
        raise error
    return ConfigurationError(
        f"Connection '{connection.id}' of type '{connection.type}' needs '{error.name}', which is not installed: "
        f"pip install 'penstock[{extra}]'."
    )


def _wrong_way(connection: Connection, what: str, instead: str) -> ConfigurationError:
    return ConfigurationError(
        f"Connection '{connection.id}' has `direction: {connection.direction}` and may not be {what}; "
        f"write `direction: {instead}` or `both` in connections.yaml if it should."
    )


def _cannot(connection: Connection, what: str, instead: str) -> ConfigurationError:
    return ConfigurationError(
        f"Connection '{connection.id}' is of type '{connection.type}' and cannot {what}; "
        f"name one of type {instead}."
    )
