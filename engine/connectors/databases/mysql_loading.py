"""Loads into MySQL and MariaDB: append, upsert and merge, each one transaction with its ledger row.

Law: DDL ends a transaction there, so that all of it comes before: a missing target, the ledger, and what is staged
for a merge in tables that end with the connection. A table whose engine cannot roll back is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pymysql

from engine.connectors.databases import mysql_types as types
from engine.connectors.databases.fitting import fitted, names_in
from engine.connectors.databases.merging import NUMBER
from engine.connectors.databases.mysql_bulk import Bulk
from engine.connectors.databases.mysql_catalog import Catalog, Column, Name, quoted
from engine.connectors.databases.mysql_errors import failures
from engine.connectors.databases.mysql_ledger import Ledger
from engine.connectors.databases.mysql_link import Link
from engine.connectors.databases.mysql_merge import Merge
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.stream import Stream

_DUPLICATE = 1062
_STAGED = "_penstock_incoming"


class Loading:
    """One target and the order for it."""

    def __init__(self, link: Link, catalog: Catalog, id: str, uri: Callable[[Name], str], order: Order) -> None:
        self.link, self.catalog, self.order, self.id = link, catalog, order, id
        self.name = catalog.find(order.target) or catalog.name(order.target)
        self.uri = uri(self.name)
        self.where = f"Connection '{id}', table '{order.target}'"
        self.ledger = Ledger(catalog, self.name, self.uri)
        self.created = False
        self._fed: BaseException | None = None
        self._columns: dict[str, Column] = {}
        self.expected: Sequence[Column] = ()

    # What comes before a transaction

    def ready(self, schema: pa.Schema, *, make: bool = True) -> Loaded | None:
        """Everything that is DDL: ledger and target. What an earlier attempt loaded, if it did."""
        self.ledger.prepare()
        self.ledger.repair()
        done = self.ledger.get(self.order.token)
        if done is None:
            if make:
                self.make(schema)
            if self.catalog.exists(self.name) and not self.catalog.transactional(self.name):
                raise ConfigurationError(
                    f"{self.where}: its storage engine cannot roll back, so that a load could be left half done; "
                    "ALTER TABLE it to ENGINE=InnoDB."
                )
        return done

    def make(self, schema: pa.Schema) -> None:
        """The target, made from the stream's columns where it is missing."""
        if self.catalog.exists(self.name):
            return
        if not self.order.create:
            self.catalog.get(self.order.target)  # says what there is
        schema = pa.schema([each for each in schema if each.name != self.order.delete_when])
        create(self.catalog, self.name, schema, self.order.keys)
        self.created, self._columns = True, {}

    @property
    def columns(self) -> dict[str, Column]:
        """The target's columns by name; those that it will have where it is not there yet."""
        if not self._columns:
            there = self.catalog.columns(self.name) if self.catalog.exists(self.name) else self.expected
            self._columns = {each.name: each for each in there}
        return self._columns

    def spelled(self, names: Sequence[str]) -> list[str]:
        """The target's spelling of these columns."""
        there = pa.schema([each.field for each in self.columns.values() if not each.generated])
        return names_in(names, there, self.where)

    # Rows

    def write(self, into: Name, columns: Sequence[str], stream: Stream, *, numbered: bool = False) -> int:
        """All rows of the stream into a table that has these columns, in the stream's order: how many."""
        fields = [self._field(name, one) for name, one in zip(columns, stream.schema, strict=True)]
        names = [*columns, NUMBER] if numbered else list(columns)
        bits = [name in self.columns and self.columns[name].bits for name in names]
        schema = _numbered(fitted(_none(stream.schema), fields, self.where), 0, numbered).schema

        def batches() -> Iterator[pa.RecordBatch]:
            rows = 0
            try:
                for batch in stream:
                    yield _numbered(fitted(batch, fields, self.where), rows, numbered)
                    rows += batch.num_rows
                    self.order.progress(rows)
                    failpoint.hit("load.batch")
            except BaseException as error:
                self._fed = error  # not the database's, whatever it is
                raise

        return Bulk(self.link, self.catalog, self.where).write(into, names, bits, schema, batches())

    def _field(self, name: str, given: pa.Field) -> pa.Field:
        return self.columns[name].field if name in self.columns else given

    # Transactions

    def committed(self, work: Callable[[], int]) -> Loaded:
        """Do the work, enter it in the ledger, commit; or report what another attempt has entered meanwhile."""
        self.link.begin()
        try:
            rows = work()
            failpoint.hit("load.written")
            seal = self.order.seal()
            self.ledger.add(self.order, rows, seal)
            failpoint.hit("load.sealed")
            self.link.commit()
        except BaseException as error:
            self.roll_back()
            done = self._entered_by_another(error)
            if done is None:
                raise
            return done
        return Loaded(rows=rows, uri=self.uri, created=self.created, seal=seal)

    def _entered_by_another(self, error: BaseException) -> Loaded | None:
        duplicate = isinstance(error, pymysql.err.IntegrityError) and error.args[:1] == (_DUPLICATE,)
        return self.ledger.get(self.order.token) if duplicate else None

    def roll_back(self) -> None:
        """End the transaction without a trace."""
        try:
            self.link.rollback()
        except (pymysql.err.Error, OSError):
            pass  # the connection is gone, and the transaction with it

    @contextmanager
    def failures(self) -> Iterator[None]:
        """The driver's errors as ours; an error of the stream comes through as it was. A target that was made for
        a load that failed is dropped again."""
        try:
            with failures(self.id, f"table '{self.order.target}'"):
                yield
        except BaseException:
            self.unmake()
            if self._fed is not None:
                raise self._fed from None
            raise

    def unmake(self) -> None:
        """Drop a target that was made for this load and holds nothing."""
        if not self.created or not self.catalog.exists(self.name):
            return
        try:
            if not self.catalog.rows(f"SELECT 1 FROM {self.name.sql} LIMIT 1"):
                self.catalog.run(f"DROP TABLE IF EXISTS {self.name.sql}")
        except (pymysql.err.Error, OSError):
            pass  # it stays, empty; the next attempt takes it

    def load(self, stream: Stream) -> Loaded:
        """Append, upsert or merge."""
        with self.failures():
            done = self.ready(stream.schema)
            if done is not None:
                return done
            if self.order.mode is Mode.APPEND:
                columns = self.spelled(stream.schema.names)
                return self.committed(lambda: self.write(self.name, columns, stream))
            stage = self.name.beside(_STAGED)
            rows, merge = self.staged(stream, stage, temporary=True)
            merge.settle()
            merge.ready()
            return self.committed(lambda: self.merged(merge, rows))

    def merged(self, merge: Merge, rows: int) -> int:
        """Put staged rows into the target by key."""
        missing = merge.without_key()
        if missing:
            raise DataQualityError(
                f"{self.where}: {missing} row(s) have no value in a key column ({', '.join(self.order.keys)}); "
                "nothing was loaded."
            )
        merge.run()
        return rows

    def staged(self, stream: Stream, stage: Name, *, temporary: bool) -> tuple[int, Merge]:
        """All rows, numbered, in a table beside; and how they are merged from there."""
        self._check_flag(stream.schema)
        written = [each for each in stream.schema.names if each != self.order.delete_when]
        spelled = dict(zip(written, self.spelled(written), strict=True))
        columns = [spelled.get(each, each) for each in stream.schema.names]
        self._make_stage(stage, list(spelled.values()), "TEMPORARY TABLE" if temporary else "TABLE")
        rows = self.write(stage, columns, stream, numbered=True)
        return rows, self.merging(stage, list(spelled.values()))

    def _make_stage(self, stage: Name, columns: Sequence[str], kind: str) -> None:
        flag = f"{quoted(self.order.delete_when)} TINYINT(1), " if self.order.delete_when else ""
        self.catalog.run(f"DROP {kind} IF EXISTS {stage.sql}")
        if not self.catalog.exists(self.name):
            wanted = [self.columns[each].field for each in columns]
            create(self.catalog, stage, pa.schema(wanted), (), f"{flag}{quoted(NUMBER)} BIGINT PRIMARY KEY")
            return
        listed = ", ".join(quoted(each) for each in columns)
        self.catalog.run(
            f"CREATE {kind} {stage.sql} ({flag}{quoted(NUMBER)} BIGINT PRIMARY KEY) "
            f"SELECT {listed}, 0 AS {quoted(NUMBER)} FROM {self.name.sql} LIMIT 0"
        )

    def _check_flag(self, schema: pa.Schema) -> None:
        named = self.order.delete_when
        if named is not None and (named not in schema.names or not pa.types.is_boolean(schema.field(named).type)):
            raise ConfigurationError(f"{self.where}: `delete_when` names '{named}', which is no boolean column.")

    def merging(self, stage: Name, columns: Sequence[str]) -> Merge:
        """How staged rows get into the target."""
        keys = self.spelled(self.order.keys)
        lacking = [key for key in keys if key not in columns]
        if lacking:
            raise ConfigurationError(f"{self.where}: the rows have no key column '{lacking[0]}'.")
        return Merge(
            catalog=self.catalog,
            target=self.name,
            stage=stage,
            columns=columns,
            keys=keys,
            delete_when=self.order.delete_when,
        )


def _none(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _numbered(batch: pa.RecordBatch, before: int, wanted: bool) -> pa.RecordBatch:
    if not wanted:
        return batch
    return batch.append_column(NUMBER, pa.array(range(before, before + batch.num_rows), pa.int64()))


def _said(one: pa.Field) -> str:
    """The comment of a column whose type does not say all."""
    instant = pa.types.is_timestamp(one.type) and one.type.tz is not None
    return f" COMMENT '{types.INSTANT_MARK}'" if instant else ""


def column_sql(one: pa.Field, *, key: bool = False, null: bool = True) -> str:
    """A column as CREATE and ALTER TABLE define it."""
    nullable = "NULL" if null and not key else "NOT NULL"
    return f"{quoted(one.name)} {types.type_for(one, key=key)} {nullable}{_said(one)}"


def create(catalog: Catalog, name: Name, schema: pa.Schema, keys: Sequence[str], first: str = "") -> None:
    """Make a table for a schema; `keys` are its primary key; `first`: definitions that come before."""
    columns = [first] if first else []
    columns += [column_sql(each, key=each.name in keys, null=each.nullable) for each in schema]
    if keys:
        columns.append(f"PRIMARY KEY ({', '.join(quoted(each) for each in keys)})")
    # A binary collation: two texts are the same key only when they are the same.
    catalog.run(
        f"CREATE TABLE IF NOT EXISTS {name.sql} ({', '.join(columns)}) ENGINE=InnoDB CHARACTER SET utf8mb4 "
        "COLLATE utf8mb4_bin"
    )
