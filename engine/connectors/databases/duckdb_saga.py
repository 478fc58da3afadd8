"""A DuckDB file as one of several destinations: rows staged, published, taken back.

Law: what was staged is a table beside the target, what was overwritten is kept in another; both are named after the
token, so that any process finds them. Publishing and taking back are a transaction each, with the ledger row in it;
the ledger row says which of the two has been done.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from engine.connectors.databases.duckdb_catalog import Catalog
from engine.connectors.databases.duckdb_loading import Loading
from engine.connectors.databases.duckdb_session import Session
from engine.connectors.databases.merging import NUMBER
from engine.connectors.databases.naming import Name, quoted
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.stream import Stream

KEPT_SECONDS = 86_400.0


def stage(session: Session, stream: Stream, order: Order) -> Mapping[str, Any]:
    """All rows in a table beside the target; an unfinished one of this token is made anew."""
    loading = Loading(session, order)
    table, kept = _names(order, loading.name)
    found = loading.catalog.find(order.target)
    if found is None and not order.create:
        loading.catalog.get(order.target)  # says what there is
    loading.expected = [each for each in stream.schema if each.name != order.delete_when]
    with loading.failures():
        loading.link.begin()
        try:
            loading.link.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(table.schema)}")
            loading.link.execute(f"DROP TABLE IF EXISTS {table.sql}")
            _sweep(loading)
            loading.make_room()
            rows, columns = loading.stage_rows(stream, table, "CREATE TABLE")
            _date(loading, table)
            loading.link.commit()
        except BaseException:
            loading.roll_back()
            raise
    failpoint.hit("load.staged")
    return {
        "schema": loading.name.schema,
        "table": loading.name.table,
        "stage": table.table,
        "kept": kept.table,
        "rows": rows,
        "columns": columns,
        "created": found is None,
    }


def _date(loading: Loading, table: Name) -> None:
    """Say in the table's comment since when it is there, and for which target."""
    said = f"{int(time.time())} {loading.name.table}".replace("'", "''")
    loading.link.execute(f"COMMENT ON TABLE {table.sql} IS '{said}'")


def _sweep(loading: Loading) -> None:
    """Drop what a load of this target that never came to its end left a day ago or before."""
    found = loading.link.execute(
        "SELECT table_name, comment FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name = $1 AND comment IS NOT NULL AND starts_with(table_name, '_penstock_')",
        [loading.name.schema],
    ).fetchall()
    for table, comment in found:
        since, _, target = str(comment).partition(" ")
        if target == loading.name.table and since.isdigit() and time.time() - int(since) > KEPT_SECONDS:
            loading.link.execute(f"DROP TABLE {loading.name.beside(table).sql}")


def _names(order: Order, beside: Name) -> tuple[Name, Name]:
    token = hashlib.sha256(f"{order.token}\0{order.target}".encode()).hexdigest()[:24]
    return beside.beside(f"_penstock_stage_{token}"), beside.beside(f"_penstock_before_{token}")


def publish(session: Session, staged: Mapping[str, Any], order: Order) -> Loaded:
    """The staged rows into the target, with the ledger row; what they overwrite is kept."""
    loading = Loading(session, order)
    table, kept, columns = _staged(loading, staged)

    def work() -> int:
        link = loading.link
        if loading.catalog.find(order.target) is None:
            loading.make(_schema(loading, table))
        loading.make_room()
        link.execute(f"DROP TABLE IF EXISTS {kept.sql}")
        if order.mode is Mode.REPLACE:
            link.execute(f"CREATE TABLE {kept.sql} AS SELECT * FROM {loading.name.sql}")
            link.execute(f"DELETE FROM {loading.name.sql}")
        if order.mode in (Mode.UPSERT, Mode.MERGE):
            merge = loading.merging(table, columns)
            link.execute(f"CREATE TABLE {kept.sql} AS {merge.touched()}")
            loading.merge(merge)
        else:
            listed = _listed(columns)
            rows = f"SELECT {listed} FROM {table.sql} ORDER BY {quoted(NUMBER)}"
            link.execute(f"INSERT INTO {loading.name.sql} ({listed}) {rows}")
        if order.mode is not Mode.APPEND:
            _date(loading, kept)
        return int(staged["rows"])

    return loading.committed(work)


def _staged(loading: Loading, staged: Mapping[str, Any]) -> tuple[Name, Name, Sequence[str]]:
    beside = Name(str(staged["schema"]), str(staged["table"]))
    return beside.beside(str(staged["stage"])), beside.beside(str(staged["kept"])), list(staged["columns"])


def _schema(loading: Loading, table: Name) -> Any:
    import pyarrow as pa

    plans = loading.catalog.plans(table)
    return pa.schema([plan.field for plan in plans if plan.field.name != NUMBER])


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(quoted(each) for each in columns)


def undo(session: Session, staged: Mapping[str, Any], order: Order) -> None:
    """Take a published load out of the target again, if it is in."""
    loading = Loading(session, order)
    table, kept, columns = _staged(loading, staged)
    with loading.failures():
        loading.link.begin()
        try:
            if loading.ledger.remove(order.token):
                loading.make_room()
                _take_back(loading, table, kept, columns)
                _drop_if_made(loading, staged)
            loading.link.commit()
        except BaseException:
            loading.roll_back()
            raise


def _take_back(loading: Loading, table: Name, kept: Name, columns: Sequence[str]) -> None:
    link, into = loading.link, loading.name.sql
    if loading.order.mode in (Mode.UPSERT, Mode.MERGE):
        link.execute(loading.merging(table, columns).written_away())
    else:
        link.execute(_without(into, table.sql, [quoted(each) for each in columns]))
    if loading.order.mode is not Mode.APPEND:
        link.execute(f"INSERT INTO {into} BY NAME SELECT * FROM {kept.sql}")


def _without(target: str, stage: str, columns: Sequence[str]) -> str:
    """Delete from the target one row for each staged row that is like it: others may have added equal ones."""
    listed = ", ".join(columns)
    same = " AND ".join(f"r.{each} IS NOT DISTINCT FROM s.{each}" for each in columns)
    numbered = f"row_number() OVER (PARTITION BY {listed} ORDER BY rowid DESC) AS _penstock_nth"
    return (
        f"DELETE FROM {target} WHERE rowid IN (SELECT r._penstock_row FROM "
        f"(SELECT rowid AS _penstock_row, {listed}, {numbered} FROM {target}) AS r JOIN "
        f"(SELECT {listed}, count(*) AS _penstock_times FROM {stage} GROUP BY {listed}) AS s "
        f"ON {same} AND r._penstock_nth <= s._penstock_times)"
    )


def _drop_if_made(loading: Loading, staged: Mapping[str, Any]) -> None:
    if not staged["created"]:
        return
    row = loading.link.execute(f"SELECT count(*) FROM {loading.name.sql}").fetchone()
    if row and not row[0]:  # others may have written to it since
        loading.link.execute(f"DROP TABLE {loading.name.sql}")


def discard(session: Session, staged: Mapping[str, Any]) -> None:
    """Drop both tables."""
    if not session.there():
        return
    link = session.writing()
    beside = Name(str(staged["schema"]), str(staged["table"]))
    if Catalog(link, session.id).schema(beside.schema):
        with session.failures(f"table '{beside.table}'"):
            for table in (staged["stage"], staged["kept"]):
                link.execute(f"DROP TABLE IF EXISTS {beside.beside(str(table)).sql}")
