"""Open dead letters summed up by fingerprint, so that a thousand of the same failure are one row.

Law: reads only, and no letter's payload: what a list shows is counted by the database, not here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, case, func, select

from engine.model.errors import Queue
from engine.ports.queries import LetterGroup
from engine.stores import reading
from engine.stores import schema as s
from engine.stores.values import instant, map_index

_MOST_TASKS = 20  # tasks named per row of the sum, for each group

_Sums = dict[str, list[Any]]


def letter_groups(connection: Connection, queue: Queue | None, limit: int) -> list[LetterGroup]:
    """The groups hit last first."""
    sums = _by_fingerprint(connection, queue)
    newest_first = sorted(sums.items(), key=lambda pair: (-max(row.last for row in pair[1]), pair[0]))[:limit]
    seen = _ever(connection, [fingerprint for fingerprint, _ in newest_first])
    newest = _letters(connection, [max(row.newest for row in rows) for _, rows in newest_first])
    return [
        _group(fingerprint, rows, seen[fingerprint], newest[max(row.newest for row in rows)])
        for fingerprint, rows in newest_first
    ]


def _group(fingerprint: str, rows: list[Any], seen: Any, newest: Any) -> LetterGroup:
    largest_first = sorted(rows, key=lambda row: (-row.count, row.pipeline_id, row.task_id))
    return LetterGroup(
        fingerprint=fingerprint,
        queue=newest.queue,
        kind=newest.kind,
        error_type=newest.error_type,
        message=newest.message,
        count=sum(row.count for row in rows),
        claimed=sum(row.claimed for row in rows),
        seen=seen.count,
        first_seen=instant(seen.first),
        last_seen=instant(seen.last),
        tasks=tuple((row.pipeline_id, row.task_id) for row in largest_first[:_MOST_TASKS]),
        task_count=len(rows),
        newest=newest.id,
        run_id=newest.run_id,
        map_index=map_index(newest.map_index),
    )


def _by_fingerprint(connection: Connection, queue: Queue | None) -> _Sums:
    c = s.dead_letters.c
    claimed = func.sum(case((c.status == "in_progress", 1), else_=0))
    query = select(
        c.fingerprint, c.pipeline_id, c.task_id, func.count().label("count"), claimed.label("claimed"),
        func.max(c.failed_at).label("last"), func.max(c.id).label("newest"),
    ).where(s.OPEN)  # fmt: skip
    if queue is not None:
        query = query.where(c.queue == queue.value)
    found: _Sums = {}
    for row in connection.execute(query.group_by(c.fingerprint, c.pipeline_id, c.task_id)):
        found.setdefault(row.fingerprint, []).append(row)
    return found


def _ever(connection: Connection, fingerprints: Iterable[str]) -> dict[str, Any]:
    """Closed ones too: when it was first seen is no matter of what is still open."""
    c = s.dead_letters.c
    found: dict[str, Any] = {}
    for some in reading.chunks(list(fingerprints)):
        query = select(
            c.fingerprint,
            func.count().label("count"),
            func.min(c.failed_at).label("first"),
            func.max(c.failed_at).label("last"),
        )
        rows = connection.execute(query.where(c.fingerprint.in_(some)).group_by(c.fingerprint))
        found.update((row.fingerprint, row) for row in rows)
    return found


def _letters(connection: Connection, ids: Iterable[str]) -> dict[str, Any]:
    c = s.dead_letters.c
    found: dict[str, Any] = {}
    for some in reading.chunks(list(ids)):
        query = select(c.id, c.queue, c.kind, c.error_type, c.message, c.run_id, c.map_index)
        found.update((row.id, row) for row in connection.execute(query.where(c.id.in_(some))))
    return found
