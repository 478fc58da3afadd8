"""What every task of a run said around an error, in order of time (LOG-02).

Law: looks only. The error is the last logged one; where none was logged, the end of the last attempt that failed.
Logs are streamed: attempts that were over before, or began after, are not opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from engine.client.logbook import merged
from engine.client.names import label
from engine.client.views import iso
from engine.model.errors import NotFound
from engine.model.run import Attempt, AttemptState, PipelineRun
from engine.ports.logs import LogLine
from engine.rules.patterns import ERRORS

if TYPE_CHECKING:
    from engine.client.client import Client

CONTEXT = timedelta(seconds=30)
_SLACK = timedelta(seconds=5)  # an attempt's last lines may come after its end was noted


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Lines around one moment."""

    sentence: str  # which moment, and why
    at: datetime
    lines: Iterable[LogLine]


def around_error(
    client: Client, run: PipelineRun, task: str | None, attempt: int | None, context: timedelta = CONTEXT
) -> Surroundings:
    """`logs RUN [TASK] --around-error`: the error is TASK's, the lines are everybody's. NotFound without one."""
    mine = client.log_sources(run, task, attempt)
    at, whose = _error(client, run, mine, task)
    begin, end = at - context, at + context
    then = [each for each in client.log_sources(run, None, None) if _then(each, begin, end)]
    lines = (line for line in merged(client.logs, then) if begin <= line.at <= end)
    return Surroundings(f"Around {whose} at {iso(at)}, {context.total_seconds():g} s before and after:", at, lines)


def _error(client: Client, run: PipelineRun, mine: Sequence[Attempt], task: str | None) -> tuple[datetime, str]:
    failed = [each for each in mine if each.state in (AttemptState.FAILED, AttemptState.LOST) and each.completed_at]
    last = max(failed, key=lambda each: each.completed_at or each.submitted_at, default=None)
    # Where attempts failed, the error is looked for in the log of the last of them.
    logged = _last_logged(merged(client.logs, [last] if last is not None else mine))
    if logged is not None:
        return logged.at, f"the last error of {label(logged.task_id, logged.map_index)}"
    if last is not None and last.completed_at is not None:
        return last.completed_at, f"the failure of {label(last.task_id, last.map_index)}"
    raise NotFound(f"No error is known of {f'task {task} of ' if task else ''}run {run.run_id}: nothing failed.")


def _last_logged(lines: Iterable[LogLine]) -> LogLine | None:
    found = None
    for line in lines:
        if line.level.upper() in ERRORS:
            found = line
    return found


def _then(attempt: Attempt, begin: datetime, end: datetime) -> bool:
    over = attempt.completed_at is not None and attempt.completed_at + _SLACK < begin
    return not over and attempt.submitted_at <= end
