"""Retention: what is past it goes, a whole run at a time.

Law: only runs that are over are removed, each with everything that belongs to it, in bounded batches. A run with an
open dead letter stays: what it keeps is work somebody still owes. The audit trail and pinned versions stay: the one
is the memory of what people did, the other is what it was done to. What is known of data is kept for years (LIN-07)
and bounded in number; watermarks and breakers stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, or_, select

from engine.stores import schema as s
from engine.stores import schema_data as d
from engine.stores.values import micros

EVENTS_PER_RUN = 50  # how many old events go along with the limit on runs
READS_KEPT, WRITES_KEPT, CHANGES_KEPT = timedelta(days=730), timedelta(days=1826), timedelta(days=3652)
DATASETS_KEPT = 100_000  # of each profile; a name may be made of a date
VERSIONS_KEPT = 100  # of each dataset
_TOUCHES_AT_ONCE = 10_000
_COLUMN_SETS = 10_000  # so many may lie there unused
_CHUNK = 200
_BY_RUN = (
    s.transitions, s.events, s.dead_letters, s.checkpoints, s.task_metrics, s.task_executions, s.pipeline_runs,
)  # fmt: skip


def prune_runs(connection: Connection, *, before: datetime, keep_runs: int, limit: int) -> Sequence[str]:
    """Remove at most `limit` ended runs: those past their time, and those past the number that is kept.

    A run with open letters is neither, until they are closed.
    """
    runs = s.pipeline_runs.c
    too_old = runs.completed_at < micros(before)
    newest_first = (runs.triggered_at.desc(), runs.run_id.desc())
    edge = connection.execute(
        select(runs.triggered_at).order_by(*newest_first).offset(max(keep_runs, 1) - 1).limit(1)
    ).scalar_one_or_none()
    past = too_old if edge is None else or_(too_old, runs.triggered_at < edge)
    owed = select(1).select_from(s.dead_letters).where(s.dead_letters.c.run_id == runs.run_id, s.OPEN).exists()
    query = select(runs.run_id).where(runs.state.not_in(s.ACTIVE_RUN), past, ~owed)
    gone = list(connection.execute(query.order_by(runs.triggered_at, runs.run_id).limit(limit)).scalars())
    for start in range(0, len(gone), _CHUNK):
        _remove(connection, gone[start : start + _CHUNK])
    return gone


def _remove(connection: Connection, run_ids: Sequence[str]) -> None:
    executions = select(s.task_executions.c.execution_id).where(s.task_executions.c.run_id.in_(run_ids))
    for table in (s.attempts, s.verdicts):
        connection.execute(delete(table).where(table.c.execution_id.in_(executions)))
    for table in _BY_RUN:
        connection.execute(delete(table).where(table.c.run_id.in_(run_ids)))


def prune_events(connection: Connection, *, before: datetime, limit: int) -> None:
    """Remove the oldest events as far as they are past their time, at most `limit`."""
    events = s.events.c
    oldest = select(events.seq, events.at).order_by(events.seq).limit(limit).subquery()
    last = connection.execute(select(func.max(oldest.c.seq)).where(oldest.c.at < micros(before))).scalar_one()
    if last is not None:
        connection.execute(delete(s.events).where(events.seq <= last))


def prune_data(connection: Connection, *, now: datetime) -> None:
    """Remove what is past its time or its number, of touches, edges, datasets and their versions."""
    touches, edges, datasets, versions = (each.c for each in _DATA)
    for direction, kept in (("read", READS_KEPT), ("write", WRITES_KEPT)):
        old = select(touches.seq).where(touches.direction == direction, touches.at < micros(now - kept))
        oldest = old.order_by(touches.seq).limit(_TOUCHES_AT_ONCE)
        connection.execute(delete(d.dataset_touches).where(touches.seq.in_(oldest)))
    connection.execute(delete(d.dataset_edges).where(edges.last_seen < micros(now - WRITES_KEPT)))
    connection.execute(delete(d.datasets).where(datasets.last_touched < micros(now - CHANGES_KEPT)))
    for profile in list(connection.execute(select(datasets.profile).distinct()).scalars()):
        _prune_datasets(connection, profile)
    newest = d.dataset_versions.alias("newest")
    same = (newest.c.profile == versions.profile, newest.c.name == versions.name)
    last = select(func.max(newest.c.version)).where(*same).scalar_subquery()
    connection.execute(delete(d.dataset_versions).where(versions.version <= last - VERSIONS_KEPT))
    past = (versions.at < micros(now - CHANGES_KEPT), versions.version < last)
    connection.execute(delete(d.dataset_versions).where(*past))
    _prune_column_sets(connection)


_DATA = (d.dataset_touches, d.dataset_edges, d.datasets, d.dataset_versions)


def _prune_datasets(connection: Connection, profile: str) -> None:
    """The ones that nobody touched for the longest time go first; touches and edges go with their own time."""
    datasets = d.datasets.c
    newest = select(datasets.last_touched).where(datasets.profile == profile).order_by(datasets.last_touched.desc())
    edge = connection.execute(newest.offset(DATASETS_KEPT).limit(1)).scalar_one_or_none()
    if edge is not None:
        past = (datasets.profile == profile, datasets.last_touched <= edge)
        connection.execute(delete(d.datasets).where(*past))


def _prune_column_sets(connection: Connection) -> None:
    """Lists of columns that nothing names any more; looked for only when there are many."""
    sets = d.column_sets.c
    if connection.execute(select(func.count()).select_from(d.column_sets)).scalar_one() <= _COLUMN_SETS:
        return
    used = [select(each.c.columns_hash) for each in (d.dataset_touches, d.datasets, d.dataset_versions)]
    connection.execute(delete(d.column_sets).where(*(sets.hash.not_in(query) for query in used)))
