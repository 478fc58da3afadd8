"""How a load is taken out of a table again, in SQL that every dialect of SQLAlchemy has.

Law: what others have written since stays. By key, what was overwritten is written back. With a primary key among
the columns that were written, the rows that are still as they were loaded go. Without one, a row cannot be told
from its equal: what stays is put beside what was kept, and both are written back as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from engine.connectors.databases.any_loading import KEYED, Loading
from engine.connectors.databases.merging import NUMBER
from engine.model.errors import ConfigurationError
from engine.ports.destination import Mode

_WITHOUT_TRANSACTIONS = frozenset({"myisam", "aria", "memory", "csv", "archive", "blackhole"})  # of MySQL, MariaDB
_NTH, _TIMES = "_penstock_nth", "_penstock_times"


def writable(table: sa.Table) -> list[sa.Column[Any]]:
    """The columns that are not computed."""
    return [each for each in table.columns if each.computed is None]


def copied(into: sa.Table, table: sa.Table, where: sa.ColumnElement[bool] | None = None) -> sa.Insert:
    """Rows of one table put into another with its columns."""
    names = [each.name for each in writable(into)]
    rows = sa.select(*[table.c[each] for each in names])
    return sa.insert(into).from_select(names, rows if where is None else rows.where(where))


def matching(target: sa.FromClause, stage: sa.Table, keys: Sequence[str]) -> sa.ColumnElement[bool]:
    """Rows of the target whose key was staged."""
    same = [target.c[each] == stage.c[each] for each in keys]
    return sa.select(sa.literal(1)).select_from(stage).where(*same).correlate(target).exists()


def _loaded(target: sa.FromClause, stage: sa.Table, columns: Sequence[str]) -> sa.ColumnElement[bool]:
    """Rows of the target that are as they were staged."""
    same = [_same(target.c[each], stage.c[each]) for each in columns]
    return sa.select(sa.literal(1)).select_from(stage).where(*same).correlate(target).exists()


def _same(one: Any, other: Any) -> sa.ColumnElement[bool]:
    one, other = _comparable(one), _comparable(other)
    return sa.or_(one == other, sa.and_(one.is_(None), other.is_(None)))  # IS NOT DISTINCT FROM is not everywhere


def _comparable(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """What tells equal values: of JSON its text, which has come through the same type on both sides."""
    return sa.cast(column, sa.Text) if isinstance(column.type, sa.JSON) else column


def _staying(
    target: sa.FromClause, stage: sa.Table, columns: Sequence[str], names: Sequence[str]
) -> sa.Select[Any]:
    """The target's rows without one for each staged row that is like it: others may have added equal ones."""
    equal = [_comparable(target.c[each]) for each in columns]
    nth = sa.func.row_number().over(partition_by=equal, order_by=equal).label(_NTH)
    rows = sa.select(*[target.c[each] for each in names], nth).subquery("r")
    own = [_comparable(stage.c[each]).label(each) for each in columns]
    times = (
        sa.select(*own, sa.func.count().label(_TIMES))
        .group_by(*[_comparable(stage.c[each]) for each in columns])
        .subquery("s")
    )
    same = sa.and_(*[_same(rows.c[each], times.c[each]) for each in columns])
    wanted = sa.select(*[rows.c[each] for each in names]).select_from(rows.outerjoin(times, same))
    return wanted.where(rows.c[_NTH] > sa.func.coalesce(times.c[_TIMES], 0))


def take(wire: sa.Connection, loading: Loading, stage: sa.Table, kept: sa.Table, columns: Sequence[str]) -> None:
    """Take a load out of the target."""
    target, mode = loading.target, loading.order.mode
    assert target is not None  # who calls has found it
    if mode in KEYED:
        wire.execute(sa.delete(target).where(matching(target, stage, loading.spelled(loading.order.keys))))
    elif _keyed(target, columns):
        wire.execute(sa.delete(target).where(_loaded(target, stage, columns)))
    else:
        names = [each.name for each in writable(target)]
        wire.execute(sa.insert(kept).from_select(names, _staying(target, stage, columns, names)))
        wire.execute(sa.delete(target))
    if writes_back(loading, columns):
        wire.execute(copied(target, kept))


def writes_back(loading: Loading, columns: Sequence[str]) -> bool:
    """Whether rows of the target are kept, to be written again when the load is taken back."""
    assert loading.target is not None  # who calls has planned it
    return loading.order.mode is not Mode.APPEND or not _keyed(loading.target, columns)


def _keyed(target: sa.Table, columns: Sequence[str]) -> bool:
    keys = [each.name for each in target.primary_key.columns]
    return bool(keys) and set(keys) <= set(columns)


def refuse_what_cannot(loading: Loading, stage: sa.Table, columns: Sequence[str]) -> None:
    """Say now if this database could not take back what is about to be loaded. `stage` is empty still."""
    found, target = loading.found, loading.target
    assert target is not None  # who calls has planned it
    kind = loading.link.engine.dialect.name
    if found is not None and str(found.kwargs.get(f"{kind}_engine", "")).lower() in _WITHOUT_TRANSACTIONS:
        raise _refused(loading, "its table is of an engine without transactions")
    with loading.link.engine.connect() as wire:
        wire.execute(sa.insert(stage).values({NUMBER: 0}))
        wire.rollback()
        if wire.execute(sa.select(sa.literal(1)).select_from(stage).limit(1)).first() is not None:
            raise _refused(loading, "it has no transactions, or does not use them")
    if writes_back(loading, columns):
        _refuse_what_cannot_be_kept(loading, target, kind)
    _try_on_no_rows(loading, stage, columns)


def _refuse_what_cannot_be_kept(loading: Loading, target: sa.Table, kind: str) -> None:
    for each in writable(target):
        if _given_by_it(each, kind):
            raise _refused(loading, "the table has an identity column that nobody else may write")
        if isinstance(each.type, sa.types.NullType):
            raise _refused(loading, f"SQLAlchemy does not know the type of its column '{each.name}'")


def _given_by_it(column: sa.Column[Any], kind: str) -> bool:
    return column.identity is not None and (bool(column.identity.always) or kind == "mssql")


def _try_on_no_rows(loading: Loading, stage: sa.Table, columns: Sequence[str]) -> None:
    """Ask for what taking back compares: types without an equality are refused by the database here."""
    target = loading.target
    assert target is not None  # who calls has planned it
    there = stage.alias("t") if loading.found is None else target  # it is not made before it is published
    if loading.order.mode in KEYED:
        return
    asked = (
        sa.select(sa.literal(1)).select_from(there).where(_loaded(there, stage, columns), sa.false())
        if _keyed(target, columns)
        else _staying(there, stage, columns, columns).where(sa.false())
    )
    try:
        with loading.link.engine.connect() as wire:
            wire.execute(asked)
            wire.rollback()
    except SQLAlchemyError as error:
        raise _refused(
            loading, f"it cannot compare the rows it has with those it was given: {type(error).__name__}"
        ) from error


def _refused(loading: Loading, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{loading.where}: a load could not be taken back ({why}), so that this may not be one of several "
        "`targets`. Load it in a task of its own, or use postgresql, sqlite, mysql or duckdb."
    )
