"""A run's head and the card beside its graph: what is known of a run, a task, an item, in lines of cells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from console.present.cells import Cell, Line, cell, cut, labelled, labelled_lines, lines
from console.present.rundetail import RunDetail
from console.present.states import state_cell
from console.present.tasks import WORST_FIRST, progress, reason, worst
from console.present.times import ago, between, brief, coarse, counted, size, span, stamp
from console.theme import Look, state_tone
from engine.client.names import label
from engine.model.run import TaskExecution

_MOST_NEIGHBOURS = 30  # of a task that are named on each side
_LONGEST = 2_000  # of one value on a card


def head(detail: RunDetail, now: datetime, look: Look) -> list[Cell]:
    """The run in one line."""
    run = detail.run
    ended, failed = detail.ended
    seconds = between(run.started_at, run.completed_at, now)
    line = [
        Cell(" "),
        state_cell(run.state.value, look),
        Cell(f"  {ended}/{counted(len(detail.executions), 'task')}"),
    ]
    if failed:
        line += [Cell("  "), Cell(f"{failed} failed", "bad")]
    if seconds is not None:
        took = span(seconds) if run.completed_at else coarse(seconds)
        line += [Cell("  took " if run.completed_at else "  for ", "dim"), Cell(took)]
    line += [Cell("  v", "dim"), Cell(str(run.version)), Cell("  by ", "dim"), cell(run.triggered_by)]
    if run.reason:
        line += [Cell("  "), cell(run.reason, state_tone(run.state.value))]
    return line


def summary(detail: RunDetail, task_id: str | None, look: Look) -> list[Line]:
    """The selected task in two lines, where there is no room for its card."""
    items = detail.of(task_id) if task_id is not None else []
    if not items or task_id is None:
        return [[], []]
    one = min(items, key=lambda each: WORST_FIRST.index(each.state.value))
    first = [
        Cell(" "),
        state_cell(one.state.value, look),
        Cell("  "),
        cell(label(one.task_id, one.map_index), "strong"),
    ]
    if one.attempt_count:
        first += [Cell(f"  {counted(one.attempt_count, 'attempt')}", "dim")]
    return [first, [Cell(" "), cell(reason(one, detail.verdicts.get(one.execution_id)))]]


def card(detail: RunDetail, task_id: str | None, now: datetime, look: Look) -> list[Line]:
    """Everything about one task; without one, about the run."""
    items = detail.of(task_id) if task_id is not None else []
    if not items or task_id is None:
        return _run_card(detail, now)
    out: list[Line] = []
    if len(items) > 1:
        out += _items_card(task_id, items, look)
        items = [min(items, key=lambda each: WORST_FIRST.index(each.state.value))]
    return out + _one_card(detail, items[0], now, look)


def _run_card(detail: RunDetail, now: datetime) -> list[Line]:
    run = detail.run
    out: list[Line] = [
        [cell(run.pipeline_id, "strong")],
        labelled("run", run.run_id),
        labelled("logical", stamp(run.logical_date)),
        labelled("triggered", f"{stamp(run.triggered_at)} by {run.triggered_by}"),
    ]
    out += [labelled(name, _value(value)) for name, value in run.parameters.items()]
    if run.retry_of:
        out.append(labelled("made from", run.retry_of))
    if run.reason:
        out.append(labelled("reason", run.reason))
    return out


def _items_card(task_id: str, items: Sequence[TaskExecution], look: Look) -> list[Line]:
    counts: dict[str, int] = {}
    for each in items:
        counts[each.state.value] = counts.get(each.state.value, 0) + 1
    parts: list[Cell] = []
    for state in sorted(counts, key=WORST_FIRST.index):
        parts += [state_cell(state, look), Cell(f" {counts[state]}  ")]
    return [[cell(f"{task_id} x {len(items)}", "strong")], parts, []]


def _one_card(detail: RunDetail, one: TaskExecution, now: datetime, look: Look) -> list[Line]:
    task = detail.task(one.task_id)
    verdict = detail.verdicts.get(one.execution_id)
    out: list[Line] = [
        [cell(label(one.task_id, one.map_index), "strong"), Cell("  "), cell(task.type if task else "", "dim")],
        [state_cell(one.state.value, look), Cell("  "), cell(one.reason.value if one.reason else "", "dim")],
    ]
    if verdict is not None and not one.state.terminal:
        out += [[cell(verdict.sentence, "warn")], *(labelled("held by", each) for each in verdict.holders)]
        if verdict.expected is not None:
            out.append(labelled("expected", ago(verdict.expected, now)))
    if one.error is not None:
        out += [
            [cell(f"{one.error.kind.value} ({one.error.type})", "bad")],
            *lines(cut(one.error.message, _LONGEST)),
        ]
    out += _durations(detail, one, now)
    out += _neighbours(detail, one, look)
    out += _attempts(detail, one, now, look)
    for title, values in (("outputs", one.outputs), ("metrics", one.metrics)):
        if values:
            out += [[], [Cell(title, "dim")], *_pairs(values)]
    if one.marked_by:
        out.append(labelled("marked", f"by {one.marked_by}: {one.mark_reason or ''}"))
    if task is not None:
        out += [
            [],
            [Cell("config", "dim")],
            *_pairs(task.config),
        ]
    return out


def _durations(detail: RunDetail, one: TaskExecution, now: datetime) -> list[Line]:
    seconds = between(one.started_at, one.completed_at, now)
    median = detail.medians.get(one.task_id)
    out: list[Line] = []
    if one.started_at is not None:
        out.append(labelled("started", stamp(one.started_at)))
    if seconds is not None:
        usual = f" (usually {span(median)})" if median is not None else ""
        out.append(labelled("took", span(seconds) + usual if one.completed_at else coarse(seconds) + usual))
    if (done := progress(one)) is not None:
        out.append(labelled("progress", f"{done} {one.progress.get('unit', '')}"))
    if one.next_retry_at is not None and not one.state.terminal:
        out.append(labelled("next try", ago(one.next_retry_at, now)))
    return out


def _neighbours(detail: RunDetail, one: TaskExecution, look: Look) -> list[Line]:
    shape, task = detail.shape, detail.task(one.task_id)
    if shape is None or task is None:
        return []
    out: list[Line] = []
    for title, names in (("after", task.dependencies), ("before", shape.below[one.task_id])):
        for i, name in enumerate(names[:_MOST_NEIGHBOURS]):
            state = worst(detail.of(name))
            glyph = Cell(look.chars.state(state) + " ", state_tone(state))
            out.append([Cell(f"{title if not i else '':<11} ", "dim"), glyph, cell(name)])
        if len(names) > _MOST_NEIGHBOURS:
            out.append([Cell(" " * 12 + f"and {len(names) - _MOST_NEIGHBOURS:,} more", "dim")])
    return out


def _attempts(detail: RunDetail, one: TaskExecution, now: datetime, look: Look) -> list[Line]:
    tried = detail.tried.get(one.execution_id, [])
    out: list[Line] = [[], [Cell(counted(len(tried), "attempt"), "dim")]] if tried else []
    for each in tried[-10:]:
        took = between(each.started_at, each.completed_at, now)
        line = [Cell(f"{each.number:>3} "), state_cell(each.state.value, look), Cell(f" {brief(took)}")]
        if each.peak_mb is not None:
            line.append(Cell(f"  {size(each.peak_mb * 1e6)}", "dim"))
        if each.error is not None:
            line += [Cell("  "), cell((each.error.message.splitlines() or [""])[0][:120], "dim")]
        out.append(line)
    return out


def _pairs(values: Mapping[str, Any]) -> list[Line]:
    return [line for name, value in values.items() for line in labelled_lines(name, _value(value))]


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return cut(text, _LONGEST)
