"""A MySQL database as one of several destinations: rows staged, published, taken back.

Law: what was staged and what was overwritten lie in tables named after the token, so that any process finds them.
Publishing and taking back are a transaction each, replacing too, with the ledger row in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from engine.connectors.databases.merging import NUMBER
from engine.connectors.databases.mysql_catalog import Catalog, Column, Name, quoted
from engine.connectors.databases.mysql_loading import Loading
from engine.connectors.databases.mysql_replace import beside, sweep
from engine.model.errors import LogicError
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode
from engine.ports.stream import Stream

_KEYED = (Mode.UPSERT, Mode.MERGE)


def stage(loading: Loading, stream: Stream) -> Mapping[str, Any]:
    """All rows in a table beside the target."""
    with loading.failures():
        if not loading.order.create:
            loading.catalog.get(loading.order.target)  # says what there is
        loading.expected = [Column(each) for each in stream.schema if each.name != loading.order.delete_when]
        loading.ready(stream.schema, make=False)
        sweep(loading)
        table, kept = beside(loading, "stage"), beside(loading, "before")
        missing = not loading.catalog.exists(loading.name)
        rows, merge = loading.staged(stream, table, temporary=False)
        if loading.order.mode in _KEYED:
            merge.settle()
    failpoint.hit("load.staged")
    return {
        "database": table.database,
        "table": loading.name.table,
        "stage": table.table,
        "kept": kept.table,
        "rows": rows,
        "columns": list(merge.columns),
        "created": missing,
    }


def _tables(staged: Mapping[str, Any]) -> tuple[Name, Name, Sequence[str]]:
    database = str(staged["database"])
    return Name(database, str(staged["stage"])), Name(database, str(staged["kept"])), list(staged["columns"])


def publish(loading: Loading, staged: Mapping[str, Any]) -> Loaded:
    """The staged rows into the target, with the ledger row; what they overwrite is kept."""
    table, kept, columns = _tables(staged)
    catalog, into, mode = loading.catalog, loading.name.sql, loading.order.mode
    listed = ", ".join(quoted(each) for each in columns)

    def work() -> int:
        catalog.run(f"DELETE FROM {kept.sql}")
        if mode in _KEYED:
            merge = loading.merging(table, columns)
            catalog.run(
                f"INSERT INTO {kept.sql} SELECT t.* FROM {into} AS t JOIN {table.sql} AS s ON {merge.matching}"
            )
            return loading.merged(merge, int(staged["rows"]))
        if mode is Mode.REPLACE:
            catalog.run(f"INSERT INTO {kept.sql} SELECT * FROM {into}")
            catalog.run(f"DELETE FROM {into}")
        catalog.run(f"INSERT INTO {into} ({listed}) SELECT {listed} FROM {table.sql} ORDER BY {quoted(NUMBER)}")
        return int(staged["rows"])

    with loading.failures():
        done = loading.ledger.get(loading.order.token)
        if done is not None:
            return done
        columns_there = loading.catalog.columns(table)
        loading.make(pa.schema([each.field for each in columns_there if each.name != NUMBER]))
        # Not made anew: an attempt that was given up may be about to commit what its way back is kept in.
        catalog.run(f"CREATE TABLE IF NOT EXISTS {kept.sql} SELECT * FROM {into} LIMIT 0")
        if mode in _KEYED:
            loading.merging(table, columns).ready()
        return loading.committed(work)


def undo(loading: Loading, staged: Mapping[str, Any]) -> None:
    """Take a published load out of the target again, if it is in."""
    with loading.failures():
        loading.link.begin()
        try:
            undone = loading.ledger.remove(loading.order.token)
            if undone:
                _take_back(loading, staged)
            loading.link.commit()
        except BaseException:
            loading.roll_back()
            raise
        if staged["created"]:
            loading.created = True
            loading.unmake()  # others may have written to it since


def _take_back(loading: Loading, staged: Mapping[str, Any]) -> None:
    table, kept, columns = _tables(staged)
    catalog, into = loading.catalog, loading.name.sql
    if loading.order.mode in _KEYED:
        matching = loading.merging(table, columns).matching
        catalog.run(f"DELETE t FROM {into} AS t JOIN {table.sql} AS s ON {matching}")
    else:
        _remove(loading, table, columns)
    if loading.order.mode is not Mode.APPEND:
        there = [name for name, column in loading.columns.items() if not column.generated]
        listed = ", ".join(quoted(each) for each in there)
        catalog.run(f"INSERT INTO {into} ({listed}) SELECT {listed} FROM {kept.sql}")


def _remove(loading: Loading, table: Name, columns: Sequence[str]) -> None:
    """Delete one row of the target for each staged row that is like it."""
    catalog, into = loading.catalog, loading.name.sql
    same = " AND ".join(f"t.{quoted(each)} <=> s.{quoted(each)}" for each in columns)
    unique = next((key for key in catalog.unique(loading.name) if set(key) <= set(columns)), None)
    if unique is not None:
        catalog.run(f"DELETE t FROM {into} AS t JOIN {table.sql} AS s ON {same}")
        return
    # Without a key one row cannot be told from its equal: they go one by one.
    numbers = catalog.rows(f"SELECT {quoted(NUMBER)} FROM {table.sql} ORDER BY {quoted(NUMBER)}")
    for (number,) in numbers:
        row = f"FROM {table.sql} AS s WHERE s.{quoted(NUMBER)} = {int(number)}"
        each = " AND ".join(f"{quoted(name)} <=> (SELECT s.{quoted(name)} {row})" for name in columns)
        catalog.run(f"DELETE FROM {into} WHERE {each} LIMIT 1")


def discard(catalog: Catalog, staged: Mapping[str, Any]) -> None:
    """Drop both tables; and a target that was made for this load and stayed empty."""
    table, kept, _ = _tables(staged)
    for each in (table, kept):
        if not each.table.startswith("_penstock_"):
            raise LogicError(f"'{each.table}' is no table of ours.")
        catalog.run(f"DROP TABLE IF EXISTS {each.sql}")
