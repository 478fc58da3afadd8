"""Patterns in the logs of a run, or of one of its tasks.

Law: looks only, streams, and reads at most `most` lines: what was left out is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.client.logbook import merged
from engine.client.views import Json, iso
from engine.model.run import Attempt, AttemptState, PipelineRun
from engine.ports.logs import LogLine
from engine.rules.patterns import Pattern, Said, Tried, Watcher

if TYPE_CHECKING:
    from engine.client.client import Client

GAP = timedelta(seconds=60)
MOST_LINES = 500_000


def patterns(
    client: Client,
    run: PipelineRun,
    task: str | None = None,
    attempt: int | None = None,
    *,
    gap: timedelta = GAP,
    most: int = MOST_LINES,
) -> Json:
    """`logs RUN [TASK] --patterns`."""
    attempts = [each for each in client.log_sources(run, task, attempt) if not each.poke]
    watcher, lines = Watcher(gap), 0
    for line in merged(client.logs, attempts):
        if lines == most:
            lines += 1
            break
        lines += 1
        watcher.see(_said(line))
    medians = client.queries.task_seconds(run.pipeline_id)
    found = watcher.patterns(_tried(attempts, medians), run.completed_at, client.clock.now())
    return {
        "run_id": run.run_id,
        "patterns": [_shown(each) for each in found],
        "lines": min(lines, most),
        "cut": lines > most,
    }


def _said(line: LogLine) -> Said:
    return Said(key=(line.task_id, line.map_index, line.attempt), at=line.at, level=line.level, text=line.text)


def _tried(attempts: Sequence[Attempt], medians: Mapping[str, float]) -> Iterator[Tried]:
    for each in attempts:
        failed = each.state in (AttemptState.FAILED, AttemptState.LOST)
        yield Tried(
            key=(each.task_id, each.map_index, each.number),
            state=each.state.value,
            started_at=each.started_at or each.submitted_at,
            ended_at=each.completed_at,
            failed=failed,
            traced=each.error is not None and bool(each.error.traceback),
            has_error=each.error is not None,
            usual_seconds=medians.get(each.task_id),
        )


def _shown(pattern: Pattern) -> Json:
    task_id, map_index, attempt = pattern.key or (None, None, None)
    return {
        "at": iso(pattern.at),
        "pattern": pattern.kind.value,
        "task_id": task_id,
        "map_index": map_index,
        "attempt": attempt,
        "count": pattern.count,
        "sentence": pattern.sentence,
    }
