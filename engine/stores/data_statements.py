"""The statements about data, as `statements` has those of runs.

Law: a watermark whose `resets` is behind the row's changes nothing, whoever sends it and whenever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, bindparam, delete, func, select

from engine.stores import data_records as records
from engine.stores import schema_data as d

if TYPE_CHECKING:
    from engine.stores.statements import Compiler

_TOUCHES = d.dataset_touches.c


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStatements:
    """SQL text by purpose; parameters in the order of the names in `data_records`."""

    watermark: str
    breaker: str
    known: str  # profile, name -> DATASET
    columns: str  # hash -> columns
    previous: str  # profile, dataset, direction, pipeline, task -> columns_hash
    last_touch: str
    new_columns: str
    dataset: str
    version: str
    touch: str
    trimmed: str  # profile, dataset, direction; the same again; how many are kept
    edge: str


def compile_data_statements(make: Compiler) -> DataStatements:
    """All of them, for one database."""
    return DataStatements(
        watermark=make.upsert(
            d.watermarks,
            records.WATERMARK,
            records.WATERMARK[:5],
            keep=("created_at",),
            unless=lambda old, new: old.resets > new.resets,
        ),
        breaker=make.upsert(d.breakers, records.BREAKER, ("profile", "connection")),
        known=make.select(d.datasets, records.DATASET, ("profile", "name")),
        columns=make.select(d.column_sets, ("columns",), ("hash",)),
        previous=_previous(make),
        last_touch=make.text(select(func.max(_TOUCHES.seq)), ()),
        new_columns=make.upsert(d.column_sets, ("hash", "columns"), ("hash",), keep=("columns",)),
        dataset=make.upsert(d.datasets, records.DATASET, ("profile", "name"), keep=("created_at",)),
        version=make.upsert(d.dataset_versions, records.VERSION, ("profile", "name", "version")),
        touch=make.insert(d.dataset_touches, records.TOUCH),
        trimmed=_trimmed(make),
        edge=make.upsert(d.dataset_edges, records.EDGE, records.EDGE[:5], keep=("first_seen",)),
    )


def _previous(make: Compiler) -> str:
    """What the same task found the last time it found anything."""
    names = ("profile", "dataset", "direction", "pipeline_id", "task_id")
    query = select(_TOUCHES.columns_hash).where(
        *(_TOUCHES[name] == bindparam(f"key_{name}", type_=_TOUCHES[name].type) for name in names),
        _TOUCHES.columns_hash > bindparam("key_columns_hash", type_=_TOUCHES.columns_hash.type),
    )
    order = [*(f"key_{name}" for name in names), "key_columns_hash", "one", "none"]
    first = query.order_by(_TOUCHES.seq.desc()).limit(bindparam("one", type_=Integer()))
    return make.text(first.offset(bindparam("none", type_=Integer())), order)


def _trimmed(make: Compiler) -> str:
    """All but the newest touches of one dataset in one direction."""
    names = ("profile", "dataset", "direction")

    def same(prefix: str, columns: Any) -> list[Any]:
        return [columns[name] == bindparam(f"{prefix}_{name}", type_=_TOUCHES[name].type) for name in names]

    kept = d.dataset_touches.alias("kept")
    edge = select(kept.c.seq).where(*same("kept", kept.c)).order_by(kept.c.seq.desc())
    count = bindparam("count", type_=BigInteger())
    one = bindparam("one", type_=Integer())
    bound = edge.limit(one).offset(count).scalar_subquery()
    statement = delete(d.dataset_touches).where(*same("key", _TOUCHES), _TOUCHES.seq <= bound)
    order = [*(f"key_{name}" for name in names), *(f"kept_{name}" for name in names), "one", "count"]
    return make.text(statement, order)
