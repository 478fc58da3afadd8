"""Snowflake as one of several destinations: rows staged, published, taken back.

Law: what was staged and what was overwritten lie in tables named after the token. Publishing and taking back are a
transaction each, with the ledger row in it; tables are made before it begins, and none that an earlier try may have
filled is made anew: its commit may still be on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.connectors.databases.naming import OWN
from engine.connectors.databases.snowflake_catalog import Name, quoted
from engine.connectors.databases.snowflake_link import rows
from engine.connectors.databases.snowflake_loading import KEYED, Loading
from engine.model.errors import LogicError
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode
from engine.ports.stream import Stream


def stage(loading: Loading, stream: Stream) -> Mapping[str, Any]:
    """All rows in a table beside the target."""
    with loading.failures():
        loading.ready()
        count, columns = loading.staged(stream)
    return {
        "schema": loading.name.schema,
        "stage": loading.stage.table,
        "kept": loading.kept.table,
        "rows": count,
        "columns": columns,
        "created": loading.found is None,
    }


def publish(loading: Loading, staged: Mapping[str, Any]) -> Loaded:
    """The staged rows into the target, with the ledger row; what they overwrite is kept."""
    columns, into = _named(loading, staged), loading.name.sql
    with loading.failures():
        done = loading.ledger.get(loading.order.token)
        if done is not None:
            return done
        loading.make()
        loading.run(f"CREATE TRANSIENT TABLE IF NOT EXISTS {loading.kept.sql} AS SELECT * FROM {into} LIMIT 0")

        failpoint.hit("load.ready")

        def work() -> int:
            before = loading.merging(columns).touched() if loading.order.mode in KEYED else f"SELECT * FROM {into}"
            if loading.order.mode is not Mode.APPEND:
                loading.run(f"DELETE FROM {loading.kept.sql}")
                loading.run(f"INSERT INTO {loading.kept.sql} {before}")
            return loading.put(columns, int(staged["rows"]))

        return loading.committed(work)


def _named(loading: Loading, staged: Mapping[str, Any]) -> list[str]:
    """Go on with the tables that were made in staging; the columns that are written."""
    loading.stage, loading.kept = (loading.name.beside(str(staged[each])) for each in ("stage", "kept"))
    return list(staged["columns"])


def undo(loading: Loading, staged: Mapping[str, Any]) -> None:
    """Take a published load out of the target again, if it is in."""
    columns = _named(loading, staged)
    with loading.failures():
        loading.run("BEGIN")
        try:
            if loading.ledger.remove(loading.order.token):
                _take_back(loading, columns)
            failpoint.hit("load.taken_back")
            loading.run("COMMIT")
        except BaseException:
            loading.roll_back()
            raise
        if staged["created"] and loading.catalog.find(loading.order.target) is not None:
            loading.drop_empty(loading.name)  # others may have written to it since


def _take_back(loading: Loading, columns: Sequence[str]) -> None:
    into, kept = loading.name.sql, loading.kept.sql
    listed = ", ".join(quoted(each.name) for each in loading.catalog.fields(into))
    if loading.order.mode in KEYED:
        merge, stage = loading.merging(columns), loading.stage.sql
        matching = " AND ".join(f"{into}.{key} = {stage}.{key}" for key in merge.keys)
        loading.run(f"DELETE FROM {into} USING {stage} WHERE {matching}")
        loading.run(f"INSERT INTO {into} ({listed}) SELECT {listed} FROM {kept}")
        return
    # No row has a name of its own: what stays is put beside what was there before, and both written back as one.
    loading.run(f"INSERT INTO {kept} ({listed}) {_staying(loading, [quoted(each) for each in columns])}")
    loading.run(f"INSERT OVERWRITE INTO {into} ({listed}) SELECT {listed} FROM {kept}")


def _staying(loading: Loading, columns: Sequence[str]) -> str:
    """The target's rows without one for each staged row that is like it: others may have added equal ones."""
    into, listed = loading.name.sql, ", ".join(columns)
    wanted = ", ".join(f"r.{quoted(each.name)}" for each in loading.catalog.fields(into))
    same = " AND ".join(f"equal_null(r.{each}, s.{each})" for each in columns)
    return (
        f"SELECT {wanted} FROM (SELECT t.*, row_number() OVER (PARTITION BY {listed} ORDER BY 1) AS _penstock_nth "
        f"FROM {into} AS t) AS r LEFT JOIN (SELECT {listed}, count(*) AS _penstock_times FROM {loading.stage.sql} "
        f"GROUP BY {listed}) AS s ON {same} WHERE r._penstock_nth > coalesce(s._penstock_times, 0)"
    )


def discard(link: Any, staged: Mapping[str, Any]) -> None:
    """Drop both tables."""
    for table in (str(staged["stage"]), str(staged["kept"])):
        if not table.startswith(OWN):
            raise LogicError(f"'{table}' is no table of ours.")
        rows(link, f"DROP TABLE IF EXISTS {Name(str(staged['schema']), table).sql}")
