"""A database that SQLAlchemy speaks to as one of several destinations: rows staged, published, taken back.

Law: what was staged and what was overwritten lie in tables named after the token, so that any process finds them.
Publishing and taking back are a transaction each, with the ledger row in it; tables are made before it begins, and
none that an earlier try may have filled is made anew. A database that cannot take a load back is refused while the
rows are staged: nothing has been published then.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from engine.connectors.databases import any_back as back
from engine.connectors.databases.any_link import Link
from engine.connectors.databases.any_loading import KEYED, Loading
from engine.connectors.databases.merging import NUMBER
from engine.connectors.databases.naming import BEFORE, OWN
from engine.model.errors import LogicError
from engine.ports import failpoint
from engine.ports.destination import Loaded, Mode, Order
from engine.ports.stream import Stream


def stage(link: Link, stream: Stream, order: Order) -> Mapping[str, Any]:
    """All rows in a table beside the target; an unfinished one of this token is made anew."""
    loading = Loading(link, order)
    with loading.failures():
        table = _prepared(loading, stream.schema)
        columns = [each.name for each in table.columns if each.name != NUMBER]
        try:
            back.refuse_what_cannot(loading, table, _written(columns, order))
            with link.engine.begin() as wire:
                rows = loading.write(wire, table, columns, stream)
                if order.mode in KEYED:
                    loading.settle(wire, table)
        except BaseException:
            loading.drop(table)
            raise
    failpoint.hit("load.staged")
    return {
        "schema": table.schema or "",
        "stage": table.name,
        "kept": loading.named(BEFORE),
        "rows": rows,
        "columns": _written(columns, order),
        "fields": base64.b64encode(stream.schema.serialize().to_pybytes()).decode(),
        "created": loading.found is None,
    }


def _prepared(loading: Loading, schema: pa.Schema) -> sa.Table:
    """The empty table for the rows, and the ledger; the target is not made yet."""
    with loading.link.engine.connect() as wire:
        loading.sweep(wire)
        loading.plan(schema)
        loading.ledger(wire).prepare()
        table = loading.staging(schema)
        table.create(wire)
        wire.commit()
    return table


def _written(columns: Sequence[str], order: Order) -> list[str]:
    return [each for each in columns if each != order.delete_when]


def publish(link: Link, staged: Mapping[str, Any], order: Order) -> Loaded:
    """The staged rows into the target, with the ledger row; what they overwrite is kept."""
    loading = Loading(link, order)
    with loading.failures():
        with link.engine.connect() as wire:
            done = loading.ledger(wire).get(order.token)
            if done is not None:
                return done
            if loading.found is None and not staged["created"]:
                raise link.missing(order.target)  # it was there when the rows were staged
            table, kept = _tables(loading, staged)
            loading.make(wire)
            if back.writes_back(loading, staged["columns"]):
                kept.create(wire, checkfirst=True)
            wire.commit()
        failpoint.hit("load.ready")
        return loading.committed(lambda wire: _put(wire, loading, table, kept, staged))


def _tables(loading: Loading, staged: Mapping[str, Any]) -> tuple[sa.Table, sa.Table]:
    """What was staged, and what is kept of the target."""
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(staged["fields"])))
    loading.plan(schema)
    assert loading.target is not None  # `plan` has found it
    columns = [sa.Column(each.name, each.type) for each in back.writable(loading.target)]
    kept = sa.Table(str(staged["kept"]), sa.MetaData(), *columns, schema=loading.target.schema)
    return loading.staging(schema, str(staged["stage"])), kept


def _put(wire: sa.Connection, loading: Loading, table: sa.Table, kept: sa.Table, staged: Mapping[str, Any]) -> int:
    target, mode = loading.target, loading.order.mode
    assert target is not None  # `plan` has found it
    columns = list(staged["columns"])
    if back.writes_back(loading, columns):
        wire.execute(sa.delete(kept))
    if mode in KEYED:
        touched = back.matching(target, table, loading.spelled(loading.order.keys))
        wire.execute(back.copied(kept, target, touched))
        loading.merge(wire, table)
        return int(staged["rows"])
    if mode is Mode.REPLACE:
        wire.execute(back.copied(kept, target))
        wire.execute(sa.delete(target))
    rows = sa.select(*[table.c[each] for each in columns]).order_by(table.c[NUMBER])
    wire.execute(sa.insert(target).from_select(columns, rows))
    return int(staged["rows"])


def undo(link: Link, staged: Mapping[str, Any], order: Order) -> None:
    """Take a published load out of the target again, if it is in."""
    loading = Loading(link, order)
    with loading.failures():
        with link.engine.begin() as wire:
            if loading.ledger(wire).remove(order.token) and loading.found is not None:
                table, kept = _tables(loading, staged)
                back.take(wire, loading, table, kept, list(staged["columns"]))
            failpoint.hit("load.taken_back")
        if staged["created"]:
            loading.unmake()  # unless others have written to it since


def discard(link: Link, staged: Mapping[str, Any]) -> None:
    """Drop both tables."""
    with link.failures(), link.engine.begin() as wire:
        for name in (str(staged["stage"]), str(staged["kept"])):
            if not name.startswith(OWN):
                raise LogicError(f"'{name}' is no table of ours.")
            link.drop(wire, name, str(staged["schema"]) or None)
