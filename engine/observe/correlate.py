"""Log lines of many components put together by run (LOG-02).

Law: entries are values read from text; a line that is no entry is None, never an error. What belongs together is
said by the run id, what came first by the timestamp.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.model.run import Attempt
from engine.observe.logs import instant
from engine.ports.logs import LogLine, LogReader

_PAIR = re.compile(r'([A-Za-z_]\w*)=("(?:[^"\\]|\\.)*"|\S*)')
_ERRORS = frozenset({"ERROR", "CRITICAL", "FATAL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One structured line of any component."""

    timestamp: datetime
    level: str
    component: str
    pipeline_id: str | None
    run_id: str | None
    task_id: str | None
    message: str
    raw_line: str
    attempt: int | None = None
    error_type: str | None = None


def parse_log_entry(raw_line: str) -> LogEntry | None:
    """A JSON object or key=value pairs with timestamp (or at), level, component and message; None otherwise."""
    fields = _fields(raw_line.strip())
    moment = instant(fields.get("timestamp") or fields.get("at"))
    if moment is None or "level" not in fields or not ({"message", "text"} & fields.keys()):
        return None
    attempt = str(fields.get("attempt", ""))
    return LogEntry(
        timestamp=moment,
        level=str(fields["level"]).upper(),
        component=str(fields.get("component") or fields.get("stream") or "engine"),
        pipeline_id=_name(fields, "pipeline_id"),
        run_id=_name(fields, "run_id"),
        task_id=_name(fields, "task_id"),
        message=str(fields.get("message", fields.get("text"))),
        raw_line=raw_line,
        attempt=int(attempt) if attempt.isdigit() else None,
        error_type=_name(fields, "error_type"),
    )


class LogCorrelator:
    """The lines of a run from its attempts' logs and from the engine's own log files."""

    def __init__(
        self, reader: LogReader, attempts: Callable[[str], Sequence[Attempt]], engine_logs: Sequence[Path] = ()
    ) -> None:
        self._reader = reader
        self._attempts = attempts
        self._engine_logs = engine_logs

    def correlate_pipeline_logs(self, run_id: str) -> dict[str, list[LogEntry]]:
        """component -> its entries of this run, in order of time. A task is the component `task:<id>`."""
        found: dict[str, list[LogEntry]] = {}
        for entry in (*self._engine_entries(run_id), *self._task_entries(run_id)):
            found.setdefault(entry.component, []).append(entry)
        return {component: _in_time(found[component]) for component in sorted(found)}

    def find_error_context(
        self, run_id: str, error: LogEntry | None = None, context_seconds: float = 30
    ) -> list[LogEntry]:
        """Everything said about the run within so many seconds of an error; without one given, of its last."""
        entries = _in_time(entry for one in self.correlate_pipeline_logs(run_id).values() for entry in one)
        if error is None:
            error = next((entry for entry in reversed(entries) if entry.level in _ERRORS), None)
        if error is None:
            return []
        return [entry for entry in entries if _apart(entry, error) <= context_seconds]

    def _task_entries(self, run_id: str) -> Iterator[LogEntry]:
        for attempt in self._attempts(run_id):
            if attempt.log is not None:
                for line in self._reader.lines(attempt.log):
                    yield _of_task(line, attempt)

    def _engine_entries(self, run_id: str) -> Iterator[LogEntry]:
        for path in self._engine_logs:
            try:
                with path.open(encoding="utf-8", errors="surrogateescape") as file:
                    # Parsing is dear, so only lines that can belong to the run are parsed.
                    for raw in (line for line in file if run_id in line):
                        entry = parse_log_entry(raw.rstrip("\n"))
                        if entry is not None and entry.run_id == run_id:
                            yield entry
            except FileNotFoundError:
                continue


def _of_task(line: LogLine, attempt: Attempt) -> LogEntry:
    return LogEntry(
        timestamp=line.at,
        level=line.level.upper(),
        component=f"task:{attempt.task_id}",
        pipeline_id=None,
        run_id=attempt.run_id,
        task_id=attempt.task_id,
        message=line.text,
        raw_line=line.text,
        attempt=attempt.number,
    )


def _fields(line: str) -> Mapping[str, Any]:
    if line.startswith("{"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return {}
        return record if isinstance(record, dict) else {}
    return {key: _unquoted(value) for key, value in _PAIR.findall(line)}


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _name(fields: Mapping[str, Any], key: str) -> str | None:
    value = fields.get(key)
    return str(value) if value not in (None, "") else None


def _in_time(entries: Iterable[LogEntry]) -> list[LogEntry]:
    return sorted(entries, key=lambda entry: entry.timestamp)


def _apart(entry: LogEntry, error: LogEntry) -> float:
    return abs((entry.timestamp - error.timestamp).total_seconds())
