"""Tasks of a run: overlays for the graph, rows for the tree, the card of one task. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from console.present.cells import Cell, cell
from console.present.columns import Column
from console.present.filters import Facts
from console.present.rundetail import RunDetail
from console.present.states import state_cell
from console.present.times import between, brief, coarse, moment
from console.theme import Look
from engine.client.names import label
from engine.layout.values import Overlay
from engine.model.run import TaskExecution, TaskState, Transition, Verdict

WORST_FIRST = ("FAILED", "RETRYING", "RUNNING", "QUEUED", "WAITING", "PENDING", "CANCELLED", "SKIPPED", "SUCCESS")
_DEEPEST = 8  # steps of indentation
FIELDS = ("task", "state", "type", "why")


def overlays(detail: RunDetail, now: datetime) -> dict[str, Overlay]:
    """One per task; items of a mapped task are summed up, the worst state first."""
    return {task_id: overlay(items, detail, now) for task_id, items in detail.by_task.items()}


def overlay(items: Sequence[TaskExecution], detail: RunDetail, now: datetime) -> Overlay:
    """Of one task."""
    return Overlay(state=worst(items), suffix=_suffix(items, detail, now))


def worst(items: Sequence[TaskExecution]) -> str:
    """The state that wants to be seen most."""
    return min((each.state.value for each in items), key=WORST_FIRST.index, default="PENDING")


def _suffix(items: Sequence[TaskExecution], detail: RunDetail, now: datetime) -> str:
    if len(items) > 1:
        return f"{sum(each.state.terminal for each in items)}/{len(items)}"
    one = items[0]
    if one.state is TaskState.RETRYING:
        task = detail.task(one.task_id)
        most = f"/{task.retry_policy.max_attempts}" if task is not None else ""
        when = f" in {coarse((one.next_retry_at - now).total_seconds())}" if one.next_retry_at else ""
        return f"retry {one.failures + 1}{most}{when}"
    if one.state is TaskState.RUNNING:
        return progress(one) or ""
    return ""


def progress(one: TaskExecution) -> str | None:
    """`62%`, where the task reports it."""
    done, total = one.progress.get("done"), one.progress.get("total")
    if isinstance(done, int | float) and isinstance(total, int | float) and total:
        return f"{100 * done / total:.0f}%"
    return None


# ---- the tree


class TaskRow(NamedTuple):
    """One task of the tree."""

    name: str
    task_id: str
    place: int
    depth: int
    type: str
    state: str
    attempts: int
    started_at: datetime | None
    completed_at: datetime | None
    why: str
    median: float | None


def task_rows(detail: RunDetail, names: Iterable[str] | None = None) -> list[TaskRow]:
    """In definition order of the layers: upstream first. Of some tasks, or of all."""
    if names is None:
        return [_task_row(detail, i, each) for i, each in enumerate(detail.executions)]
    places = detail.places
    return [
        _task_row(detail, places[each.task_id, each.map_index], each) for name in names for each in detail.of(name)
    ]


def _task_row(detail: RunDetail, place: int, each: TaskExecution) -> TaskRow:
    shape, task = detail.shape, detail.task(each.task_id)
    order = shape.order if shape is not None else {}
    depth = shape.depths.get(each.task_id, 0) if shape is not None else 0
    return TaskRow(
        label(each.task_id, each.map_index),
        each.task_id,
        order.get(each.task_id, len(order)) * 100_000 + place,
        depth + (each.map_index is not None),
        task.type if task is not None else "",
        each.state.value,
        each.attempt_count,
        each.started_at,
        each.completed_at,
        reason(each, detail.verdicts.get(each.execution_id)),
        detail.medians.get(each.task_id),
    )


def reason(execution: TaskExecution, verdict: Verdict | None) -> str:
    """One line: what holds it, or what went wrong."""
    if verdict is not None and not execution.state.terminal:
        return verdict.sentence
    if execution.error is not None:
        return (execution.error.message.splitlines() or [execution.error.type])[0][:300]
    return execution.reason.value.replace("_", " ") if execution.reason is not None else ""


def task_facts(row: TaskRow) -> Facts:
    """What a filter sees."""
    return {"task": row.name, "state": row.state, "type": row.type, "why": row.why}, row.started_at


def task_columns(look: Look) -> list[Column[TaskRow]]:
    """The tree of tasks."""
    return [
        Column(
            name="task", title="task", width=20, grow=2, middle=True,
            cell=lambda r, now: cell("  " * min(r.depth, _DEEPEST) + r.name, "strong"), sort=lambda r: r.name,
        ),
        Column(
            name="state", title="state", width=11, cell=lambda r, now: state_cell(r.state, look),
            sort=lambda r: WORST_FIRST.index(r.state),
        ),
        Column(
            name="tries", title="tries", width=5, right=True, rank=5,
            cell=lambda r, now: Cell(str(r.attempts) if r.attempts else ""), sort=lambda r: r.attempts,
        ),
        Column(
            name="took", title="took", width=7, right=True, cell=_took,
            sort=lambda r: between(r.started_at, r.completed_at, r.completed_at) if r.completed_at else None,
        ),
        Column(
            name="usually", title="usually", width=7, right=True, rank=7,
            cell=lambda r, now: Cell(brief(r.median), "dim"), sort=lambda r: r.median,
        ),
        Column(
            name="type", title="type", width=9, rank=8, cell=lambda r, now: cell(r.type, "dim"),
            sort=lambda r: r.type,
        ),
        Column(
            name="why", title="why", width=16, grow=4,
            cell=lambda r, now: cell(r.why, "bad" if r.state == "FAILED" else ""),
        ),
    ]  # fmt: skip


def _took(row: TaskRow, now: datetime) -> Cell:
    seconds = between(row.started_at, row.completed_at, now)
    if seconds is None or row.state == "SKIPPED":
        return Cell("")
    return Cell(brief(seconds) if row.completed_at is not None else coarse(seconds))


# ---- events


class EventRow(NamedTuple):
    """One transition."""

    number: int
    at: datetime
    name: str
    change: str
    to: str
    message: str


def event_rows(transitions: Iterable[Transition], first: int = 0) -> list[EventRow]:
    """Oldest first, numbered from `first`."""
    return [
        EventRow(
            first + i,
            each.at,
            label(each.task_id, each.map_index),
            each.event.value,
            each.to_state.value,
            each.message or "",
        )
        for i, each in enumerate(transitions)
    ]


def event_facts(row: EventRow) -> Facts:
    """What a filter sees."""
    return {"task": row.name, "state": row.to, "type": row.change, "why": row.message}, row.at


def event_columns(look: Look) -> list[Column[EventRow]]:
    """Transitions as a table."""
    return [
        Column(name="at", title="at", width=12, cell=lambda r, now: Cell(moment(r.at, now), "dim")),
        Column(
            name="task", title="task", width=16, grow=2, middle=True, cell=lambda r, now: cell(r.name, "strong")
        ),
        Column(name="to", title="state", width=11, cell=lambda r, now: state_cell(r.to, look)),
        Column(name="event", title="event", width=22, rank=6, cell=lambda r, now: cell(r.change, "dim")),
        Column(name="message", title="message", width=16, grow=3, cell=lambda r, now: cell(r.message)),
    ]  # fmt: skip


# ---- head and card
