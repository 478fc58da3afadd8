"""Replacing a whole MySQL table.

Law: the new rows are loaded into a table made LIKE the target, and one RENAME TABLE gives it the target's name: a
reader sees the old rows or the new ones. Who dies in between leaves the target as it was, or a mark in its comment
from which the ledger is repaired. Where foreign keys or triggers hang on the table itself, they would go with the
old one: there the rows are exchanged in one transaction. One process at a time replaces a target.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql

from engine.connectors.databases.mysql_catalog import Name, quoted
from engine.connectors.databases.mysql_ledger import marked
from engine.connectors.databases.mysql_loading import Loading
from engine.model.errors import ResourceExhaustion
from engine.ports import failpoint
from engine.ports.destination import Loaded
from engine.ports.stream import Stream

LOCK_SECONDS = 10


def replace(loading: Loading, stream: Stream) -> Loaded:
    """All rows of the target are exchanged for the stream's."""
    with loading.failures(), alone(loading):
        loading.ledger.prepare()
        loading.ledger.repair(alone=True)
        done = loading.ready(stream.schema)
        sweep(loading)
        if done is not None:
            return done
        columns = loading.spelled(stream.schema.names)
        stage = beside(loading, "stage")
        try:
            loading.catalog.run(f"DROP TABLE IF EXISTS {stage.sql}")
            loading.catalog.run(f"CREATE TABLE {stage.sql} LIKE {loading.name.sql}")
            loading.link.begin()
            rows = loading.write(stage, columns, stream)
            loading.link.commit()
            failpoint.hit("load.written")
            if loading.catalog.tied(loading.name):
                return _exchanged(loading, stage, columns, rows)
            return _renamed(loading, stage, rows)
        finally:
            _drop(loading, stage)


def _renamed(loading: Loading, stage: Name, rows: int) -> Loaded:
    catalog, order, target = loading.catalog, loading.order, loading.name
    old = beside(loading, "old")
    comment = marked(catalog.comment(target), order.token)
    catalog.run(f"ALTER TABLE {stage.sql} COMMENT = %s", (comment,))
    seal = order.seal()
    loading.ledger.add(order, rows, seal, published=False)
    failpoint.hit("load.sealed")
    try:
        catalog.run(f"RENAME TABLE {target.sql} TO {old.sql}, {stage.sql} TO {target.sql}")
    except pymysql.err.ProgrammingError:
        loading.ledger.remove(order.token)  # refused, so that nothing was renamed
        raise
    failpoint.hit("load.renamed")
    loading.ledger.published(order.token)
    failpoint.hit("load.repaired")
    _drop(loading, old)
    return Loaded(rows=rows, uri=loading.uri, created=loading.created, seal=seal)


def _exchanged(loading: Loading, stage: Name, columns: list[str], rows: int) -> Loaded:
    listed = ", ".join(quoted(each) for each in columns)

    def work() -> int:
        loading.catalog.run(f"DELETE FROM {loading.name.sql}")
        loading.catalog.run(f"INSERT INTO {loading.name.sql} ({listed}) SELECT {listed} FROM {stage.sql}")
        return rows

    return loading.committed(work)


@contextmanager
def alone(loading: Loading) -> Iterator[None]:
    """Hold the right to replace this target; the server lets go of it when the connection ends."""
    lock = "penstock:" + _hash(f"{loading.name.database}\0{loading.name.table}", 40)
    got = loading.catalog.rows("SELECT GET_LOCK(%s, %s)", (lock, LOCK_SECONDS))[0][0]
    if got is None or not int(got):
        raise ResourceExhaustion(
            f"{loading.where}: another load replaces it right now; try again when it is through."
        )
    try:
        yield
    finally:
        try:
            loading.catalog.rows("SELECT RELEASE_LOCK(%s)", (lock,))
        except (pymysql.err.Error, OSError):
            pass  # the connection is gone, and the lock with it


def beside(loading: Loading, what: str) -> Name:
    """The table of this load that is kept beside the target: stage, old or before."""
    return loading.name.beside(f"_penstock_{what}_{_of(loading)}_{_hash(loading.order.token, 16)}")


def _of(loading: Loading) -> str:
    return _hash(loading.name.table, 12)


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def sweep(loading: Loading) -> None:
    """Drop what loads of this target that were killed have left: after a day, replaced tables at once."""
    found = loading.catalog.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND (table_name LIKE %s OR "
        "(table_name LIKE %s AND create_time < NOW() - INTERVAL 1 DAY))",
        (
            loading.name.database,
            rf"\_penstock\_old\_{_of(loading)}\_%",
            rf"\_penstock\_%\_{_of(loading)}\_%",
        ),
    )
    for (table,) in found:
        _drop(loading, loading.name.beside(table))


def _drop(loading: Loading, table: Name) -> None:
    try:
        loading.catalog.run(f"DROP TABLE IF EXISTS {table.sql}")
    except (pymysql.err.Error, OSError):
        pass  # swept later
