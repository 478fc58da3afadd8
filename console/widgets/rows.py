"""The rows of a table without the table: order, selection, marks.

Law: the selection is an id. Refreshing, sorting, inserting, filtering by state and deleting around it never
make it another row; when its row goes, nothing is selected until the user moves. No Textual in here.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

R = TypeVar("R")
Key = tuple[Any, ...]
_MANY = 64  # records beyond which one sort is cheaper than an insertion each


class Rows(Generic[R]):
    """Records by id, in one order, some of them shown."""

    def __init__(self, key: Callable[[R], str], natural: Callable[[R], Any]) -> None:
        self._key = key
        self._natural = natural  # the order without a sort column, and the tie-breaker with one
        self._by: Callable[[R], Any] | None = None
        self.reverse = False
        self._keep: Callable[[R], bool] | None = None
        self._records: dict[str, R] = {}
        self._order: list[Key] = []  # sort keys of what is shown, ascending; the last part is the id
        self._keys: dict[str, Key] = {}
        self._marked: dict[str, None] = {}
        self._selected: str | None = None
        self.line = 0  # where the cursor stands, or would
        self._anchor: str | None = None
        self._before: dict[str, None] = {}

    # ---- questions

    def __len__(self) -> int:
        return len(self._order)

    @property
    def total(self) -> int:
        """Shown or not."""
        return len(self._records)

    def id_at(self, line: int) -> str:
        """The id on a line."""
        index = len(self._order) - 1 - line if self.reverse else line
        name: str = self._order[index][-1]
        return name

    def at(self, line: int) -> R:
        """The record on a line."""
        return self._records[self.id_at(line)]

    def line_of(self, row: str) -> int | None:
        """Where a row is; None when it is not shown."""
        key = self._keys.get(row)
        if key is None:
            return None
        index = bisect_left(self._order, key)
        return len(self._order) - 1 - index if self.reverse else index

    @property
    def ids(self) -> list[str]:
        """Every row shown, from the top."""
        order = [key[-1] for key in self._order]
        return order[::-1] if self.reverse else order

    @property
    def shown(self) -> list[R]:
        """Every record shown, in no order that means anything."""
        return [self._records[row] for row in self._keys]

    def get(self, row: str) -> R | None:
        """A record, shown or not."""
        return self._records.get(row)

    @property
    def selected_id(self) -> str | None:
        """The selected row's id, while it is shown."""
        return self._selected if self._selected in self._keys else None

    @property
    def selected(self) -> R | None:
        """The selected record; None when its row is gone."""
        return self._records.get(self._selected) if self._selected in self._keys else None

    @property
    def marked(self) -> list[R]:
        """Marked records, hidden ones too."""
        return [self._records[row] for row in self._marked]

    def is_marked(self, row: str) -> bool:
        """Whether a row has a mark."""
        return row in self._marked

    @property
    def hidden_marks(self) -> int:
        """Marks on rows the filter hides."""
        return sum(row not in self._keys for row in self._marked)

    @property
    def chosen(self) -> list[R]:
        """What an action works on: the marked ones, else the selected one."""
        if self._marked:
            return self.marked
        return [self.selected] if self.selected is not None else []

    @property
    def ranging(self) -> bool:
        """Whether moving extends a range."""
        return self._anchor is not None

    # ---- content

    def put(self, records: Iterable[R]) -> tuple[bool, list[str]]:
        """Insert or replace. Whether lines moved, and the ids whose rows look new."""
        given = list(records)
        if len(given) > _MANY:
            return self._put_many(given)
        moved, touched = False, []
        for record in given:
            row = self._key(record)
            old = self._records.get(row)
            if old == record and old is not None:
                continue
            self._records[row] = record
            touched.append(row)
            moved = self._place(row, record) or moved
        if moved:
            self._settle()
        return moved, touched

    def _put_many(self, records: list[R]) -> tuple[bool, list[str]]:
        """One sort instead of an insertion each: what is in order already costs next to nothing."""
        fresh = {self._key(each): each for each in records}
        touched = [row for row, each in fresh.items() if self._records.get(row) != each]
        self._records.update(fresh)
        keep = self._keep
        new = {row: self._sort_key(row, fresh[row]) for row in touched if keep is None or keep(fresh[row])}
        if all(self._keys.get(row) == new.get(row) for row in touched):
            return False, touched
        gone = {self._keys.pop(row) for row in touched if row in self._keys}
        if gone:
            self._order = [key for key in self._order if key not in gone]
        self._keys.update(new)
        self._order += new.values()
        self._order.sort()
        self._settle()
        return True, touched

    def replace(self, records: Iterable[R]) -> None:
        """These and no others."""
        fresh = {self._key(each): each for each in records}
        self._records = fresh
        self._marked = {row: None for row in self._marked if row in fresh}
        self._rebuild()

    def remove(self, ids: Iterable[str]) -> bool:
        """Take rows away; their marks go with them."""
        gone = False
        for row in ids:
            if self._records.pop(row, None) is None:
                continue
            gone = True
            self._marked.pop(row, None)
            self._unplace(row)
        if gone:
            self._settle()
        return gone

    def sort(self, by: Callable[[R], Any] | None, *, reverse: bool = False) -> None:
        """Order by a value of the record; None: the natural order."""
        self._by, self.reverse = by, reverse
        self._rebuild()

    def filter(self, keep: Callable[[R], bool] | None) -> None:
        """Show only some. The user asked for it, so a hidden selection moves to the nearest row still shown."""
        self._keep = keep
        before = self.line
        self._rebuild()
        if self.selected_id is None and self._order:
            self.go(min(before, len(self) - 1))

    # ---- moving

    def go(self, line: int) -> None:
        """Select the row on a line; a range that was begun follows."""
        if not self._order:
            return
        self.line = max(0, min(len(self._order) - 1, line))
        self._selected = self.id_at(self.line)
        if self._anchor is not None:
            self._extend()

    def move(self, by: int) -> None:
        """Up or down from where the cursor stands; from the place of a row that is gone, to its neighbours."""
        if self._selected is not None and self.selected_id is None and by > 0:
            by -= 1  # what came after it has moved up into its place
        self.go(self.line + by)

    def select(self, row: str) -> bool:
        """Select a row by its id."""
        line = self.line_of(row)
        if line is None:
            return False
        self.go(line)
        return True

    # ---- marks

    def mark(self) -> None:
        """Mark the selected row or take its mark away."""
        row = self.selected_id
        if row is not None and self._marked.pop(row, row) is row:
            self._marked[row] = None

    def mark_range(self) -> None:
        """Begin a range at the selected row, or end it."""
        if self._anchor is not None:
            self._anchor = None
        elif self.selected_id is not None:
            self._anchor, self._before = self.selected_id, dict(self._marked)
            self._extend()

    def mark_all(self) -> None:
        """Mark everything shown; when all of it is marked, nothing."""
        shown = [self.id_at(line) for line in range(len(self))]
        if shown and all(row in self._marked for row in shown):
            self.clear_marks()
        else:
            self._marked.update(dict.fromkeys(shown))

    def clear_marks(self) -> bool:
        """Take every mark away and end a range; whether there was one."""
        had = bool(self._marked) or self._anchor is not None
        self._marked.clear()
        self._anchor = None
        return had

    def _extend(self) -> None:
        start = self.line_of(self._anchor) if self._anchor is not None else None
        if start is None:
            self._anchor = None
            return
        first, last = sorted((start, self.line))
        self._marked = {**self._before, **dict.fromkeys(self.id_at(line) for line in range(first, last + 1))}

    # ---- order

    def _place(self, row: str, record: R) -> bool:
        """Put a row where it belongs; whether lines moved."""
        shown = self._keep is None or self._keep(record)
        fresh = self._sort_key(row, record) if shown else None
        if fresh == self._keys.get(row):
            return False
        self._unplace(row)
        if fresh is not None:
            self._keys[row] = fresh
            insort(self._order, fresh)
        return True

    def _unplace(self, row: str) -> None:
        old = self._keys.pop(row, None)
        if old is not None:
            del self._order[bisect_left(self._order, old)]

    def _rebuild(self) -> None:
        keep = self._keep
        self._keys = {
            row: self._sort_key(row, each) for row, each in self._records.items() if keep is None or keep(each)
        }
        self._order = sorted(self._keys.values())
        self._settle()

    def _sort_key(self, row: str, record: R) -> Key:
        if self._by is None:
            return (self._natural(record), row)
        value = self._by(record)
        missing = value is None
        return (missing != self.reverse, 0 if missing else value, self._natural(record), row)

    def _settle(self) -> None:
        """The cursor's line follows its row; where the row is gone the line stays within what there is."""
        line = self.line_of(self._selected) if self._selected is not None else None
        if line is not None:
            self.line = line
        elif self._selected is None and self._order:
            self.go(0)
        else:
            self.line = max(0, min(self.line, len(self._order)))
