"""Log lines as cells. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Literal

from console.present.cells import Cell
from console.present.times import span
from console.widgets.logstore import LogRecord, rank
from engine.client.text import clean

Times = Literal["absolute", "relative", "none"]
LEVELS = ("all levels", "warnings and errors", "errors")
TIMES: tuple[Times, ...] = ("absolute", "relative", "none")
_TONES = ("dim", "", "warn", "bad", "bad")
_MESSAGE = ("message", "msg", "event")
_LONGEST = 20_000  # of one line on a screen


def line(record: LogRecord, *, named: bool, times: Times, first: float) -> list[Cell]:
    """One line: time, task, text."""
    cells: list[Cell] = []
    if times == "absolute":
        cells.append(Cell(f"{datetime.fromtimestamp(record.at, UTC):%H:%M:%S} ", "dim"))
    elif times == "relative":
        cells.append(Cell(f"+{span(max(record.at - first, 0))} ".rjust(12), "dim"))
    if named:
        cells.append(Cell(f"{clean(record.name)} ", "accent"))
    tone = "accent" if record.stream == "engine" and rank(record.level) < 2 else _TONES[rank(record.level)]
    cells.append(Cell(clean(shown(record.text)[:_LONGEST]), tone))
    return cells


def shown(text: str) -> str:
    """The text; a JSON object as its message and `key=value`."""
    if not text.startswith("{") or not text.rstrip().endswith("}"):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(found, dict):
        return text
    name = next((each for each in _MESSAGE if isinstance(found.get(each), str)), None)
    if name is None:
        return text
    rest = "  ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in found.items()
        if key != name
    )
    return f"{found[name]}  {rest}".rstrip()
