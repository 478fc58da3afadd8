"""What invented attempts wrote: a log file each, in the form of the engine's own.

Law: one file per attempt below the logs folder, made through the very class that writes real ones. A file that is
there is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from engine.executors.logfile import AttemptLog, stamp
from engine.model.run import Attempt, AttemptState
from engine.model.workspace import Settings
from engine.rules.story import Story

Line = tuple[str, str, str]  # stream, level, text


def write_logs(settings: Settings, story: Story, dice: Callable[[], float]) -> int:
    """One file per attempt of a story; how many were made."""
    made = 0
    for attempt in story.attempts.values():
        if attempt.log is None or attempt.completed_at is None:
            continue
        path = settings.home / "logs" / attempt.log
        if path.exists():
            continue
        began, ended = attempt.started_at or attempt.submitted_at, attempt.completed_at
        log = AttemptLog(path, cap=1 << 20, now=lambda: datetime.now(UTC))
        lines = list(_lines(attempt, story, dice))
        for place, (stream, level, text) in enumerate(lines):
            at = began + (ended - began) * (place / len(lines)) + timedelta(milliseconds=3)
            log.add(stream, level, text.encode(), at=stamp(at), logger="loads" if stream == "log" else None)
        log.close()
        made += 1
    return made


def _lines(attempt: Attempt, story: Story, dice: Callable[[], float]) -> Iterator[Line]:
    name = attempt.task_id.replace("_", " ")
    yield "log", "INFO", f"{name}: begins for {story.run.logical_date:%Y-%m-%d}, attempt {attempt.number}"
    total, count = 500 + int(dice() * 40_000), 3 + int(dice() * 14)
    failed = attempt.state is not AttemptState.SUCCESS
    done = int(count * (0.2 + 0.7 * dice())) if failed else count
    for step in range(1, done + 1):
        yield "stdout", "INFO", f"{total * step // count:,} of {total:,} rows"
        if dice() < 0.07:
            yield "log", "WARNING", f"row {int(dice() * total)} has no customer; taken as a guest"
    error = attempt.error
    if error is not None:
        for text in (error.traceback or error.message).splitlines():
            yield "stderr", "ERROR", text
    elif attempt.state is AttemptState.CANCELLED:
        yield "engine", "WARNING", "asked to end (cancelled)"
    elif attempt.state is AttemptState.SKIPPED:
        yield "stdout", "INFO", "nothing to do today"
    elif not failed:
        yield "log", "INFO", f"{name}: done"
