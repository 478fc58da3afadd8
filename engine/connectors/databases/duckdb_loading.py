"""Loads into a DuckDB file.

Law: rows, ledger row and seal are one transaction; whatever happens before its commit leaves the file as it was.
Rows stream from Arrow into the table; only what has to be looked at twice (upsert, merge) is staged first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from engine.connectors.databases import duckdb_types as types
from engine.connectors.databases.duckdb_catalog import Catalog, target
from engine.connectors.databases.duckdb_groups import in_row_groups
from engine.connectors.databases.duckdb_ledger import Ledger
from engine.connectors.databases.duckdb_session import Session
from engine.connectors.databases.fitting import fitted, names_in
from engine.connectors.databases.merging import NUMBER, Merge
from engine.connectors.databases.naming import Name, quoted
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.stream import Stream

_INCOMING = "_penstock_incoming"


class Loading:
    """One target and the order for it."""

    def __init__(self, session: Session, order: Order) -> None:
        self.session, self.order = session, order
        self.link = session.writing()
        self.catalog = Catalog(self.link, session.id)
        self.name = self.catalog.find(order.target) or target(order.target)
        self.where = f"Connection '{session.id}', table '{order.target}'"
        self.ledger = Ledger(self.link, self.name, uri_of(session, self.name))
        self.created = False
        self.expected: Sequence[pa.Field] = ()
        self._fed: BaseException | None = None

    def load(self, stream: Stream) -> Loaded:
        """All rows, in one transaction."""

        def work() -> int:
            self.make(stream.schema)
            self.make_room()
            if self.order.mode in (Mode.UPSERT, Mode.MERGE):
                return self._merge(stream)
            if self.order.mode is Mode.REPLACE:
                self.link.execute(f"DELETE FROM {self.name.sql}")
            columns = self.columns(stream.schema.names)
            rows = self.fed(stream, columns)
            if self.catalog.indexed(self.name):
                return self.insert(self.name, columns, rows)
            with in_row_groups(self.session, rows) as grouped:
                return self.insert(self.name, columns, grouped)

        return self.committed(work)

    def committed(self, work: Callable[[], int]) -> Loaded:
        """Do the work, enter it in the ledger and commit; or report what an earlier attempt has entered."""
        with self.failures():
            self.link.begin()
            try:
                done = self.ledger.get(self.order.token)
                if done is not None:
                    self.link.rollback()
                    return done
                self.ledger.prepare()
                rows = work()
                failpoint.hit("load.written")
                seal = self.order.seal()
                self.ledger.add(self.order, rows, seal)
                failpoint.hit("load.sealed")
                self.link.commit()
            except BaseException:
                self.roll_back()
                raise
        return Loaded(rows=rows, uri=uri_of(self.session, self.name), created=self.created, seal=seal)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """DuckDB's errors as ours; an error of the stream itself comes through as it was."""
        try:
            with self.session.failures(f"table '{self.order.target}'"):
                yield
        except Exception:
            if self._fed is not None:
                raise self._fed from None
            raise

    def roll_back(self) -> None:
        """End the transaction without a trace."""
        try:
            self.link.rollback()
        except duckdb.Error:
            pass  # a failed commit has ended the transaction already

    def make(self, schema: pa.Schema) -> None:
        """The target, made from the stream's columns where it is missing."""
        if self.catalog.find(self.order.target) is not None:
            return
        if not self.order.create:
            self.catalog.get(self.order.target)  # says what there is
        schema = pa.schema([each for each in schema if each.name != self.order.delete_when])
        create(self.link, self.name, schema, self.order.keys)
        self.created = True

    def make_room(self) -> None:
        """Memory for the target's columns, and its indexes if it has any."""
        keyed = self.order.mode in (Mode.UPSERT, Mode.MERGE)  # old and new rows at once
        columns = len(self.fields()) * (2 if keyed else 1)
        self.session.widen(columns, indexed=self.catalog.indexed(self.name))

    def fields(self) -> dict[str, pa.Field]:
        """The target's columns by name; the stream's where they are staged for a target that is not there yet."""
        there = [plan.field for plan in self.catalog.plans(self.name)]
        return {each.name: each for each in there or self.expected}

    def columns(self, names: Sequence[str]) -> list[str]:
        """The target's spelling of the stream's columns."""
        return names_in(names, pa.schema(list(self.fields().values())), self.where)

    def insert(self, into: Name, columns: Sequence[str], batches: pa.RecordBatchReader) -> int:
        """Rows from Arrow into a table: how many."""
        self.link.register(_INCOMING, batches)
        try:
            names = ", ".join(quoted(each) for each in columns)
            selected = ", ".join(quoted(each) for each in batches.schema.names)
            row = self.link.execute(
                f"INSERT INTO {into.sql} ({names}) SELECT {selected} FROM {_INCOMING}"
            ).fetchone()
        except BaseException:
            self.roll_back()  # in a transaction that has failed nothing can be unregistered
            self.link.unregister(_INCOMING)
            raise
        self.link.unregister(_INCOMING)
        return int(row[0]) if row else 0

    def fed(
        self, stream: Stream, columns: Sequence[str], *, extra: Sequence[pa.Field] = (), numbered: bool = False
    ) -> pa.RecordBatchReader:
        """The stream as DuckDB takes it, fit for the target's columns; `extra` for columns that it lacks."""
        known = self.fields() | {each.name: each for each in extra}
        fields = [known[name] for name in columns]
        empty = pa.RecordBatch.from_pylist([], schema=stream.schema)
        schema = _shaped(fitted(empty, fields, self.where), 0, numbered).schema

        def batches() -> Iterator[pa.RecordBatch]:
            rows = 0
            try:
                for batch in stream:
                    yield _shaped(fitted(batch, fields, self.where), rows, numbered)
                    rows += batch.num_rows
                    self.order.progress(rows)
                    failpoint.hit("load.batch")
            except BaseException as error:
                self._fed = error  # DuckDB would hand on its words only
                raise

        return pa.RecordBatchReader.from_batches(schema, batches())

    # Upsert and merge

    def _merge(self, stream: Stream) -> int:
        stage = Name("temp", _INCOMING + "_rows")
        rows, columns = self.stage_rows(stream, stage, "CREATE TEMP TABLE")
        self.merge(self.merging(stage, columns))
        self.link.execute(f"DROP TABLE {stage.sql}")
        return rows

    def merge(self, merge: Merge) -> None:
        """Put staged rows into the target by key."""
        missing = self.link.execute(merge.without_key()).fetchone()
        if missing and missing[0]:
            keys = ", ".join(self.order.keys)
            raise DataQualityError(
                f"{self.where}: {missing[0]} row(s) have no value in a key column ({keys}); nothing was loaded."
            )
        self.link.execute(merge.statement())

    def stage_rows(self, stream: Stream, stage: Name, create_sql: str) -> tuple[int, list[str]]:
        """All rows, numbered, into a table beside: how many, and the target's columns among its own."""
        flag = self.flag(stream.schema)
        written = [each for each in stream.schema.names if each != self.order.delete_when]
        spelled = dict(zip(written, self.columns(written), strict=True))
        columns = [spelled.get(each, each) for each in stream.schema.names]
        reader = self.fed(stream, columns, extra=flag, numbered=True)
        names = [*columns, NUMBER]
        defined = types.columns_sql(
            pa.schema([field.with_name(name) for field, name in zip(reader.schema, names, strict=True)]),
            [quoted(each) for each in names],
        )
        self.link.execute(f"{create_sql} {stage.sql} ({', '.join(defined)})")
        return self.insert(stage, names, reader), list(spelled.values())

    def flag(self, schema: pa.Schema) -> Sequence[pa.Field]:
        """The column that says which rows are deleted, a boolean of the stream."""
        named = self.order.delete_when
        if named is None:
            return ()
        if named not in schema.names or not pa.types.is_boolean(schema.field(named).type):
            raise ConfigurationError(f"{self.where}: `delete_when` names '{named}', which is no boolean column.")
        return (pa.field(named, pa.bool_()),)

    def merging(self, stage: Name, columns: Sequence[str]) -> Merge:
        """How staged rows get into the target."""
        keys = self.columns(self.order.keys)
        lacking = [key for key in keys if key not in columns]
        if lacking:
            raise ConfigurationError(f"{self.where}: the rows have no key column '{lacking[0]}'.")
        return Merge(
            target=self.name.sql,
            stage=stage.sql,
            columns=[quoted(each) for each in columns],
            keys=[quoted(each) for each in keys],
            number=quoted(NUMBER),
            delete_when=quoted(self.order.delete_when) if self.order.delete_when else None,
        )


def _shaped(batch: pa.RecordBatch, before: int, numbered: bool) -> pa.RecordBatch:
    if not numbered:
        return batch
    return batch.append_column(NUMBER, pa.array(range(before, before + batch.num_rows), pa.int64()))


def create(link: duckdb.DuckDBPyConnection, name: Name, schema: pa.Schema, keys: Sequence[str]) -> None:
    """Make a table for a schema; `keys` are its primary key."""
    columns = types.columns_sql(schema, [quoted(each) for each in schema.names], keys)
    if keys:
        columns.append(f"PRIMARY KEY ({', '.join(quoted(each) for each in keys)})")
    link.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(name.schema)}")
    link.execute(f"CREATE TABLE IF NOT EXISTS {name.sql} ({', '.join(columns)})")


def uri_of(session: Session, name: Name) -> str:
    """Where a table is."""
    return f"{session.uri}#{name.schema}.{name.table}"
