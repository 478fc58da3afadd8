"""What history says of one pipeline.

Law: only the last few hundred runs are looked at, so the answer takes the same time in the tenth year; a number
that nothing is known of is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import Connection, func, select

from engine.ports.queries import PipelineStatistics
from engine.stores import schema as s
from engine.stores.values import micros

_RUNS = 200
_STATES = 20
_RECENT = 10
_BEFORE = 5  # so many earlier ones at least, or there is nothing to compare with
_LONGEST = timedelta(days=1)


def pipeline_statistics(connection: Connection, pipeline_id: str) -> PipelineStatistics:
    """Success rate among runs that succeeded or failed, and durations of those that succeeded."""
    columns = s.pipeline_runs.c
    mine = columns.pipeline_id == pipeline_id
    total = connection.execute(select(func.count()).select_from(s.pipeline_runs).where(mine)).scalar_one()
    query = select(columns.state, columns.started_at, columns.completed_at).where(mine)
    last = connection.execute(query.order_by(columns.triggered_at.desc(), columns.run_id.desc()).limit(_RUNS)).all()
    states = [row.state for row in last]
    decided = [state for state in states if state in ("SUCCESS", "FAILED")]
    newest_first = [
        (row.completed_at - row.started_at) / 1_000_000
        for row in last
        if row.state == "SUCCESS" and row.started_at is not None and row.completed_at is not None
    ]
    seconds = sorted(newest_first)
    return PipelineStatistics(
        runs=total,
        success_rate=decided.count("SUCCESS") / len(decided) if decided else None,
        median_seconds=median(seconds) if seconds else None,
        p95_seconds=_percentile(seconds, 0.95),
        last_states=tuple(reversed(states[:_STATES])),
        trend=_trend(newest_first),
    )


def progress(connection: Connection, run_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Latest executions by state, of each run."""
    columns = s.task_executions.c
    query = (
        select(columns.run_id, columns.state, func.count())
        .where(columns.run_id.in_(run_ids), columns.current == 1)
        .group_by(columns.run_id, columns.state)
    )
    found: dict[str, dict[str, int]] = {}
    for run_id, state, count in connection.execute(query):
        found.setdefault(run_id, {})[state] = count
    return found


def activity(connection: Connection, since: datetime, seconds: int, count: int) -> Mapping[str, Sequence[int]]:
    """Ended runs by state and stretch of time; the index on triggered_at bounds what is looked at."""
    columns = s.pipeline_runs.c
    start = micros(since)
    stretch = (columns.completed_at - start) // (seconds * 1_000_000)
    query = (
        select(columns.state, stretch.label("stretch"), func.count())
        .where(columns.triggered_at >= micros(since - _LONGEST), columns.completed_at >= start)
        .group_by(columns.state, "stretch")
    )
    found: dict[str, list[int]] = {}
    for state, at, ended in connection.execute(query):
        if at < count:
            found.setdefault(state, [0] * count)[int(at)] = ended
    return found


def _trend(newest_first: Sequence[float]) -> float | None:
    recent, before = newest_first[:_RECENT], newest_first[_RECENT:]
    usual = median(before) if len(before) >= _BEFORE else 0.0
    return median(recent) / usual if usual > 0 else None


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest rank: a duration that did occur."""
    if not ordered:
        return None
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
