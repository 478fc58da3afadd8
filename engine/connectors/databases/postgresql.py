"""PostgreSQL, read from and written to.

Law: see pg_link for the session. Config: {url} or {host, port, database, user, password}; {schema}; {sslmode,
sslrootcert, sslcert, sslkey}; {adbc: false} reads without it; {pool_size}; {timeout_seconds} for one look (60),
{silence_seconds} without a word from the server (600). Reading is COPY or, where the extra `adbc` is installed,
ADBC; loading is COPY in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from engine.connectors.databases.binding import bound
from engine.connectors.databases.loading import Loading
from engine.connectors.databases.pg_catalog import Catalog
from engine.connectors.databases.pg_link import Link, Login, pools
from engine.connectors.databases.pg_reading import Looking
from engine.connectors.databases.pg_site import PgSite
from engine.connectors.databases.pg_slot import Lag, default_name, lag
from engine.connectors.databases.pgcdc import Changes
from engine.connectors.databases.rows import Rows
from engine.connectors.databases.sited import SitedDestination
from engine.dataflow.kinds import kind_of
from engine.model.dataset import DataKind
from engine.model.workspace import Connection
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.source import Candidate, Selection
from engine.ports.stream import RawText

STATEMENT_SECONDS = 60.0


def connect(connection: Connection, root: Path) -> Postgres:
    """A connector for a `postgresql` connection."""
    return Postgres(connection, root)


class Postgres(SitedDestination):
    """See engine.ports.source.Source and engine.ports.destination.Destination."""

    def __init__(self, connection: Connection, root: Path) -> None:
        self._login = Login(connection, root)
        self._seconds = float(connection.config.get("timeout_seconds", STATEMENT_SECONDS))
        self._pool = pools.join(self._login.key, self._login.id, self._login.size, self._login.opened)
        self._left = False

    # Looks

    def scalar(self, query: str, parameters: Mapping[str, Any]) -> Any:
        """The first cell of the first row, None when there is no row. `:name` in the query is bound."""
        text, values = bound(query, parameters, lambda name: f"%({name})s", percent=True, standard=True)
        with closing(self._login.looked(self._seconds)) as link, link.failures():
            with psycopg.ClientCursor(link.wire) as cursor, link.watch.waiting():
                cursor.execute(text.encode(), values)
                row = cursor.fetchone() if cursor.description else None
            return None if row is None else row[0]

    def test(self) -> str:
        """Ask for its version and who we are."""
        with closing(self._login.looked(self._seconds)) as link, link.failures():
            version, user = link.rows("SELECT current_setting('server_version'), current_user")[0]
        return f"PostgreSQL {version} answers as user '{user}'."

    # Source

    def discover(self, pattern: str = "*", limit: int = 1000) -> Sequence[str]:
        with self._lent() as link:
            catalog = Catalog(link)
            names = [catalog.shown(each) for each in catalog.tables()]
        return [each for each in names if fnmatchcase(each, pattern)][:limit]

    def schema_of(self, selection: Selection) -> pa.Schema:
        with self._lent() as link:
            return Looking(link, self._login, selection).asked().schema

    def candidates(self, selection: Selection) -> Sequence[Candidate]:
        with self._lent() as link:
            return Looking(link, self._login, selection).candidates()

    def newest(self, selection: Selection) -> Any:
        with self._lent() as link:
            return Looking(link, self._login, selection).newest()

    def lag(self, slot: str) -> Lag | None:
        """How far a replication slot is behind, and how much of the server's log is kept for it."""
        with self._lent() as link:
            return lag(link, slot)

    def lag_of(self, table: str, slot: str | None = None) -> Lag | None:
        """The same of the slot that changes of a table are read with; None where there is none yet."""
        with self._lent() as link:
            catalog = Catalog(link)
            return lag(link, slot or default_name(catalog.find(table) or catalog.named(table)))

    def read(self, selection: Selection) -> Rows | Changes:
        link = self._pool.take()  # of its own: it is busy until the last row
        try:
            with link.failures():
                return Looking(link, self._login, selection).read(lambda: self._pool.give(link))
        except BaseException:
            self._pool.give(link)
            raise

    # Destination

    def load_raw(self, text: RawText, order: Order) -> Loaded | None:
        if order.mode is not Mode.APPEND or not _readable(text):
            return None
        with self._site(order.target) as site:
            loading = Loading(site, order)
            if loading.found is None or not _taken_alike(text, site.fields(loading.found)):
                return None
            return loading.load_text(text, site.write_text)

    # Connections

    @contextmanager
    def _lent(self, what: str = "") -> Iterator[Link]:
        link = self._pool.take()
        try:
            with link.failures(what):
                yield link
        finally:
            link.rollback()  # nothing of ours goes on in a connection that others get
            self._pool.give(link)

    @contextmanager
    def _site(self, target: str) -> Iterator[PgSite]:
        with self._lent(f"table '{target}'") as link:
            yield PgSite(link, self._login.address)

    def close(self) -> None:
        if not self._left:
            self._left = True
            pools.leave(self._login.key, self._pool)


def _taken_alike(text: RawText, target: Sequence[pa.Field]) -> bool:
    """Whether the server reads such cells as we would: of times it takes `now` and 03/04/2024, and it drops an
    offset where the column has no zone."""
    there = {each.name: each for each in target}
    if not set(text.columns) <= there.keys():
        return False
    return text.schema is None or all(_alike(text.schema.field(name), there[name]) for name in text.columns)


def _alike(given: pa.Field, to: pa.Field) -> bool:
    kind, wanted = kind_of(to), None if pa.types.is_null(given.type) else kind_of(given)
    if kind in (DataKind.STRING, DataKind.JSON):
        return True
    if kind is DataKind.TIMESTAMP:
        return wanted is kind and (given.type.tz is None) == (to.type.tz is None)
    return wanted in _TAKEN[kind]


_TAKEN: Mapping[DataKind, frozenset[DataKind]] = {
    DataKind.INTEGER: frozenset({DataKind.INTEGER}),
    DataKind.FLOAT: frozenset({DataKind.INTEGER, DataKind.FLOAT}),
    DataKind.DECIMAL: frozenset({DataKind.INTEGER, DataKind.FLOAT, DataKind.DECIMAL}),
    DataKind.BOOLEAN: frozenset({DataKind.BOOLEAN}),
    DataKind.DATE: frozenset({DataKind.DATE}),
    DataKind.BINARY: frozenset(),  # base64 here, and another way of writing bytes there
}


def _readable(text: RawText) -> bool:
    """Whether the server reads such text."""
    single = all(len(each.encode()) == 1 for each in (text.delimiter, text.quote, text.escape or text.quote))
    return single and text.delimiter not in "\r\n" and text.encoding.lower().replace("-", "") in _ENCODINGS


_ENCODINGS = frozenset({"utf8", "ascii", "usascii"})
