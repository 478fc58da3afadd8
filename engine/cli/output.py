"""What reaches the terminal.

Law: stdout carries the answer and nothing else, stderr carries the rest. Text of others is sanitised when it
goes to a terminal and untouched when it goes to a pipe; JSON is escaped. Colour never carries meaning alone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from engine.client.text import clean, clean_block, shorten

_COLOURS = {
    "SUCCESS": "32",
    "FAILED": "31",
    "RUNNING": "34",
    "RETRYING": "33",
    "SKIPPED": "2",
    "CANCELLED": "35",
    "healthy": "32",
    "degraded": "33",
    "unhealthy": "31",
}
_GLYPHS = {
    "SUCCESS": "✓",
    "FAILED": "✗",
    "RUNNING": "◉",
    "RETRYING": "↻",
    "SKIPPED": "⊘",
    "CANCELLED": "⊘",
    "QUEUED": "…",
    "WAITING": "·",
    "PENDING": "·",
}


class Output:
    """Writes answers to stdout and remarks to stderr."""

    def __init__(self, *, json: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.json = json
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    @property
    def terminal(self) -> bool:
        """Whether a person watches stdout."""
        return self._out.isatty()

    def document(self, document: Any) -> None:
        """One JSON document."""
        indent = 2 if self.terminal else None
        print(json.dumps(document, indent=indent, ensure_ascii=True, default=str), file=self._out)

    def json_line(self, document: Any) -> None:
        """One line of JSON Lines."""
        print(json.dumps(document, ensure_ascii=True, default=str), file=self._out)

    def line(self, text: str = "") -> None:
        """One line of an answer."""
        print(clean(text) if self.terminal else text, file=self._out)

    def prefixed(self, prefix: str, text: str) -> None:
        """One line of somebody else's behind a prefix of ours."""
        print(prefix + (clean(text) if self.terminal else text), file=self._out)

    def block(self, text: str) -> None:
        """Several lines of an answer."""
        print(clean_block(text) if self.terminal else text, file=self._out)

    def flush(self) -> None:
        """Show what was written."""
        self._out.flush()

    def remark(self, text: str) -> None:
        """A message beside the answer."""
        print(clean(text) if self._err.isatty() else text, file=self._err, flush=True)

    def state(self, state: str, width: int = 0) -> str:
        """A state for people, as it goes into `painted`: glyph and word."""
        glyph = _GLYPHS.get(state)
        return f"{glyph + ' ' if glyph else ''}{state}".ljust(width)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
        """Columns aligned for a terminal, separated by two spaces; a remark when there is nothing."""
        texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
        if self.terminal:
            texts = [[clean(cell) for cell in row] for row in texts]
        if not texts:
            self.remark(empty)
            return
        widths = [min(max(len(row[i]) for row in [list(head), *texts]), 60) for i in range(len(head))]
        print(self._dim("  ".join(name.ljust(width) for name, width in zip(head, widths, strict=True)).rstrip()),
              file=self._out)  # fmt: skip
        for row in texts:
            self._row(row, widths)

    def _row(self, row: list[str], widths: Sequence[int]) -> None:
        last = len(row) - 1
        cells = [
            cell if index == last else (shorten(cell, width) if self.terminal else cell).ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(self._painted(cell) for cell in cells).rstrip(), file=self._out)

    def _painted(self, cell: str) -> str:
        word = cell.strip().rpartition(" ")[2]
        if not self._coloured or word not in _COLOURS or len(cell.split()) > 2:
            return cell
        return f"\x1b[{_COLOURS[word]}m{cell}\x1b[0m"

    def _dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self._coloured else text

    @property
    def _coloured(self) -> bool:
        return self.terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def amount(value: float) -> str:
    """A number as people write it: 1,004,970 and 0.25, never 1.00497e+06."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"
