"""Pipelines as rows and cards: how the last runs went, when the next is due, what is wrong with a definition.

Law: pure. A definition that does not load is shown with its problem and with what its last good version did;
it is never left out, and never looks as if nothing were wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from console.present.cells import BLANK, Cell, Line, cell, cut, labelled
from console.present.columns import Column
from console.present.filters import Facts
from console.present.states import state_cell, strip
from console.present.times import ago, brief, counted, moment, span, stamp
from console.theme import Look
from engine.client.values import PipelineStatistics, PipelineVersion
from engine.layout.values import Edge, Graph, Node, Overlay
from engine.model.errors import Problem
from engine.model.pipeline import Pipeline
from engine.model.run import PipelineRun, TaskExecution

FIELDS = ("pipeline", "state", "owner", "tag", "schedule", "problem", "is")
STRIP = 20
_TREND = 0.1  # of the usual duration: less is noise
_PROBLEMS = 20
_VERSIONS = 8
_WORST_FIRST = ("FAILED", "RETRYING", "RUNNING", "QUEUED", "WAITING", "PENDING", "CANCELLED", "SKIPPED", "SUCCESS")


class PipelineRow(NamedTuple):
    """One pipeline, or a file that holds none."""

    id: str
    name: str
    file: str
    states: tuple[str, ...]  # of the last runs, newest last
    last_at: datetime | None
    cron: str
    timezone: str
    next_fire: datetime | None
    paused: str  # who paused it and why; empty: it is not
    enabled: bool
    rate: float | None
    median: float | None
    p95: float | None
    trend: float | None
    owner: str
    tags: tuple[str, ...]
    version: int | None
    tasks: int
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def key(self) -> str:
        """What it is selected by; two files may claim one id."""
        return f"{self.id} {self.file}"

    @property
    def state(self) -> str:
        """How its newest run stands."""
        return self.states[-1] if self.states else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineDetail:
    """What the card and the view of one pipeline show beside its row."""

    row: PipelineRow
    pipeline: Pipeline | None
    statistics: PipelineStatistics
    fires: Sequence[Mapping[str, object]] = ()
    versions: Sequence[PipelineVersion] = ()
    last: PipelineRun | None = None
    executions: Sequence[TaskExecution] = field(default_factory=tuple)


def natural(row: PipelineRow) -> tuple[str, str]:
    """By name."""
    return row.id, row.file


def facts(row: PipelineRow) -> Facts:
    """What a filter sees."""
    signs = [("broken", bool(row.errors)), ("paused", bool(row.paused))]
    fields = {
        "pipeline": f"{row.id} {row.name}" if row.name != row.id else row.id,
        "state": row.state,
        "owner": row.owner,
        "tag": " ".join(row.tags),
        "schedule": row.cron,
        "problem": row.errors[0].message if row.errors else "",
        "is": next((name for name, holds in signs if holds), "usable"),
    }
    return fields, row.last_at


def columns(look: Look) -> list[Column[PipelineRow]]:
    """The table of pipelines."""
    return [
        Column(
            name="pipeline", title="pipeline", width=16, grow=2, middle=True,
            cell=lambda r, now: cell(r.id, "bad" if r.errors else "strong"), sort=lambda r: r.id,
        ),
        Column(
            name="last", title="last 20 runs", width=STRIP, cell=lambda r, now: _strip(r, look),
            sort=lambda r: r.last_at,
        ),
        Column(
            name="next", title="next fire", width=12, cell=lambda r, now: _next(r, now, look),
            sort=lambda r: r.next_fire,
        ),
        Column(
            name="rate", title="good", width=5, right=True,
            cell=lambda r, now: Cell(_percent(r.rate), _tone(r.rate)), sort=lambda r: r.rate,
        ),
        Column(
            name="p50", title="p50", width=6, right=True, cell=lambda r, now: Cell(brief(r.median)),
            sort=lambda r: r.median,
        ),
        Column(
            name="trend", title="trend", width=6, right=True, rank=5,
            cell=lambda r, now: trend(r.trend, look), sort=lambda r: r.trend,
        ),
        Column(
            name="p95", title="p95", width=6, right=True, rank=6, cell=lambda r, now: Cell(brief(r.p95), "dim"),
            sort=lambda r: r.p95,
        ),
        Column(
            name="schedule", title="schedule", width=14, rank=4, cell=lambda r, now: cell(r.cron, "dim"),
            sort=lambda r: r.cron or None,
        ),
        Column(
            name="owner", title="owner", width=10, grow=1, rank=8, middle=True,
            cell=lambda r, now: cell(r.owner), sort=lambda r: r.owner or None,
        ),
        Column(
            name="tags", title="tags", width=10, grow=1, rank=9, cell=lambda r, now: cell(" ".join(r.tags), "dim"),
        ),
        Column(
            name="version", title="ver", width=4, right=True, rank=7,
            cell=lambda r, now: Cell(f"v{r.version}" if r.version else "", "dim"), sort=lambda r: r.version,
        ),
    ]  # fmt: skip


def _strip(row: PipelineRow, look: Look) -> Cell | tuple[Cell, ...]:
    if row.errors:
        return cell(f"{look.chars.state('FAILED')} {row.errors[0].message}", "bad")
    return tuple(strip(list(row.states[-STRIP:]), look)) if row.states else Cell("never run", "dim")


def _next(row: PipelineRow, now: datetime, look: Look) -> Cell:
    if row.paused:
        return Cell("= paused", "warn")
    if row.next_fire is not None:
        late = row.next_fire < now
        return Cell(ago(row.next_fire, now), "warn" if late else "")
    return Cell("off" if row.cron and not row.enabled else "", "dim")


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.0f}%" if rate in (0.0, 1.0) or rate < 0.99 else "99%"


def _tone(rate: float | None) -> str:
    return "" if rate is None or rate >= 0.95 else "warn" if rate >= 0.8 else "bad"


def trend(value: float | None, look: Look) -> Cell:
    """How the last runs compare with those before: `↑ 20%` takes longer."""
    if value is None or abs(value - 1) < _TREND:
        return Cell("")
    up, down = ("+", "-") if look.plain else ("↑", "↓")
    return Cell(
        f"{up if value > 1 else down}{min(999, abs(100 * (value - 1))):.0f}%", "warn" if value > 1 else "ok"
    )


# ---- the card


def card(detail: PipelineDetail, now: datetime, look: Look) -> list[Line]:
    """Everything there is to say of one pipeline."""
    row, pipeline = detail.row, detail.pipeline
    lines: list[Line] = [[cell(row.id, "strong")]]
    if row.name not in ("", row.id):
        lines.append([cell(row.name)])
    if pipeline is not None and pipeline.description:
        lines.append([cell(cut(pipeline.description.strip(), 400), "dim")])
    lines += [*_problems(row), [], *_history(detail, now, look), *_schedule(detail, now), *_definition(detail)]
    if pipeline is not None and pipeline.parameters:
        lines += [[], [Cell("parameters", "dim")]]
        for each in pipeline.parameters:
            default = (
                "needed" if each.required else f"= {json.dumps(each.default, ensure_ascii=False, default=str)[:60]}"
            )
            lines.append([cell(f"  {each.name}", "strong"), cell(f" {each.type or 'anything'} {default}")])
    return lines


def _problems(row: PipelineRow) -> list[Line]:
    lines: list[Line] = []
    if row.errors:
        held = "its last good version stays in use for what runs" if row.tasks else "it cannot be run"
        lines += [[], [Cell(f"{counted(len(row.errors), 'problem')}; {held}", "bad")]]
    for tone, problems in (("bad", row.errors), ("warn", row.warnings)):
        lines += [problem(each, tone) for each in problems[:_PROBLEMS]]
    return lines


def problem(one: Problem, tone: str) -> list[Cell]:
    """Where, what, and what may have been meant."""
    where = ":".join(str(each) for each in (one.file, one.line) if each) or one.path or ""
    at = f" {one.path}" if one.path and where != one.path else ""
    return [cell(f"{where}{at}  ", "dim"), cell(one.message, tone)]


def _history(detail: PipelineDetail, now: datetime, look: Look) -> list[Line]:
    row, last = detail.row, detail.last
    if last is None:
        return [labelled("runs", "none yet")]
    lines: list[Line] = [[Cell(f"{'last runs':<11} ", "dim"), *strip(list(row.states[-STRIP:]), look)]]
    when = last.completed_at or last.started_at or last.triggered_at
    lines.append([Cell(f"{'newest':<11} ", "dim"), state_cell(last.state.value, look), Cell(f"  {ago(when, now)}")])
    if last.state.value == "FAILED" and last.reason:
        lines.append(labelled("because", last.reason, "bad"))
    good = _percent(row.rate)
    lines.append(labelled("runs", f"{detail.statistics.runs:,}" + (f", {good} good" if good else "")))
    if row.median is not None:
        more = trend(row.trend, look)
        lines.append([*labelled("takes", f"{span(row.median)} (p95 {span(row.p95)}) "), Cell(more.text, more.tone)])
    return lines


def _schedule(detail: PipelineDetail, now: datetime) -> list[Line]:
    row = detail.row
    if not row.cron:
        return [labelled("schedule", "none; it runs when triggered")]
    lines: list[Line] = [labelled("schedule", f"{row.cron} {row.timezone}" + ("" if row.enabled else " (off)"))]
    if row.paused:
        return [*lines, labelled("paused", row.paused, "warn")]
    for number, fire in enumerate(detail.fires):
        at = datetime.fromisoformat(str(fire["at"]))
        note = f"  {fire['note']}" if fire.get("note") else ""
        lines.append(labelled("" if number else "next", f"{moment(at, now)} UTC, {ago(at, now)}{note}"))
    return lines


def _definition(detail: PipelineDetail) -> list[Line]:
    row, pipeline = detail.row, detail.pipeline
    lines: list[Line] = []
    if pipeline is not None:
        lines.append(labelled("tasks", row.tasks))
        lines.append(labelled("at most", counted(pipeline.execution.max_active_runs, "run") + " at once"))
    for name, value in (("owner", row.owner), ("tags", ", ".join(row.tags)), ("file", row.file)):
        if value:
            lines.append(labelled(name, value))
    if detail.versions:
        newest = detail.versions[0]
        edited = pipeline is not None and newest.hash != pipeline.hash
        lines.append(labelled("version", f"{newest.version}" + (", edited since it ran last" if edited else "")))
        lines += [
            labelled("", f"v{each.version} since {stamp(each.created_at)[:16]}")
            for each in detail.versions[:_VERSIONS]
        ]
    return lines


# ---- the graph


def graph(pipeline: Pipeline) -> Graph:
    """As it is defined now."""
    known = {each.id for each in pipeline.tasks}
    return Graph(
        nodes=tuple(Node(id=each.id, label=each.id, kind=each.type) for each in pipeline.tasks),
        edges=tuple(
            Edge(upstream=up, downstream=each.id, kind="conditional" if each.when is not None else "control")
            for each in pipeline.tasks
            for up in each.dependencies
            if up in known
        ),
    )


def overlays(executions: Sequence[TaskExecution]) -> dict[str, Overlay]:
    """How each task stands in the newest run."""
    found: dict[str, list[str]] = {}
    for each in executions:
        found.setdefault(each.task_id, []).append(each.state.value)
    return {task: Overlay(state=min(states, key=_WORST_FIRST.index)) for task, states in found.items()}


def head(detail: PipelineDetail, now: datetime, look: Look) -> list[Cell]:
    """One line over the runs of a pipeline."""
    row = detail.row
    line: list[Cell] = [Cell(" ")]
    if row.errors:
        line += [cell(f"{look.chars.state('FAILED')} {row.errors[0].message}  ", "bad")]
    line += strip(list(row.states[-STRIP:]), look) or [Cell("never run", "dim")]
    if row.rate is not None:
        line.append(Cell(f"  {_percent(row.rate)} good", _tone(row.rate)))
    if row.median is not None:
        line.append(Cell(f"  p50 {brief(row.median)}  p95 {brief(row.p95)}"))
        line += [Cell(" "), trend(row.trend, look)]
    fire = _next(row, now, look)
    line += [Cell("  next ", "dim"), fire] if fire != BLANK and fire.text else []
    return line
