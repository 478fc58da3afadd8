"""Loads into a database whose DDL is transactional.

Law: rows, ledger row, a target that was missing and the seal are one transaction; whatever happens before its
commit leaves the database as it was. What has to be looked at twice, or would keep others waiting, is staged first
in a table that ends with the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.connectors.databases.fitting import fitted, names_in
from engine.connectors.databases.ledger import Ledger
from engine.connectors.databases.merging import NUMBER
from engine.connectors.databases.naming import Name, quoted
from engine.connectors.databases.putting import Putting
from engine.connectors.databases.site import Site
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.stream import RawText, Stream

if TYPE_CHECKING:
    import pyarrow as pa

_INCOMING = "_penstock_incoming"
KEYED = (Mode.UPSERT, Mode.MERGE)


class Loading:
    """One target and the order for it."""

    def __init__(self, site: Site, order: Order) -> None:
        self.site, self.order = site, order
        self.where = f"Connection '{site.id}', table '{order.target}'"
        self._fed: BaseException | None = None
        self.created = False
        with self.failures():
            self.found = site.find(order.target)
        self.name = self.found or site.named(order.target)
        self.ledger = Ledger(site, self.name)

    def load(self, stream: Stream) -> Loaded:
        """All rows, in one transaction."""
        with self.failures():
            done = self.ledger.get(self.order.token)
            if done is not None:
                return done
            self._prepare_ledger()
            if self.order.mode is Mode.APPEND and self.site.direct:
                return self.committed(lambda: self._append(stream), self.making(stream.schema))
            return self._by_way_of_a_stage(stream)

    def _append(self, stream: Stream) -> int:
        return self._write(self.name, self.spelled(stream.schema.names), stream)

    def load_text(self, text: RawText, write: Callable[[Name, RawText], int]) -> Loaded:
        """The same from delimited text, into a target that is there."""
        with self.failures():
            done = self.ledger.get(self.order.token)
            if done is not None:
                return done
            self._prepare_ledger()
            return self.committed(lambda: write(self.name, replace(text, blocks=self._told(text.blocks))), "")

    def _told(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        rows = 0
        try:
            for block in blocks:
                yield block
                rows += block.count(b"\n")  # not all of them end a row, but for progress it will do
                self.order.progress(rows)
                failpoint.hit("load.batch")
        except BaseException as error:
            self._fed = error
            raise

    def _by_way_of_a_stage(self, stream: Stream) -> Loaded:
        stage = self.site.temporary(_INCOMING)
        self.site.run(f"DROP TABLE IF EXISTS {stage.sql}")
        try:
            rows, columns = self.stage(stream, stage, "CREATE TEMPORARY TABLE")
            return self.committed(lambda: self.put(stage, columns, rows), self.making(stream.schema))
        finally:
            self._drop_quietly(stage)

    def _drop_quietly(self, stage: Name) -> None:
        try:
            self.site.run(f"DROP TABLE IF EXISTS {stage.sql}")
        except Exception:  # noqa: BLE001  # it ends with the session; what went wrong before is the news
            self.site.rollback()

    # Transactions

    def _prepare_ledger(self) -> None:
        """In a transaction of its own: other loads into the schema do not wait for this one's rows."""
        if not self.ledger.there():
            self.site.begin()
            self.ledger.prepare()
            self.site.commit()

    def committed(self, work: Callable[[], int], making: str) -> Loaded:
        """Make the target with the statement `making` if it is missing, do the work, enter it in the ledger and
        commit; or report what another attempt has entered."""
        self.site.begin()
        try:
            done = self.ledger.get(self.order.token)
            if done is not None:
                self.site.rollback()
                return done
            self.ledger.prepare()
            self._make(making)
            failpoint.hit("load.begun")
            rows = work()
            failpoint.hit("load.written")
            seal = self.order.seal()
            self.ledger.add(self.order, rows, seal)
            failpoint.hit("load.sealed")
            self.site.commit()
        except Exception as error:
            self.site.rollback()
            done = self._entered_meanwhile(error)
            if done is None:
                raise
            return done
        except BaseException:
            self.site.rollback()
            raise
        failpoint.hit("load.committed")
        return Loaded(rows=rows, uri=self.site.uri(self.name), created=self.created, seal=seal)

    def _entered_meanwhile(self, error: Exception) -> Loaded | None:
        if self._fed is not None or "Integrity" not in _classes(error):
            return None
        return self.ledger.get(self.order.token)  # two attempts at once: the other was first

    @contextmanager
    def failures(self) -> Iterator[None]:
        """The driver's errors as ours; an error of the stream itself comes through as it was."""
        try:
            with self.site.failures(f"table '{self.order.target}'"):
                yield
        except Exception:
            if self._fed is not None:
                raise self._fed from None
            raise

    def making(self, schema: pa.Schema) -> str:
        """The statement that makes the target for a stream's columns."""
        return created(self.site, self.name, self.written(schema), self.order.keys)

    def _make(self, making: str) -> None:
        if self.found is None:
            self.must_exist()
            self.site.alone(self.name)
            if self.site.find(self.order.target) is None:
                self.site.run(making)
                self.created = True

    def must_exist(self) -> None:
        """ConfigurationError where the target is missing and is not to be made."""
        if self.found is None and not self.order.create:
            raise self.site.missing(self.order.target)

    def written(self, schema: pa.Schema) -> list[pa.Field]:
        """The columns of a stream that go into the target."""
        return [each for each in schema if each.name != self.order.delete_when]

    # Columns

    def spelled(self, names: Sequence[str], given: pa.Schema | None = None) -> list[str]:
        """The target's spelling of these columns; `given`: the stream's, where there is no target yet."""
        import pyarrow as pa

        there = self.site.fields(self.name) if given is None or self.found is not None else self.written(given)
        return names_in(names, pa.schema(there), self.where)

    def _fields(self, columns: Sequence[str], given: pa.Schema) -> list[pa.Field]:
        """What each column of the stream is to be fit for."""
        there = {each.name: each for each in self.site.fields(self.name)} if self.found or self.created else {}
        return [there.get(name, one) for name, one in zip(columns, given, strict=True)]

    def _write(self, into: Name, columns: Sequence[str], stream: Stream, *, numbered: bool = False) -> int:
        fields = self._fields(columns, stream.schema)

        def batches() -> Iterator[pa.RecordBatch]:
            rows = 0
            try:
                for batch in stream:
                    yield shaped(fitted(batch, fields, self.where), columns, rows if numbered else None)
                    rows += batch.num_rows
                    self.order.progress(rows)
                    failpoint.hit("load.batch")
            except BaseException as error:
                self._fed = error  # not the database's, whatever it is
                raise

        names = [*columns, NUMBER] if numbered else list(columns)
        return self.site.write(into, names, batches(), self.where)

    # Staged rows

    def stage(self, stream: Stream, stage: Name, create: str) -> tuple[int, list[str]]:
        """All rows, numbered, into a table beside: how many, and the target's columns among its own."""
        self.must_exist()
        self._check_flag(stream.schema)
        written = [each.name for each in self.written(stream.schema)]
        spelled = dict(zip(written, self.spelled(written, stream.schema), strict=True))
        columns = [spelled.get(each, each) for each in stream.schema.names]
        self._check_keys(list(spelled.values()), stream.schema)
        types = self._definitions(columns, stream.schema)
        defined = [f"{quoted(name)} {types[name]}" for name in columns] + [f"{quoted(NUMBER)} BIGINT"]
        self.site.run(f"{create} {stage.sql} ({', '.join(defined)})")
        rows = self._write(stage, columns, stream, numbered=True)
        if self.order.mode in KEYED:
            self.site.settled(stage, self.spelled(self.order.keys, stream.schema))
        return rows, list(spelled.values())

    def _definitions(self, columns: Sequence[str], schema: pa.Schema) -> Mapping[str, str]:
        own = {name: self.site.definition(one) for name, one in zip(columns, schema, strict=True)}
        return own | (self.site.definitions(self.name) if self.found is not None else {})

    def _check_flag(self, schema: pa.Schema) -> None:
        import pyarrow as pa

        named = self.order.delete_when
        if named is not None and (named not in schema.names or not pa.types.is_boolean(schema.field(named).type)):
            raise ConfigurationError(f"{self.where}: `delete_when` names '{named}', which is no boolean column.")

    def _check_keys(self, columns: Sequence[str], schema: pa.Schema) -> None:
        if self.order.mode in KEYED:
            lacking = [key for key in self.spelled(self.order.keys, schema) if key not in columns]
            if lacking:
                raise ConfigurationError(f"{self.where}: the rows have no key column '{lacking[0]}'.")

    def put(self, stage: Name, columns: Sequence[str], rows: int) -> int:
        """Staged rows into the target, as the mode says."""
        if self.order.mode in KEYED:
            self.put_by_key(self.putting(stage, columns))
            return rows
        if self.order.mode is Mode.REPLACE and not self.created:
            self.site.clear(self.name)
        listed = ", ".join(quoted(each) for each in columns)
        self.site.run(
            f"INSERT INTO {self.name.sql} ({listed}) {self.site.overriding} "
            f"SELECT {listed} FROM {stage.sql} ORDER BY {quoted(NUMBER)}"
        )
        return rows

    def put_by_key(self, putting: Putting) -> None:
        """Upsert or merge, and nobody else writes meanwhile."""
        missing: Any = self.site.rows(putting.without_key())[0][0]
        if missing:
            raise DataQualityError(
                f"{self.where}: {missing} row(s) have no value in a key column ({', '.join(self.order.keys)}); "
                "nothing was loaded."
            )
        self.site.lock(self.name)
        self.site.settled(self.name, self.spelled(self.order.keys))
        for statement in putting.statements():
            self.site.run(statement)

    def putting(self, stage: Name, columns: Sequence[str]) -> Putting:
        """How staged rows get into the target by key."""
        return Putting(
            target=self.name.sql,
            stage=stage.sql,
            columns=[quoted(each) for each in columns],
            keys=[quoted(each) for each in self.spelled(self.order.keys)],
            number=quoted(NUMBER),
            delete_when=quoted(self.order.delete_when) if self.order.delete_when else None,
            overriding=self.site.overriding,
        )


def shaped(batch: pa.RecordBatch, columns: Sequence[str], before: int | None) -> pa.RecordBatch:
    """The batch under the target's names, numbered on from `before`."""
    import pyarrow as pa

    arrays, names = list(batch.columns), list(columns)
    if before is not None:
        arrays.append(pa.array(range(before, before + batch.num_rows), pa.int64()))
        names.append(NUMBER)
    return pa.RecordBatch.from_arrays(arrays, names=names)


def created(site: Site, name: Name, fields: Sequence[pa.Field], keys: Sequence[str]) -> str:
    """CREATE TABLE for a stream's columns; `keys` are its primary key."""
    columns = [
        f"{quoted(each.name)} {site.definition(each, key=each.name in keys)}"
        f"{'' if each.nullable and each.name not in keys else ' NOT NULL'}"
        for each in fields
    ]
    if keys:
        columns.append(f"PRIMARY KEY ({', '.join(quoted(each) for each in keys)})")
    return f"CREATE TABLE IF NOT EXISTS {name.sql} ({', '.join(columns)})"


def _classes(error: BaseException) -> str:
    return " ".join(each.__name__ for each in type(error).__mro__)
