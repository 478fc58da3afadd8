"""Loads into Snowflake: Parquet files PUT to a stage, copied beside the target, published in one transaction.

Law: DDL ends a transaction there, so that all of it comes before: a missing target, the ledger, the staged rows,
already of the target's types. What is left is DML, which can be rolled back, replacing too (INSERT OVERWRITE); the
ledger row is in it. Nothing is written to the local disk. Tables beside the target that a killed load left are
dropped by the next try of it, or by another load of its target a day later.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from snowflake.connector import errors

from engine.connectors.databases import naming
from engine.connectors.databases import snowflake_types as types
from engine.connectors.databases.fitting import fitted, names_in
from engine.connectors.databases.merging import NUMBER, Merge
from engine.connectors.databases.snowflake_catalog import Catalog, Ledger, Name, named, quoted
from engine.connectors.databases.snowflake_link import failures, rows
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.stream import Stream

FILE_BYTES = 64 << 20  # of rows; the file made of them in memory is far smaller
KEYED = (Mode.UPSERT, Mode.MERGE)


class Loading:
    """One target and the order for it."""

    def __init__(self, catalog: Catalog, id: str, uri: Callable[[Name], str], order: Order) -> None:
        self.catalog, self.link, self.order, self.id = catalog, catalog.link, order, id
        self.found = catalog.find(order.target)
        self.name = self.found or named(order.target)
        self.uri = uri(self.name)
        self.where = f"Connection '{id}', table '{order.target}'"
        self.ledger = Ledger(catalog, self.name, self.uri)
        self.created = False
        self._now = time.time()
        self.stage, self.kept, self._raw = (
            self.name.beside(naming.of_load(kind, self.name.table, order.token, self._now))
            for kind in (naming.STAGE, naming.BEFORE, naming.RAW)
        )

    def run(self, statement: str, values: Sequence[Any] = ()) -> None:
        """A statement whose answer nobody needs."""
        rows(self.link, statement, values)

    def load(self, stream: Stream) -> Loaded:
        """Stage all rows, then publish them."""
        with self.failures():
            self.ready()
            done = self.ledger.get(self.order.token)
            if done is not None:
                return done
            try:
                count, columns = self.staged(stream)
                self.make()
                return self.committed(lambda: self.put(columns, count))
            finally:
                self.drop(self.stage)

    # Rows beside the target

    def ready(self) -> None:
        """The ledger is there, and what killed tries left beside the target is not."""
        self.ledger.prepare()
        there = self.catalog.tables(self.name.schema)
        for each in naming.left_behind(there, self.name.table, self.order.token, self._now):
            self.drop(self.name.beside(each))

    def staged(self, stream: Stream) -> tuple[int, list[str]]:
        """All rows, numbered, in a table of the target's types: how many, and the columns that are written."""
        if self.found is None and not self.order.create:
            self.catalog.get(self.order.target)  # says what there is
        self._check_flag(stream.schema)
        written = [each for each in stream.schema.names if each != self.order.delete_when]
        there = {each.name: each for each in self.catalog.fields(self.name.sql)} if self.found else {}
        known = there or {name: stream.schema.field(name) for name in written}
        spelled = dict(zip(written, names_in(written, pa.schema(list(known.values())), self.where), strict=True))
        fields = [known[spelled[each.name]] if each.name in spelled else each for each in stream.schema]
        try:
            count, raw = self._copied(stream, fields)
            self._typed(raw, fields, [spelled.get(each, each) for each in stream.schema.names])
        finally:
            self.drop(self._raw)
        failpoint.hit("load.staged")
        return count, list(spelled.values())

    def _check_flag(self, schema: pa.Schema) -> None:
        flag = self.order.delete_when
        if flag is not None and (flag not in schema.names or not pa.types.is_boolean(schema.field(flag).type)):
            raise ConfigurationError(f"{self.where}: `delete_when` names '{flag}', which is no boolean column.")

    def _copied(self, stream: Stream, fields: Sequence[pa.Field]) -> tuple[int, pa.Schema]:
        """The rows as they travel, in a table of plain columns C0, C1 ... and N."""
        empty = fitted(pa.RecordBatch.from_pylist([], schema=stream.schema), fields, self.where)
        marked = pa.schema([_marked(one, to) for one, to in zip(empty.schema, fields, strict=True)])
        listed = [f"C{at} {types.staged_type(one)}" for at, one in enumerate(marked)]
        self.run(f"CREATE OR REPLACE TRANSIENT TABLE {self._raw.sql} ({', '.join([*listed, 'N NUMBER(38,0)'])})")
        place = quoted(self._raw.table)
        self.run(f"CREATE OR REPLACE TEMPORARY STAGE {place}")
        count = 0
        for at, (file, count) in enumerate(self._files(stream, fields, marked)):  # noqa: B007
            put = f"PUT 'file://part{at}.parquet' @{place} AUTO_COMPRESS = FALSE OVERWRITE = TRUE"
            with self.link.cursor() as cursor:
                cursor.execute(put, file_stream=file)
            failpoint.hit("load.put")
        if count:
            form = "FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE PURGE = TRUE"
            self.run(f"COPY INTO {self._raw.sql} FROM @{place} {form}")
            failpoint.hit("load.copied")
        return count, marked  # the stage ends with the session

    def _files(
        self, stream: Stream, fields: Sequence[pa.Field], marked: pa.Schema
    ) -> Iterator[tuple[io.BytesIO, int]]:
        """Parquet files of the rows, one at a time in memory; and how many rows there were so far."""
        file, writer, size, count = io.BytesIO(), None, 0, 0
        for batch in stream:
            one = _travelling(fitted(batch, fields, self.where), marked, count)
            if writer is None:
                file = io.BytesIO()
                writer = pq.ParquetWriter(file, one.schema, compression="zstd")
            writer.write_batch(one)
            count, size = count + batch.num_rows, size + one.nbytes
            self.order.progress(count)
            failpoint.hit("load.batch")
            if size >= FILE_BYTES:
                writer.close()
                yield _begun(file), count
                writer, size = None, 0
        if writer is not None:
            writer.close()
            yield _begun(file), count

    def _typed(self, raw: pa.Schema, fields: Sequence[pa.Field], names: Sequence[str]) -> None:
        """The copied rows as values of the target's types, under its names."""
        sql = self.catalog.definitions(self.name) if self.found else {}
        made = [sql.get(name) or types.type_for(one) for name, one in zip(names, fields, strict=True)]
        listed = [
            f"{types.unpacked(f'C{at}', one, to)} AS {quoted(name)}"
            for at, (one, to, name) in enumerate(zip(raw, made, names, strict=True))
        ]
        listed.append(f"N AS {quoted(NUMBER)}")
        self.run(
            f"CREATE OR REPLACE TRANSIENT TABLE {self.stage.sql} AS SELECT {', '.join(listed)} FROM {self._raw.sql}"
        )

    def make(self) -> None:
        """The target, made from what is staged where it is missing."""
        if self.found is not None or self.catalog.find(self.order.target) is not None:
            return
        leave = (NUMBER, self.order.delete_when)
        columns = [each for each in self.catalog.fields(self.stage.sql) if each.name not in leave]
        create(self.link, self.name, columns, self.order.keys)
        self.created = True
        failpoint.hit("load.made")

    # The transaction

    def committed(self, work: Callable[[], int]) -> Loaded:
        """Do the work, enter it in the ledger, commit; or report what another attempt has entered meanwhile."""
        self.run("BEGIN")
        try:
            self.ledger.wait()
            done = self.ledger.get(self.order.token)
            if done is not None:
                self.run("ROLLBACK")
                return done
            count = work()
            failpoint.hit("load.written")
            seal = self.order.seal()
            self.ledger.add(self.order, count, seal)
            failpoint.hit("load.sealed")
            self.run("COMMIT")
        except BaseException:
            self.roll_back()
            self._unmake()
            raise
        failpoint.hit("load.committed")
        return Loaded(rows=count, uri=self.uri, created=self.created, seal=seal)

    def put(self, columns: Sequence[str], count: int) -> int:
        """The staged rows into the target."""
        if self.order.mode in KEYED:
            self._keyed(self.merging(columns))
            return count
        listed, into = ", ".join(quoted(each) for each in columns), self.name.sql
        how = "INSERT OVERWRITE INTO" if self.order.mode is Mode.REPLACE else "INSERT INTO"
        self.run(f"{how} {into} ({listed}) SELECT {listed} FROM {self.stage.sql} ORDER BY {quoted(NUMBER)}")
        return count

    def _keyed(self, merge: Merge) -> None:
        """What MERGE does, in statements that the transaction may hold: the emulator's MERGE cannot be in one."""
        missing = rows(self.link, merge.without_key())[0][0]
        if missing:
            keys = ", ".join(self.order.keys)
            raise DataQualityError(
                f"{self.where}: {missing} row(s) have no value in a key column ({keys}); nothing was loaded."
            )
        target, last = merge.target, f"({merge.last}) AS s"
        matching = " AND ".join(f"{target}.{key} = s.{key}" for key in merge.keys)
        flag = f"coalesce(s.{merge.delete_when}, FALSE)" if merge.delete_when else "FALSE"
        self.run(f"DELETE FROM {target} USING {last} WHERE {matching} AND {flag}")
        others = [each for each in merge.columns if each not in merge.keys]
        if others:
            sets = ", ".join(f"{each} = s.{each}" for each in others)
            self.run(f"UPDATE {target} SET {sets} FROM {last} WHERE {matching} AND NOT {flag}")
        listed, values = ", ".join(merge.columns), ", ".join(f"s.{each}" for each in merge.columns)
        there = f"SELECT 1 FROM {target} AS t WHERE {merge.matching}"
        self.run(
            f"INSERT INTO {target} ({listed}) SELECT {values} FROM {last} WHERE NOT {flag} AND NOT EXISTS ({there})"
        )

    def merging(self, columns: Sequence[str]) -> Merge:
        """How staged rows get into the target."""
        there = pa.schema(self.catalog.fields(self.name.sql))
        keys = names_in(self.order.keys, there, self.where)
        lacking = [key for key in keys if key not in columns]
        if lacking:
            raise ConfigurationError(f"{self.where}: the rows have no key column '{lacking[0]}'.")
        return Merge(
            target=self.name.sql,
            stage=self.stage.sql,
            columns=[quoted(each) for each in columns],
            keys=[quoted(each) for each in keys],
            number=quoted(NUMBER),
            delete_when=quoted(self.order.delete_when) if self.order.delete_when else None,
        )

    @contextmanager
    def failures(self) -> Iterator[None]:
        """The driver's errors as ours."""
        with failures(self.id, f"table '{self.order.target}'"):
            yield

    def roll_back(self) -> None:
        """End the transaction without a trace."""
        try:
            self.run("ROLLBACK")
        except errors.Error:
            pass  # the session is gone, and the transaction with it

    def drop(self, table: Name) -> None:
        """Drop a table of ours; what cannot be dropped now is made anew by the next load of this token."""
        try:
            self.run(f"DROP TABLE IF EXISTS {table.sql}")
        except errors.Error:
            pass  # seen in `discover` by nobody, and in the way of nothing

    def _unmake(self) -> None:
        """Drop a target that was made for this load. It has rows where others have written to it since, or where
        the commit succeeded and only its answer was lost."""
        if self.created:
            self.drop_empty(self.name)

    def drop_empty(self, table: Name) -> None:
        """Drop a table unless it has rows, or cannot be asked."""
        try:
            if not rows(self.link, f"SELECT 1 FROM {table.sql} LIMIT 1"):
                self.drop(table)
        except errors.Error:
            pass  # it stays, empty; the next try takes it


def _begun(file: io.BytesIO) -> io.BytesIO:
    """The file, to be read from its start."""
    file.seek(0)
    return file


def _marked(one: pa.Field, to: pa.Field) -> pa.Field:
    """The field of what is sent; JSON where the target says so."""
    return one.with_metadata(to.metadata)


def _travelling(batch: pa.RecordBatch, marked: pa.Schema, before: int) -> pa.RecordBatch:
    columns = [types.carried(column, one) for column, one in zip(batch.columns, marked, strict=True)]
    numbers = pa.array(range(before, before + batch.num_rows), pa.int64())
    names = [*(f"C{at}" for at in range(len(columns))), "N"]
    return pa.RecordBatch.from_arrays([*columns, numbers], names=names)


def create(link: Any, name: Name, columns: Sequence[pa.Field], keys: Sequence[str]) -> None:
    """Make a table; `keys` are its primary key, which Snowflake notes and does not enforce."""
    listed = [
        f"{quoted(one.name)} {types.type_for(one)}{' NOT NULL' if one.name in keys else ''}" for one in columns
    ]
    if keys:
        listed.append(f"PRIMARY KEY ({', '.join(quoted(each) for each in keys)})")
    rows(link, f"CREATE TABLE IF NOT EXISTS {name.sql} ({', '.join(listed)})")
