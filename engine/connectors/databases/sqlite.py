"""SQLite files, read from and written to.

Law: see sqlite_link for the session. Config: {path} below the workspace, {timeout_seconds} for one look and for the
wait until others have written. A file is made by a load only. Delimited text comes through Arrow: SQLite takes any
text for a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.connectors.databases.binding import bound
from engine.connectors.databases.rows import Rows
from engine.connectors.databases.sited import SitedDestination
from engine.connectors.databases.sqlite_catalog import Catalog
from engine.connectors.databases.sqlite_link import STATEMENT_SECONDS, Link, file_of
from engine.connectors.databases.sqlite_reading import Looking
from engine.connectors.databases.sqlite_site import SqliteSite
from engine.model.workspace import Connection
from engine.ports.source import Candidate, Selection


def connect(connection: Connection, root: Path) -> Sqlite:
    """A connector for a `sqlite` connection."""
    return Sqlite(connection, root)


class Sqlite(SitedDestination):
    """See engine.ports.source.Source and engine.ports.destination.Destination."""

    def __init__(self, connection: Connection, root: Path) -> None:
        self._id, self._file = connection.id, file_of(connection, root)
        self._seconds = float(connection.config.get("timeout_seconds", STATEMENT_SECONDS))
        self._links: list[Link] = []

    # Looks

    def scalar(self, query: str, parameters: Mapping[str, Any]) -> Any:
        """The first cell of the first row, None when there is no row. `:name` in the query is bound."""
        text, values = bound(query, parameters, lambda name: f":{name}", standard=True)
        with self._looking() as link:
            link.bounded(self._seconds)
            row = link.wire.execute(text, values).fetchone()
            return None if row is None else row[0]

    def test(self) -> str:
        """Count the tables."""
        with self._looking() as link:
            tables = link.rows("SELECT count(*) FROM sqlite_master WHERE type = 'table'")[0][0]
        return f"SQLite opens {self._file}: {tables} table(s)."

    @contextmanager
    def _looking(self, what: str = "") -> Iterator[Link]:
        with closing(Link(self._id, self._file, writes=False, seconds=self._seconds)) as link, link.failures(what):
            yield link

    # Source

    def discover(self, pattern: str = "*", limit: int = 1000) -> Sequence[str]:
        with self._looking() as link:
            return [each for each in Catalog(link).tables() if fnmatchcase(each, pattern)][:limit]

    def schema_of(self, selection: Selection) -> pa.Schema:
        with self._looking() as link:
            return Looking(link, self._file, selection).asked().schema

    def candidates(self, selection: Selection) -> Sequence[Candidate]:
        with self._looking() as link:
            return Looking(link, self._file, selection).candidates()

    def newest(self, selection: Selection) -> Any:
        with self._looking() as link:
            return Looking(link, self._file, selection).newest()

    def read(self, selection: Selection) -> Rows:
        link = Link(self._id, self._file, writes=False, seconds=self._seconds)
        self._links.append(link)
        with link.failures():
            return Looking(link, self._file, selection).read(link.close)

    # Destination

    def _there(self) -> bool:
        return self._file.is_file()

    @contextmanager
    def _site(self, target: str) -> Iterator[SqliteSite]:
        link = Link(self._id, self._file, writes=True, seconds=self._seconds)
        with closing(link), link.failures(f"table '{target}'"):
            yield SqliteSite(link, self._file)

    def close(self) -> None:
        links, self._links = self._links, []
        for link in links:
            link.close()
