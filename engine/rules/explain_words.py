"""Small words of explanations: times, spans, counts, and standing sentences.

Law: pure text. A message of somebody else's is quoted in one line, cut, never interpreted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.model.errors import ErrorKind
from engine.model.run import PipelineRun, Reason, TaskExecution, TaskState

SKIPPED = {
    Reason.WHEN: "It was skipped because its `when` condition was false.",
    Reason.BRANCH: "It was skipped because the branch above it chose another way.",
    Reason.EMPTY: "It was skipped because its `foreach` list was empty.",
    Reason.EXIT_CODE: "It was skipped because it ended with an exit code that `exit_codes` maps to skip.",
    Reason.SKIP_RAISED: "It was skipped because its own code asked for that.",
    Reason.SOFT_FAIL: "It was skipped because the sensor ran out of time and has `soft_fail`.",
    Reason.UPSTREAM_FAILED: "It was skipped because a task above it did not succeed.",
}


CANCELLED = {
    Reason.RUN_CANCELLED: "It was cancelled with its run.",
    Reason.FAIL_FAST: "It was cancelled because another task failed and the failure policy is fail_fast.",
    Reason.RUN_TIMEOUT: "It was cancelled because the run took longer than its timeout.",
}


MEANING = {
    ErrorKind.NETWORK: "The other side could not be reached; a retry may help once it answers again.",
    ErrorKind.TIMEOUT: "It took longer than it may; see whether it hangs or `timeout_seconds` is too small.",
    ErrorKind.RATE_LIMITED: "The other side asked to slow down; a pool with `per_second` spreads the calls.",
    ErrorKind.RESOURCE: "Memory, disk or handles ran out; give the task fewer rows or more memory.",
    ErrorKind.LOST: "The machinery around the task was lost, not the task itself; `penstock health` shows it now.",
    ErrorKind.PERMISSION: "Access was denied; an administrator has to grant it, a retry alone will not help.",
    ErrorKind.CONFIGURATION: "The definition or the environment is wrong; correct it before a retry.",
    ErrorKind.DATA_QUALITY: "The data broke a rule; correct the data or the rule before a retry.",
    ErrorKind.LOGIC: "The task's own code or command failed; correct it before a retry.",
}


def task_name(execution: TaskExecution) -> str:
    """`load` or `load[3]`."""
    return execution.task_id if execution.map_index is None else f"{execution.task_id}[{execution.map_index}]"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a row, the first few of many."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def tally(executions: Sequence[TaskExecution]) -> str:
    """How many tasks are in which state."""
    counted = [(state.value, count_of(executions, state)) for state in TaskState]
    return ", ".join(f"{count} {name}" for name, count in counted if count) or "none"


def count_of(executions: Sequence[TaskExecution], state: TaskState) -> int:
    """How many are in this state."""
    return sum(each.state is state for each in executions)


def progress_sentence(progress: Mapping[str, Any]) -> str:
    """How far it is."""
    total = progress.get("total")
    of = f" of {total:g}" if isinstance(total, int | float) else ""
    done = progress.get("done", 0)
    return f"It has done {done:g}{of} {progress.get('unit', '')}".rstrip() + "."


def seconds_of(execution: TaskExecution) -> float | None:
    """How long a task took, first start to end."""
    if execution.started_at is None or execution.completed_at is None:
        return None
    return (execution.completed_at - execution.started_at).total_seconds()


def took(execution: TaskExecution) -> str:
    """`after 3.2 s`."""
    seconds = seconds_of(execution)
    return "at once" if seconds is None else f"after {span(seconds)}"


def run_seconds(run: PipelineRun) -> float | None:
    """How long a run took."""
    if run.started_at is None or run.completed_at is None:
        return None
    return (run.completed_at - run.started_at).total_seconds()


def run_took(run: PipelineRun) -> str:
    """` after 3.2 s`, or nothing."""
    seconds = run_seconds(run)
    return "" if seconds is None else f" after {span(seconds)}"


def span(seconds: float) -> str:
    """A length of time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def at(moment: datetime | None) -> str:
    """An instant as people and scripts read it."""
    return "at an unknown time" if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def brief(value: Any) -> str:
    """A value in quotes, cut."""
    text = f"{value}"
    return f"'{text[:40]}…'" if len(text) > 40 else f"'{text}'"


def ended(sentence: str | None) -> str:
    """A sentence with its full stop; nothing stays nothing."""
    text = (sentence or "").rstrip()
    return text if not text or text.endswith((".", "!", "?")) else text + "."


def one_line(message: str) -> str:
    """The first line of a message, cut."""
    lines = message.strip().splitlines()
    first = lines[0] if lines else "no message"
    return first if len(first) <= 300 else first[:299] + "…"
