"""A database as one of several destinations: rows staged, published, taken back.

Law: what was staged is a table beside the target, what was overwritten is kept in another. Publishing and taking
back are a transaction each, with the ledger row in it; the ledger row says which of the two has been done.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from engine.connectors.databases import naming
from engine.connectors.databases.loading import KEYED, Loading
from engine.connectors.databases.naming import Name, quoted
from engine.connectors.databases.site import Site
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.stream import Stream


def stage(site: Site, stream: Stream, order: Order) -> Mapping[str, Any]:
    """All rows in a table beside the target; an unfinished one of this token is made anew."""
    loading, now = Loading(site, order), time.time()
    table = loading.name.beside(naming.of_load(naming.STAGE, loading.name.table, order.token, now))
    kept = loading.name.beside(naming.of_load(naming.BEFORE, loading.name.table, order.token, now))
    with loading.failures():
        site.begin()
        try:
            for name in naming.left_behind(
                site.tables(table.schema, naming.OWN), loading.name.table, order.token, now
            ):
                site.run(f"DROP TABLE IF EXISTS {table.beside(name).sql}")
            rows, columns = loading.stage(stream, table, "CREATE TABLE")
            site.commit()
        except BaseException:
            site.rollback()
            raise
    failpoint.hit("load.staged")
    making = loading.making(stream.schema) if loading.found is None else ""
    return {
        "schema": table.schema,
        "table": loading.name.table,
        "stage": table.table,
        "kept": kept.table,
        "rows": rows,
        "columns": columns,
        "make": making,
    }


def publish(site: Site, staged: Mapping[str, Any], order: Order) -> Loaded:
    """The staged rows into the target, with the ledger row; what they overwrite is kept."""
    loading = Loading(site, order)
    table, kept, columns = _tables(staged)

    def work() -> int:
        site.run(f"DROP TABLE IF EXISTS {kept.sql}")
        if order.mode is Mode.REPLACE:
            site.lock(loading.name)
            site.run(f"CREATE TABLE {kept.sql} AS SELECT * FROM {loading.name.sql}")
        if order.mode in KEYED:
            site.lock(loading.name)
            site.run(f"CREATE TABLE {kept.sql} AS {loading.putting(table, columns).touched()}")
        return loading.put(table, columns, int(staged["rows"]))

    with loading.failures():
        return loading.committed(work, str(staged["make"]))


def _tables(staged: Mapping[str, Any]) -> tuple[Name, Name, Sequence[str]]:
    beside = Name(str(staged["schema"]), str(staged["table"]))
    return beside.beside(str(staged["stage"])), beside.beside(str(staged["kept"])), list(staged["columns"])


def undo(site: Site, staged: Mapping[str, Any], order: Order) -> None:
    """Take a published load out of the target again, if it is in."""
    loading = Loading(site, order)
    with loading.failures():
        site.begin()
        try:
            if loading.ledger.remove(order.token):
                _take_back(loading, staged)
            site.commit()
        except BaseException:
            site.rollback()
            raise


def _take_back(loading: Loading, staged: Mapping[str, Any]) -> None:
    table, kept, columns = _tables(staged)
    site, into = loading.site, loading.name.sql
    site.lock(loading.name)
    if loading.order.mode in KEYED:
        site.run(loading.putting(table, columns).written_away())
    else:
        site.run(_without(loading, table, columns))
    if loading.order.mode is not Mode.APPEND:
        listed = ", ".join(quoted(each.name) for each in site.fields(loading.name))
        site.run(f"INSERT INTO {into} ({listed}) {site.overriding} SELECT {listed} FROM {kept.sql}")
    if staged["make"] and not site.rows(f"SELECT 1 FROM {into} LIMIT 1"):
        site.run(f"DROP TABLE {into}")  # it was made by this load, and nobody has written to it since


def _without(loading: Loading, stage: Name, columns: Sequence[str]) -> str:
    """Delete from the target one row for each staged row that is like it: others may have added equal ones."""
    site, into = loading.site, loading.name.sql
    types = site.definitions(loading.name)
    values = {f"_penstock_{at}": site.comparable(quoted(each), types[each]) for at, each in enumerate(columns)}
    listed = ", ".join(f"{value} AS {name}" for name, value in values.items())
    plain, same = ", ".join(values), " AND ".join(f"r.{each} {site.same} s.{each}" for each in values)
    nth = f"row_number() OVER (PARTITION BY {', '.join(values.values())} ORDER BY {site.row_id} DESC)"
    return (
        f"DELETE FROM {into} WHERE {site.row_id} IN (SELECT r._penstock_row FROM "
        f"(SELECT {site.row_id} AS _penstock_row, {listed}, {nth} AS _penstock_nth FROM {into}) AS r JOIN "
        f"(SELECT {plain}, count(*) AS _penstock_times FROM (SELECT {listed} FROM {stage.sql}) AS q "
        f"GROUP BY {plain}) AS s ON {same} AND r._penstock_nth <= s._penstock_times)"
    )


def discard(site: Site, staged: Mapping[str, Any]) -> None:
    """Drop both tables."""
    table, kept, _ = _tables(staged)
    with site.failures(f"table '{staged['table']}'"):
        site.begin()
        for each in (table, kept):
            site.run(f"DROP TABLE IF EXISTS {each.sql}")
        site.commit()
