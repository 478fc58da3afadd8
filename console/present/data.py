"""One dataset as a card: its columns and what they were, watermarks, some rows. Pure.

Law: names and values are somebody else's text; they become cells through `cell`, which cleans them.
"""

from __future__ import annotations

from datetime import datetime

from console.present.cells import Cell, Line, cell, fitted, labelled, width_of
from console.present.lineage import card
from console.present.times import ago, counted
from console.theme import Look
from engine.client.values import Detail, Found
from engine.model.dataset import Column, DatasetVersion, Watermark

_COLUMNS = 200  # of a dataset
_VERSIONS = 5  # older ones of its columns
_SHOWN = 12  # columns of the sample
_CELL = 28  # cells of a sampled value
_TEXT = 200  # characters of it that are looked at


def detail_card(detail: Detail, now: datetime, look: Look) -> list[Line]:
    """One dataset with its columns, what they were before, and the watermarks of those who read it."""
    out = card(detail.dataset, now, look)
    for mark in detail.watermarks:
        out.append(labelled("watermark", _watermark(mark)))
    recorded = detail.dataset.recorded
    if recorded is None or not recorded.columns:
        return out
    out += [
        [],
        labelled("columns", f"version {recorded.schema_version}, {counted(len(recorded.columns), 'column')}"),
    ]
    out += [_column(each) for each in recorded.columns[:_COLUMNS]]
    if len(recorded.columns) > _COLUMNS:
        out.append([Cell(f"  and {len(recorded.columns) - _COLUMNS} more", "dim")])
    for newer, older in list(zip(detail.versions, detail.versions[1:], strict=False))[:_VERSIONS]:
        out.append(labelled(f"version {newer.version}", f"{ago(newer.at, now)}: {_changed(older, newer)}"))
    return out


def sample_lines(found: Found, look: Look) -> list[Line]:
    """Rows as they lie staged, in columns."""
    sample = found.sample
    head = [each.column.name for each in sample.columns[:_SHOWN]]
    rows = [[_value(each, look) for each in row[:_SHOWN]] for row in sample.rows]
    texts = [[cell(each) for each in head], *([cell(each) for each in row] for row in rows)]
    widths = [min(_CELL, max(width_of([row[i]]) for row in texts)) for i in range(len(head))]
    told = f"{counted(len(rows), 'row')} of {sample.total:,} that {found.task_id} of {found.run_id} staged"
    more = len(sample.columns) - len(head)
    out: list[Line] = [[cell(told + (f", without {counted(more, 'column')}" if more else ""), "dim")]]
    for n, row in enumerate(texts):
        tone = "strong" if n == 0 else ""
        line = [Cell(fitted(each.text, width, look), tone) for each, width in zip(row, widths, strict=True)]
        out.append([piece for each in line for piece in (each, Cell("  "))])
    return out


def _watermark(mark: Watermark) -> str:
    value = "from the beginning" if mark.value is None else str(mark.value["value"])[:80]
    return f"{mark.pipeline_id}/{mark.consumer}: {value} ({mark.strategy.value})"


def _column(column: Column) -> Line:
    null = "" if column.nullable else "  not null"
    return [
        Cell("  "),
        cell(column.name),
        Cell("  "),
        cell(column.type_name, "dim"),
        Cell(null, "dim"),
    ]


def _changed(older: DatasetVersion, newer: DatasetVersion) -> str:
    before = {each.name: (each.kind, each.detail) for each in older.columns}
    after = {each.name: (each.kind, each.detail) for each in newer.columns}
    parts = [f"+{name}" for name in after if name not in before]
    parts += [f"-{name}" for name in before if name not in after]
    parts += [f"{name} is another kind" for name in after if name in before and before[name] != after[name]]
    return ", ".join(parts[:12]) or "order or nullability"


def _value(value: object, look: Look) -> str:
    text = "NULL" if value is None else str(value)
    return text if len(text) <= _TEXT else text[:_TEXT] + look.ellipsis
