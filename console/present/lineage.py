"""Datasets, and how they hang together, as rows and sentences. Pure.

Law: what no run reported is blank or said in words, never a zero and never a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from console.present.cells import Cell, Line, cell, labelled
from console.present.columns import Column
from console.present.states import state_cell
from console.present.times import ago, between, brief, counted, moment, stamp
from console.theme import Look
from engine.client.names import label
from engine.client.values import Dataset, Lineage, Reached, Touch, Write

NONE_DECLARED = (
    "No definition declares a dataset and no run has touched one. Extracts and loads report theirs; other tasks"
    " name what they read and write with `inputs` and `outputs`."
)
_DEEPEST = 4  # steps of indentation
_NAMED = 8  # pipelines named in one line


class DatasetRow(NamedTuple):
    """One dataset of the list."""

    name: str
    state: str
    last: Write | None
    writers: int
    readers: int


class HopRow(NamedTuple):
    """A dataset beside the focus."""

    name: str
    hop: int
    state: str
    at: datetime | None


class TouchRow(NamedTuple):
    """A task that writes or reads the focus."""

    key: str
    way: str
    place: int
    touch: Touch
    write: Write | None


def dataset_row(dataset: Dataset) -> DatasetRow:
    """For the list."""
    state = dataset.newest.state.value if dataset.newest is not None else ""
    return DatasetRow(dataset.name, state, dataset.last, len(dataset.writers), len(dataset.readers))


def dataset_columns(look: Look) -> list[Column[DatasetRow]]:
    """The list of datasets."""
    return [
        Column(name="state", title="", width=2, cell=lambda r, now: _glyph(r.state, look), sort=lambda r: r.state),
        Column(
            name="dataset", title="dataset", width=24, grow=3, middle=True,
            cell=lambda r, now: cell(r.name, "strong"), sort=lambda r: r.name,
        ),
        Column(
            name="written", title="last written", width=12,
            cell=lambda r, now: Cell(ago(_at(r.last), now)) if r.last else Cell(_unseen(r), "dim"),
            sort=lambda r: _at(r.last),
        ),
        Column(
            name="rows", title="rows", width=11, right=True, rank=6,
            cell=lambda r, now: Cell(_count(r.last)), sort=lambda r: r.last.rows if r.last else None,
        ),
        Column(
            name="size", title="size", width=8, right=True, rank=8,
            cell=lambda r, now: Cell(size(r.last.bytes) if r.last else ""),
            sort=lambda r: r.last.bytes if r.last else None,
        ),
        Column(
            name="by", title="by", width=18, grow=2, rank=4, middle=True,
            cell=lambda r, now: cell(f"{r.last.pipeline_id}/{r.last.task_id}" if r.last else "", "dim"),
        ),
        Column(
            name="writers", title="writers", width=7, right=True, rank=7,
            cell=lambda r, now: Cell(str(r.writers)), sort=lambda r: r.writers,
        ),
        Column(
            name="readers", title="readers", width=7, right=True, rank=7,
            cell=lambda r, now: Cell(str(r.readers)), sort=lambda r: r.readers,
        ),
    ]  # fmt: skip


def hop_rows(lineage: Lineage, found: Sequence[Reached], hops: int) -> list[HopRow]:
    """As far as so many hops reach."""
    rows = []
    for each in found:
        if each.hop <= hops:
            dataset = lineage.datasets[each.name]
            state = dataset.newest.state.value if dataset.newest is not None else ""
            rows.append(HopRow(each.name, each.hop, state, _at(dataset.last)))
    return rows


def hop_columns(look: Look, title: str) -> list[Column[HopRow]]:
    """Upstream or downstream."""
    return [
        Column(name="state", title="", width=2, cell=lambda r, now: _glyph(r.state, look)),
        Column(
            name="dataset", title=title, width=10, grow=1, middle=True,
            cell=lambda r, now: cell("  " * min(r.hop - 1, _DEEPEST) + r.name), sort=lambda r: r.name,
        ),
        Column(
            name="at", title="written", width=10, rank=5, cell=lambda r, now: Cell(ago(r.at, now), "dim"),
            sort=lambda r: r.at,
        ),
    ]  # fmt: skip


def touch_rows(dataset: Dataset, writes: Sequence[Write]) -> list[TouchRow]:
    """Writers, then readers."""
    newest: dict[Touch, Write] = {}
    for each in writes:
        newest.setdefault(Touch(each.pipeline_id, each.task_id), each)
    rows: list[TouchRow] = []
    for way, touches in (("written by", dataset.writers), ("read by", dataset.readers)):
        for touch in touches:
            key = f"{way} {touch.pipeline_id}/{touch.task_id}"
            rows.append(TouchRow(key, way, len(rows), touch, newest.get(touch) if way == "written by" else None))
    return rows


def touch_columns(look: Look) -> list[Column[TouchRow]]:
    """Tasks of the focus."""
    return [
        Column(
            name="way", title="", width=10, cell=lambda r, now: Cell(r.way, "dim"),
        ),
        Column(
            name="state", title="", width=2,
            cell=lambda r, now: _glyph(r.write.state.value if r.write else "", look),
        ),
        Column(
            name="task", title="task", width=8, grow=1, middle=True,
            cell=lambda r, now: cell(f"{r.touch.pipeline_id}/{r.touch.task_id}", "strong"),
        ),
    ]  # fmt: skip


def write_key(write: Write) -> str:
    """What tells two writes apart."""
    return f"{write.run_id} {label(write.task_id, write.map_index)}"


def write_columns(look: Look) -> list[Column[Write]]:
    """What runs did to a dataset."""
    return [
        Column(
            name="state", title="state", width=11, cell=lambda r, now: state_cell(r.state.value, look),
            sort=lambda r: r.state.value,
        ),
        Column(
            name="at", title="at", width=12, cell=lambda r, now: Cell(moment(r.completed_at or r.started_at, now)),
        ),
        Column(
            name="took", title="took", width=7, right=True,
            cell=lambda r, now: Cell(brief(between(r.started_at, r.completed_at, now))),
            sort=lambda r: between(r.started_at, r.completed_at, r.completed_at) if r.completed_at else None,
        ),
        Column(
            name="rows", title="rows", width=11, right=True, cell=lambda r, now: Cell(_count(r)),
            sort=lambda r: r.rows,
        ),
        Column(
            name="size", title="size", width=8, right=True, rank=7, cell=lambda r, now: Cell(size(r.bytes)),
            sort=lambda r: r.bytes,
        ),
        Column(
            name="how", title="how", width=12, rank=8, cell=lambda r, now: cell(r.transformation, "dim"),
        ),
        Column(
            name="task", title="task", width=16, grow=1, middle=True,
            cell=lambda r, now: cell(label(r.task_id, r.map_index), "strong"), sort=lambda r: r.task_id,
        ),
        Column(
            name="run", title="run", width=16, grow=2, rank=4, middle=True,
            cell=lambda r, now: cell(r.run_id, "dim"), sort=lambda r: r.run_id,
        ),
        Column(name="message", title="why", width=16, grow=3, rank=6, cell=lambda r, now: cell(r.message, "bad")),
    ]  # fmt: skip


def card(dataset: Dataset, now: datetime, look: Look) -> list[Line]:
    """One dataset in some lines."""
    out: list[Line] = [[cell(dataset.name, "strong")]]
    last, newest = dataset.last, dataset.newest
    if last is not None:
        out.append(labelled("written", f"{ago(_at(last), now)}, {stamp(_at(last))}"))
        out.append(labelled("by run", f"{last.run_id}  {label(last.task_id, last.map_index)}"))
        if last.rows is not None:
            out.append(labelled("rows", f"{last.rows:,}" + (f", {size(last.bytes)}" if last.bytes else "")))
    elif dataset.writers:
        out.append(labelled("written", "by none of the last runs of its writers", "warn"))
    else:
        out.append(labelled("written", "from outside: no task here declares it as output", "dim"))
    if newest is not None and newest is not last:
        line = [Cell(f"{'newest try':<11} ", "dim"), state_cell(newest.state.value, look), Cell("  ")]
        out.append([*line, cell(newest.run_id), Cell("  "), cell(newest.message, "bad")])
    recorded = dataset.recorded
    if recorded is not None:
        if recorded.last_read is not None:
            out.append(labelled("read", f"{ago(recorded.last_read, now)}, {stamp(recorded.last_read)}"))
        if recorded.uri:
            out.append(labelled("where", recorded.uri))
    for title, touches in (("writers", dataset.writers), ("readers", dataset.readers)):
        for i, touch in enumerate(touches):
            out.append(labelled(title if not i else "", f"{touch.pipeline_id}/{touch.task_id}"))
    return out


def size(count: int | None) -> str:
    """`1.2 MB`."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def impact(lineage: Lineage) -> Line:
    """Who would notice."""
    names = list(lineage.affected)
    if not names:
        return [Cell(" If it is wrong: no pipeline here reads it or what is made from it.", "dim")]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [
        Cell(" If it is wrong: ", "dim"),
        Cell(counted(len(names), "pipeline") + " affected: ", "warn"),
        cell(", ".join(names[:_NAMED]) + more),
    ]


def reach_line(lineage: Lineage, hops: int) -> Line:
    """How far is shown, and how much lies beyond."""
    beyond = sum(each.hop > hops for each in (*lineage.upstream, *lineage.downstream))
    line = [Cell(f" {counted(hops, 'hop')}", "dim")]
    return [*line, Cell(f", {counted(beyond, 'dataset')} beyond: + shows more", "dim")] if beyond else line


def _glyph(state: str, look: Look) -> Cell:
    return state_cell(state, look, narrow=True) if state else Cell(look.dot, "dim")


def _at(write: Write | None) -> datetime | None:
    return (write.completed_at or write.started_at) if write is not None else None


def _count(write: Write | None) -> str:
    return f"{write.rows:,}" if write is not None and write.rows is not None else ""


def _unseen(row: DatasetRow) -> str:
    return "not recently" if row.writers else "from outside"
