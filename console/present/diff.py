"""Two runs side by side: what is different between them, as rows. Pure.

Law: the older run is on the left. Durations differ when somebody would notice: by a quarter and a second. Values
are compared as values, not as they are written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from console.present.cells import Cell, Line, cell, cut, lines
from console.present.columns import Column
from console.present.filters import Facts
from console.present.states import state_cell
from console.present.times import between, span, stamp
from console.theme import Look
from engine.client.names import label
from engine.model.run import PipelineRun, TaskExecution

FIELDS = ("what", "name", "left", "right")
_NOTICED = 1.25
_NOTICED_SECONDS = 1.0
_MEASURED = {"execution_duration_seconds": 1.0, "cpu_seconds": 1.0, "memory_usage_mb": 10.0}  # name: too little
_MOST = 5_000  # rows
_LONGEST = 2_000  # of one value
_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two runs."""

    run: PipelineRun
    executions: Sequence[TaskExecution]
    document: Mapping[str, Any] = field(default_factory=dict)  # of the pinned definition


class DiffRow(NamedTuple):
    """One fact of both."""

    place: int
    what: str
    name: str
    left: str
    right: str
    same: bool
    task: str  # whose it is, to go there


class _Rows:
    """Rows in the making."""

    def __init__(self) -> None:
        self.found: list[DiffRow] = []

    def add(self, what: str, name: str, left: Any, right: Any, *, same: bool | None = None, task: str = "") -> None:
        if len(self.found) < _MOST:
            equal = left == right if same is None else same
            row = DiffRow(len(self.found), what, name, _written(left), _written(right), equal, task)
            self.found.append(row)

    def mapping(self, what: str, left: Mapping[str, Any], right: Mapping[str, Any], *, task: str = "") -> None:
        prefix = f"{task}." if task else ""
        for name in dict.fromkeys((*left, *right)):
            self.add(what, prefix + name, left.get(name, _ABSENT), right.get(name, _ABSENT), task=task)


def diff_rows(left: Side, right: Side) -> list[DiffRow]:
    """Everything that can be compared, what matters first."""
    rows = _Rows()
    _run(rows, left.run, right.run)
    rows.mapping("parameters", left.run.parameters, right.run.parameters)
    before, after = _by_name(left), _by_name(right)
    names = list(dict.fromkeys((*before, *after)))
    for name in names:
        _task(rows, name, before.get(name), after.get(name))
    for what in ("outputs", "metrics"):
        for name in names:
            rows.mapping(what, _values(before.get(name), what), _values(after.get(name), what), task=name)
    rows.found = [each._replace(same=each.same or _jitter(each)) for each in rows.found]
    if left.document != right.document:
        _document(rows, left.document, right.document)
    return rows.found


def _jitter(row: DiffRow) -> bool:
    """What the engine measures of every attempt is never twice the same."""
    least = _MEASURED.get(row.name.rpartition(".")[2]) if row.what == "metrics" else None
    if least is None or "(none)" in (row.left, row.right):
        return False
    shorter, longer = sorted((float(row.left), float(row.right)))
    return longer - shorter < least or longer < shorter * _NOTICED


def _run(rows: _Rows, left: PipelineRun, right: PipelineRun) -> None:
    rows.add("run", "pipeline", left.pipeline_id, right.pipeline_id)
    rows.add("run", "state", left.state.value, right.state.value)
    rows.add("run", "version", left.version, right.version)
    rows.add("run", "profile", left.profile or "", right.profile or "")
    rows.add("run", "logical date", stamp(left.logical_date), stamp(right.logical_date))
    rows.add("run", "triggered by", left.triggered_by, right.triggered_by)
    rows.add("run", "tasks selected", left.selection or "all", right.selection or "all")
    rows.add("run", "reason", left.reason or "", right.reason or "")
    _took(rows, "run", "took", left, right)


def _task(rows: _Rows, name: str, left: TaskExecution | None, right: TaskExecution | None) -> None:
    rows.add("tasks", name, _state(left), _state(right), task=name)
    if left is None or right is None:
        return
    if left.attempt_count != right.attempt_count:
        rows.add("tasks", f"{name} attempts", left.attempt_count, right.attempt_count, task=name)
    errors = [(each.error.message if each.error is not None else "") for each in (left, right)]
    if any(errors):
        rows.add("tasks", f"{name} error", errors[0], errors[1], task=name)
    _took(rows, "tasks", f"{name} took", left, right, task=name)


def _took(rows: _Rows, what: str, name: str, left: Any, right: Any, *, task: str = "") -> None:
    a = between(left.started_at, left.completed_at, left.completed_at) if left.completed_at else None
    b = between(right.started_at, right.completed_at, right.completed_at) if right.completed_at else None
    if a is None and b is None:
        return
    if a is None or b is None:
        rows.add(what, name, span(a), span(b), same=False, task=task)
        return
    longer, shorter = max(a, b), min(a, b)
    same = longer - shorter < _NOTICED_SECONDS or longer < shorter * _NOTICED
    factor = f" ({b / a:.1f}x)" if not same and a > 0 else ""
    rows.add(what, name, span(a), span(b) + factor, same=same, task=task)


def _document(rows: _Rows, left: Mapping[str, Any], right: Mapping[str, Any]) -> None:
    before, after = dict(_leaves(left)), dict(_leaves(right))
    for path in dict.fromkeys((*before, *after)):
        a, b = before.get(path, _ABSENT), after.get(path, _ABSENT)
        if a != b:
            rows.add("definition", path, a, b)


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Paths to single values; tasks by their id, so that one that moved is not another one."""
    out: list[tuple[str, Any]] = []
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            out += _leaves(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for i, each in enumerate(value):
            name = each.get("id", each.get("name", i)) if isinstance(each, Mapping) else i
            out += _leaves(each, f"{path}[{name}]")
    else:
        out.append((path, value))
    return out


def _by_name(side: Side) -> dict[str, TaskExecution]:
    return {label(each.task_id, each.map_index): each for each in side.executions}


def _state(execution: TaskExecution | None) -> Any:
    return execution.state.value if execution is not None else _ABSENT


def _values(execution: TaskExecution | None, what: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(execution, what) if execution is not None else {}
    return found


def _written(value: Any) -> str:
    if value is _ABSENT:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return cut(text, _LONGEST)


# ---- lines


def facts(row: DiffRow) -> Facts:
    """What a filter sees."""
    return {"what": row.what, "name": row.name, "left": row.left, "right": row.right}, None


def head(side: Side, sign: str, look: Look, now: datetime) -> list[Cell]:
    """One run in one line."""
    run = side.run
    seconds = between(run.started_at, run.completed_at, now)
    return [
        Cell(f" {sign} ", "strong"),
        state_cell(run.state.value, look),
        Cell("  "),
        cell(run.pipeline_id, "strong"),
        Cell(f"  {stamp(run.logical_date)[:16]}  v{run.version}  {span(seconds)}  "),
        cell(run.run_id, "dim"),
    ]


def columns(look: Look) -> list[Column[DiffRow]]:
    """What, then left and right."""
    unlike = "!" if look.plain else "≠"
    return [
        Column(name="unlike", title="", width=1, cell=lambda r, now: Cell("" if r.same else unlike, "warn")),
        Column(
            name="what", title="what", width=10, rank=5, cell=lambda r, now: Cell(r.what, "dim"),
            sort=lambda r: r.what,
        ),
        Column(
            name="name", title="name", width=20, grow=2, middle=True,
            cell=lambda r, now: cell(r.name, "" if r.same else "strong"), sort=lambda r: r.name,
        ),
        Column(
            name="left", title="A, the older", width=16, grow=3, cell=lambda r, now: _value(r.left, r.what, look),
        ),
        Column(
            name="right", title="B, the newer", width=16, grow=3, cell=lambda r, now: _value(r.right, r.what, look),
        ),
    ]  # fmt: skip


def _value(text: str, what: str, look: Look) -> Cell:
    if what in ("tasks", "run") and text.isupper() and text.isalpha():
        return state_cell(text, look)
    return cell(text)


def card(row: DiffRow | None) -> list[Line]:
    """Both values whole."""
    if row is None:
        return []
    out: list[Line] = [[Cell(row.what + "  ", "dim"), cell(row.name, "strong")]]
    for sign, text in (("A", row.left), ("B", row.right)):
        first, *rest = lines(text) or [[]]
        out += [[Cell(f"{sign} ", "dim"), *first], *([Cell("  "), *each] for each in rest)]
    return out
