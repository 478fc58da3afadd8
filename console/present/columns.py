"""Columns of a table: what a record looks like in each, how wide each is, what differs between two looks. Pure.

Law: a cell is made only when its row is on the screen; how wide it is depends on the table's width alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from console.present.cells import BLANK, Cell, clipped, differing, fitted, width_of
from console.theme import Look

R = TypeVar("R")
GAP = 1
MARKS = 2  # the cells before the first column

Cells = tuple[Cell | tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[R]):
    """One column. `rank` says how soon it goes when the table is narrow: 0 never, 9 first."""

    name: str
    title: str
    cell: Callable[[R, datetime], Cell | tuple[Cell, ...]]  # several where it has several tones
    width: int
    grow: int = 0  # share of what is left over
    rank: int = 0
    right: bool = False
    middle: bool = False  # cut in the middle: names differ at both ends
    sort: Callable[[R], Any] | None = None


class Columns(Generic[R]):
    """The columns of one table at its width."""

    def __init__(self, columns: Sequence[Column[R]], look: Look) -> None:
        self.all = tuple(columns)
        self._look = look
        self.widths = [0] * len(self.all)
        self.width: int | None = None  # of the whole, which they were fitted into

    def fit(self, width: int) -> None:
        """Which columns there is room for, and how wide each is."""
        self.width = width
        room = width - MARKS
        kept = list(range(len(self.all)))
        while len(kept) > 1 and sum(self.all[i].width + GAP for i in kept) > room:
            out = max(kept, key=lambda i: (self.all[i].rank, i))
            if not self.all[out].rank:
                break
            kept.remove(out)
        widths = [column.width if i in kept else 0 for i, column in enumerate(self.all)]
        spare = room - sum(each + GAP for each in widths if each)
        shares = sum(self.all[i].grow for i in kept)
        if spare > 0 and shares:
            for i in kept:
                widths[i] += spare * self.all[i].grow // shares
        self.widths = widths

    def cells(self, record: R, now: datetime) -> Cells:
        """What a record looks like; nothing in a column there is no room for."""
        shown = zip(self.all, self.widths, strict=True)
        return tuple(column.cell(record, now) if size else BLANK for column, size in shown)

    def titles(self, sorted_by: int | None, *, reverse: bool) -> list[Cell]:
        """The heading."""
        arrow = ("v" if reverse else "^") if self._look.plain else ("▾" if reverse else "▴")
        return [Cell(column.title + (arrow if i == sorted_by else "")) for i, column in enumerate(self.all)]

    def pieces(self, cells: Sequence[Cell | tuple[Cell, ...]]) -> Iterator[list[Cell]]:
        """Each column's cell, at its width."""
        for i, (one, size) in enumerate(zip(cells, self.widths, strict=True)):
            if size:
                yield self._fitted(one, size, self.all[i])

    def _fitted(self, one: Cell | tuple[Cell, ...], size: int, column: Column[R]) -> list[Cell]:
        if isinstance(one, Cell):
            shown = fitted(one.text, size, self._look, right=column.right, middle=column.middle)
            return [Cell(shown, one.tone)]
        line = clipped(one, size, self._look)
        blanks = Cell(" " * (size - width_of(line)))
        return [blanks, *line] if column.right else [*line, blanks]

    def differences(self, old: Cells, new: Cells) -> Iterator[tuple[int, int]]:
        """From where to where, from the left of the line, two looks of a row differ: one part for each column."""
        x = MARKS
        for before, after, size, column in zip(old, new, self.widths, self.all, strict=True):
            if size and before != after:
                part = differing(self._fitted(before, size, column), self._fitted(after, size, column))
                if part is not None:
                    yield x + part[0], x + part[1]
            x += size + GAP if size else 0
