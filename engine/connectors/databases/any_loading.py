"""Loads into any database that SQLAlchemy speaks to: batched inserts, everything else emulated.

Law: rows and ledger row are one transaction. DDL may end one, so that all of it comes before: the ledger, a missing
target, and the table beside it where rows are put in by key. A target that was made for a load that failed is
dropped again; what a killed load left beside it, by the next try, or by another load of the target a day later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles

from engine.connectors.databases import naming
from engine.connectors.databases.any_ledger import Ledger
from engine.connectors.databases.any_link import Link
from engine.connectors.databases.any_types import field_for, type_for, values_of
from engine.connectors.databases.fitting import fitted, names_in
from engine.connectors.databases.merging import NUMBER
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.stream import Stream

_ROWS = 1_000  # in one statement
KEYED = (Mode.UPSERT, Mode.MERGE)


class Loading:
    """One target and the order for it."""

    def __init__(self, link: Link, order: Order) -> None:
        self.link, self.order = link, order
        self.where = f"Connection '{link.id}', table '{order.target}'"
        self.found = link.find(order.target)
        self.uri = f"{link.address}/{self.found.fullname if self.found is not None else order.target}"
        self.target: sa.Table | None = self.found
        self._made, self._now = False, time.time()
        self._fed: BaseException | None = None

    def load(self, stream: Stream) -> Loaded:
        """All rows, in one transaction."""
        with self.failures():
            with self.link.engine.connect() as wire:
                done = self.ready(wire, stream.schema)
            if done is not None:
                return done
            if self.order.mode in KEYED:
                return self._by_way_of_a_stage(stream)
            return self.committed(lambda wire: self._straight(wire, stream))

    def _straight(self, wire: sa.Connection, stream: Stream) -> int:
        assert self.target is not None  # `ready` has made it
        if self.order.mode is Mode.REPLACE:
            wire.execute(sa.delete(self.target))
        return self.write(wire, self.target, self.spelled(stream.schema.names), stream)

    # What comes before the transaction

    def ready(self, wire: sa.Connection, schema: pa.Schema) -> Loaded | None:
        """Ledger and target, made where they are missing; what an earlier attempt loaded, if it did."""
        self.sweep(wire)
        ledger = self.ledger(wire)
        done = ledger.get(self.order.token)
        if done is not None:
            return done
        self.plan(schema)
        self.make(wire)
        ledger.prepare()
        wire.commit()
        failpoint.hit("load.ready")
        return None

    def plan(self, schema: pa.Schema) -> None:
        """The target as it is, or as it is to be made for these columns."""
        if self.target is None:
            if not self.order.create:
                raise self.link.missing(self.order.target)
            fields = [each for each in schema if each.name != self.order.delete_when]
            self.target = table_for(self.order.target, fields, self.order.keys, self.link.schema)
        self._check(schema)

    def make(self, wire: sa.Connection) -> None:
        """The target, where it is missing."""
        assert self.target is not None  # `plan` has found what it is to be
        if self.found is None:
            self._made = True
            self.target.create(wire, checkfirst=True)

    def sweep(self, wire: sa.Connection) -> None:
        """Drop what killed tries left beside the target."""
        schema, name = self.beside
        there = sa.inspect(wire).get_table_names(schema)
        for each in naming.left_behind(there, name, self.order.token, self._now):
            self.link.drop(wire, each, schema)
        wire.commit()

    @property
    def beside(self) -> tuple[str | None, str]:
        """The target's schema and name."""
        found = self.found
        return (self.link.schema, self.order.target) if found is None else (found.schema, found.name)

    def ledger(self, wire: sa.Connection) -> Ledger:
        """The ledger beside the target."""
        schema, name = self.beside
        return Ledger(wire, name, schema, self.uri)

    def _check(self, schema: pa.Schema) -> None:
        named = self.order.delete_when
        if named is not None and (named not in schema.names or not pa.types.is_boolean(schema.field(named).type)):
            raise ConfigurationError(f"{self.where}: `delete_when` names '{named}', which is no boolean column.")
        if self.order.mode in KEYED:
            written = self.spelled([each for each in schema.names if each != named])
            lacking = [key for key in self.spelled(self.order.keys) if key not in written]
            if lacking:
                raise ConfigurationError(f"{self.where}: the rows have no key column '{lacking[0]}'.")

    def spelled(self, names: Sequence[str]) -> list[str]:
        """The target's spelling of these columns."""
        return names_in(names, pa.schema(list(self._fields().values())), self.where)

    def _fields(self) -> dict[str, pa.Field]:
        assert self.target is not None  # `ready` has made it
        columns = [each for each in self.target.columns if each.computed is None]
        return {each.name: field_for(each.name, each.type, nullable=bool(each.nullable)) for each in columns}

    # The transaction

    def committed(self, work: Callable[[sa.Connection], int]) -> Loaded:
        """Do the work, enter it in the ledger, commit; or report what another attempt has entered meanwhile."""
        try:
            with self.link.engine.begin() as wire:
                rows = work(wire)
                failpoint.hit("load.written")
                seal = self.order.seal()
                self.ledger(wire).add(self.order, rows, seal)
                failpoint.hit("load.sealed")
        except IntegrityError:
            with self.link.engine.connect() as wire:
                done = self.ledger(wire).get(self.order.token)
            if done is None:
                raise
            return done
        failpoint.hit("load.committed")
        return Loaded(rows=rows, uri=self.uri, created=self.found is None, seal=seal)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """SQLAlchemy's errors as ours; an error of the stream comes through as it was."""
        try:
            with self.link.failures(f"table '{self.order.target}'"):
                yield
        except BaseException:
            if self._made:
                self.unmake()
            if self._fed is not None:
                raise self._fed from None
            raise

    def unmake(self) -> None:
        """Drop the target unless it has rows: of others, or of this load after all."""
        if self.target is None:
            return
        try:
            with self.link.engine.begin() as wire:
                if wire.execute(sa.select(sa.literal(1)).select_from(self.target).limit(1)).first() is None:
                    self.target.drop(wire, checkfirst=True)
        except SQLAlchemyError:
            pass  # it stays, empty; the next attempt takes it

    def write(self, wire: sa.Connection, into: sa.Table, columns: Sequence[str], stream: Stream) -> int:
        """All rows of the stream into a table; numbered where the table has a column for that."""
        known = self._fields()
        fields = [known.get(name, one) for name, one in zip(columns, stream.schema, strict=True)]
        rows = 0
        try:
            for batch in stream:
                for at in range(0, batch.num_rows, _ROWS):
                    part = fitted(batch.slice(at, _ROWS), fields, self.where)
                    cells = {name: values_of(cell, into.c[name]) for name, cell in _named(columns, part)}
                    if NUMBER in into.c:
                        cells[NUMBER] = list(range(rows, rows + part.num_rows))
                    wire.execute(sa.insert(into), [dict(zip(cells, row, strict=True)) for row in _rows(cells)])
                    rows += part.num_rows
                self.order.progress(rows)
                failpoint.hit("load.batch")
        except SQLAlchemyError:
            raise
        except BaseException as error:
            self._fed = error
            raise
        return rows

    # By key

    def _by_way_of_a_stage(self, stream: Stream) -> Loaded:
        stage = self.staging(stream.schema)
        try:
            with self.link.engine.begin() as wire:
                stage.create(wire)
            with self.link.engine.begin() as wire:
                columns = [each.name for each in stage.columns if each.name != NUMBER]
                rows = self.write(wire, stage, columns, stream)
            failpoint.hit("load.staged")
            return self.committed(lambda wire: self._put_by_key(wire, stage, rows))
        finally:
            self.drop(stage)

    def drop(self, table: sa.Table) -> None:
        """Drop a table of ours."""
        try:
            with self.link.engine.begin() as wire:
                self.link.drop(wire, table.name, table.schema)
        except SQLAlchemyError:
            pass  # the next try of this load drops it

    def named(self, kind: str) -> str:
        """A table of this load beside the target."""
        return naming.of_load(kind, self.beside[1], self.order.token, self._now)

    def staging(self, schema: pa.Schema, name: str = "") -> sa.Table:
        """A table beside the target for a stream's rows; named after the token, if not otherwise."""
        assert self.target is not None  # `plan` has found it
        named = self.order.delete_when
        spelled = dict(
            zip(
                [each for each in schema.names if each != named],
                self.spelled([each for each in schema.names if each != named]),
                strict=True,
            )
        )
        own = self.target.c
        columns: list[sa.Column[Any]] = [
            sa.Column(spelled[each], own[spelled[each]].type) if each in spelled else sa.Column(each, sa.Boolean)
            for each in schema.names
        ]
        return sa.Table(
            name or self.named(naming.STAGE),
            sa.MetaData(),
            *columns,
            sa.Column(NUMBER, sa.BigInteger, primary_key=True, autoincrement=False),
            schema=self.target.schema,
        )

    def _put_by_key(self, wire: sa.Connection, stage: sa.Table, rows: int) -> int:
        self.settle(wire, stage)
        self.merge(wire, stage)
        return rows

    def settle(self, wire: sa.Connection, stage: sa.Table) -> None:
        """Of staged rows with one key the last wins; a row without a key is refused."""
        keys = self.spelled(self.order.keys)
        nulls = (
            sa.select(sa.func.count()).select_from(stage).where(sa.or_(*[stage.c[key].is_(None) for key in keys]))
        )
        missing = wire.execute(nulls).scalar()
        if missing:
            raise DataQualityError(
                f"{self.where}: {missing} row(s) have no value in a key column ({', '.join(self.order.keys)}); "
                "nothing was loaded."
            )
        last = (
            sa.select(sa.func.max(stage.c[NUMBER]).label("n")).group_by(*[stage.c[key] for key in keys]).subquery()
        )
        wire.execute(sa.delete(stage).where(stage.c[NUMBER].not_in(sa.select(last.c.n))))

    def merge(self, wire: sa.Connection, stage: sa.Table) -> None:
        """Settled rows into the target by key; flagged ones are deleted."""
        assert self.target is not None  # `ready` has made it
        for statement in _puttings(self.target, stage, self.spelled(self.order.keys), self.order.delete_when):
            wire.execute(statement)


def _puttings(target: sa.Table, stage: sa.Table, keys: Sequence[str], flag: str | None) -> Iterator[Any]:
    """Delete, update, insert."""
    same = sa.and_(*[target.c[key] == stage.c[key] for key in keys])
    columns = [each.name for each in stage.columns if each.name not in (NUMBER, flag)]
    if flag:
        flagged = sa.select(sa.literal(1)).select_from(stage).where(same, stage.c[flag].is_(sa.true()))
        yield sa.delete(target).where(flagged.correlate(target).exists())
    others = [each for each in columns if each not in keys]
    if others:
        found = {each: sa.select(stage.c[each]).where(same).correlate(target).scalar_subquery() for each in others}
        there = sa.select(sa.literal(1)).select_from(stage).where(same).correlate(target).exists()
        yield sa.update(target).values(found).where(there)
    other = target.alias("t")
    matched = sa.select(sa.literal(1)).select_from(other)
    absent = ~matched.where(*[other.c[key] == stage.c[key] for key in keys]).correlate(stage).exists()
    rows = sa.select(*[stage.c[each] for each in columns]).where(absent)
    if flag:
        rows = rows.where(sa.or_(stage.c[flag].is_(None), stage.c[flag].is_(sa.false())))
    yield sa.insert(target).from_select(columns, rows.order_by(stage.c[NUMBER]))


def table_for(given: str, fields: Sequence[pa.Field], keys: Sequence[str], schema: str | None) -> sa.Table:
    """A table for a stream's columns; `keys` are its primary key."""
    columns: list[sa.Column[Any]] = [
        sa.Column(
            each.name,
            type_for(each, key=each.name in keys),
            primary_key=each.name in keys,
            autoincrement=False,
            nullable=each.nullable and each.name not in keys,
        )
        for each in fields
    ]
    return sa.Table(given, sa.MetaData(), *columns, schema=schema)


class AddColumn(sa.schema.ExecutableDDLElement):
    """A nullable column more for a table that is there."""

    def __init__(self, table: sa.Table, field: pa.Field) -> None:
        self.table = table
        self.column: sa.Column[Any] = sa.Column(field.name, type_for(field))
        sa.Table(table.name, sa.MetaData(), self.column, schema=table.schema)


@compiles(AddColumn)
def _added(element: AddColumn, compiler: Any, **_: Any) -> str:
    # Without the word COLUMN every dialect takes it; Oracle and SQL Server only so.
    table = compiler.preparer.format_table(element.table)
    return f"ALTER TABLE {table} ADD {compiler.get_column_specification(element.column)}"


def _named(columns: Sequence[str], batch: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
    return zip(columns, batch.columns, strict=True)


def _rows(cells: dict[str, list[Any]]) -> Iterator[tuple[Any, ...]]:
    return zip(*cells.values(), strict=True)
