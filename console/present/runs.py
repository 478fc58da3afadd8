"""Runs as rows of a table. A row keeps no more of a run than lists show, so that 100,000 of them are small."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from console.present.cells import Cell, cell
from console.present.columns import Column
from console.present.states import state_cell
from console.present.times import ago, between, brief, coarse, moment

if TYPE_CHECKING:
    from console.present.filters import Facts
    from console.theme import Look
    from engine.model.run import PipelineRun

FIELDS = ("state", "pipeline", "run", "by", "reason")


class RunRow(NamedTuple):
    """One run."""

    run_id: str
    pipeline_id: str
    state: str
    triggered_at: datetime
    logical_date: datetime
    started_at: datetime | None
    completed_at: datetime | None
    by: str
    reason: str
    version: int
    order: float  # newest first


def run_row(run: PipelineRun) -> RunRow:
    """What lists keep of a run."""
    return RunRow(
        run.run_id,
        run.pipeline_id,
        run.state.value,
        run.triggered_at,
        run.logical_date,
        run.started_at,
        run.completed_at,
        run.triggered_by,
        (run.reason or "")[:200],
        run.version,
        -run.triggered_at.timestamp(),
    )


def natural(row: RunRow) -> float:
    """Newest first."""
    return row.order


def facts(row: RunRow) -> Facts:
    """What a filter sees."""
    fields = {
        "state": row.state,
        "pipeline": row.pipeline_id,
        "run": row.run_id,
        "by": row.by,
        "reason": row.reason,
    }
    return fields, row.triggered_at


def duration(row: RunRow, now: datetime) -> str:
    """How long it took; while it runs, in whole minutes after the first one."""
    seconds = between(row.started_at, row.completed_at, now)
    if seconds is None:
        return ""
    return brief(seconds) if row.completed_at is not None else coarse(seconds)


def columns(look: Look) -> list[Column[RunRow]]:
    """The table of runs."""
    return [
        Column(
            name="state", title="state", width=11, cell=lambda r, now: state_cell(r.state, look),
            sort=lambda r: r.state,
        ),
        Column(
            name="pipeline", title="pipeline", width=18, grow=2, middle=True,
            cell=lambda r, now: cell(r.pipeline_id, "strong"), sort=lambda r: r.pipeline_id,
        ),
        Column(
            name="logical", title="logical date", width=14, rank=5,
            cell=lambda r, now: Cell(moment(r.logical_date, now)), sort=lambda r: r.logical_date,
        ),
        Column(
            name="started", title="triggered", width=11,
            cell=lambda r, now: Cell(ago(r.triggered_at, now)), sort=lambda r: r.triggered_at,
        ),
        Column(
            name="took", title="took", width=7, right=True, cell=lambda r, now: Cell(duration(r, now)),
            sort=lambda r: (r.completed_at - r.started_at).total_seconds()
            if r.completed_at and r.started_at else None,
        ),
        Column(
            name="by", title="by", width=16, rank=7, middle=True, cell=lambda r, now: cell(r.by, "dim"),
            sort=lambda r: r.by,
        ),
        Column(
            name="run", title="run", width=16, grow=1, rank=4, middle=True,
            cell=lambda r, now: cell(r.run_id, "dim"), sort=lambda r: r.run_id,
        ),
        Column(name="reason", title="reason", width=20, grow=3, rank=8, cell=lambda r, now: cell(r.reason)),
    ]  # fmt: skip
