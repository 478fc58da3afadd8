"""The virtual log: draws what is on the screen of a million lines, follows, searches, wraps.

Law: the place is a line, not a row: wrapping and filtering never lose it. A line that is appended while
somebody reads elsewhere repaints nothing but the scroll bar.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from rich.segment import Segment
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from console.pattern import Pattern
from console.present.cells import Cell, segments, width_of, wrapped
from console.present.logs import TIMES, Times, line
from console.theme import Look, style
from console.unstarted import unstarted
from console.widgets.logstore import LogRecord, LogStore
from console.widgets.scrolled import BAR, Scrolled
from engine.model.errors import RequestError

_ERROR = r"\b(?:error|exception|traceback|fatal|critical|panic)\b"
_SLICE_SECONDS = 0.02  # of searching between two looks at the keyboard
_LEAST = (0, 2, 3)  # everything, from warnings on, errors only
_STEP = 8  # columns of a move to the side, when half a page is less


class LogView(Scrolled, can_focus=True):
    """Lines of a store."""

    KIND = "@log"
    DEFAULT_CSS = "LogView { height: 1fr; width: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }"

    class Changed(Message):
        """What is shown, or how, changed."""

    class SearchAsked(Message):
        """Something to search for is wanted."""

    def __init__(self, look: Look, *, empty: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self.store = LogStore()
        self.following = True
        self.wrapping: bool | None = None  # None: wrapped under 120 columns
        self.times: Times = "absolute"
        self.named = False
        self.level = 0  # an index of _LEAST
        self.attempt: int | None = None
        self.pattern: Pattern | None = None
        self.matched: int | None = None
        self._kept: array[int] | None = None  # numbers of lines shown; None: all
        self._left = 0
        self._empty = empty
        self._page: list[list[Cell]] = []
        self._page_top: int | None = None

    # ---- content

    def __len__(self) -> int:
        return len(self._kept) if self._kept is not None else len(self.store)

    def number(self, index: int) -> int:
        """The store's number of a line shown."""
        return self._kept[index] if self._kept is not None else index

    def add(self, records: Iterable[LogRecord]) -> None:
        """Newer lines."""
        before, shown = len(self.store), len(self)
        self.store.add(records)
        if self._kept is not None:
            least = _LEAST[self.level]
            self._kept.extend(i for i in range(before, len(self.store)) if self.store.fits(i, least, self.attempt))
        if len(self) != shown:
            self._grown(shown)

    def swap(self, store: LogStore, *, another: bool = False) -> None:
        """The same log from its beginning on: what is on the screen stays there. Of `another` log the end."""
        if another:
            self.following, self.matched, self._left = True, None, 0
        from_end = len(self.store) - self.number(self.top) if len(self) else 0
        self.store = store
        self._filter()
        self._resized()
        if self.following:
            self.to_end()
        else:
            self._go(self._index_of(max(0, len(store) - from_end)))

    def say_empty(self, text: str) -> None:
        """What stands there while there is no line."""
        if text != self._empty:
            self._empty = text
            self._repaint()

    # ---- place

    @property
    def top(self) -> int:
        """The first line on the screen."""
        return max(0, min(self.scroll_offset.y, len(self) - 1))

    @property
    def wraps(self) -> bool:
        """Whether long lines are wrapped."""
        return self.size.width < 120 if self.wrapping is None else self.wrapping

    def to_end(self) -> None:
        """The last line at the foot, and follow."""
        self.following = True
        self.scroll_to(y=self._last_top(), animate=False, force=True)

    def _go(self, index: int, *, following: bool = False) -> None:
        self.following = following
        self.scroll_to(y=max(0, min(index, self._last_top())), animate=False, force=True)

    def _last_top(self) -> int:
        """The first line of the last screen."""
        height = self.size.height
        if not self.wraps:
            return max(0, len(self) - height)
        used, index = 0, len(self)
        while index > 0:
            used += len(self._pieces(index - 1))
            if used > height:
                break
            index -= 1
        return min(index, max(0, len(self) - 1))

    def _index_of(self, number: int) -> int:
        """Where a line of the store is shown, or would be."""
        if self._kept is None:
            return number
        from bisect import bisect_left

        return bisect_left(self._kept, number)

    # ---- painting

    def _line(self, index: int) -> list[Cell]:
        record = self.store.at(self.number(index))
        first = self.store.at(0).at
        return line(record, named=self.named, times=self.times, first=first)

    def _pieces(self, index: int) -> list[list[Cell]]:
        cells = self._line(index)
        room = self.size.width - BAR
        if not self.wraps or width_of(cells) <= room:
            return [cells]
        indent = width_of(cells[:-1])
        return wrapped(cells, max(room, 10), indent=min(indent, room // 2))

    def _fill(self) -> None:
        """The rows of the screen from the top line on."""
        self._page, self._page_top = [], self.scroll_offset.y
        index = self.top
        while len(self._page) < self.size.height and index < len(self):
            number = self.number(index)
            for piece in self._pieces(index):
                self._page.append(_lit(piece, self.pattern, number == self.matched))
            index += 1

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        width = self.size.width
        if self._page_top != self.scroll_offset.y:
            self._fill()
        if not len(self):
            text = "No line is of this level and attempt." if len(self.store) else self._empty
            return Strip([Segment(text if y == 0 else "", style("dim"))]).adjust_cell_length(width)
        if y >= len(self._page):
            return Strip.blank(width)
        strip = Strip(segments(self._page[y]))
        return strip.crop_extend(self._left, self._left + width, None)

    def _repaint(self) -> None:
        self._page_top = None
        self.refresh()

    def _resized(self) -> None:
        """The scroll bar: as far as the last line at the foot of the screen."""
        self.virtual_size = Size(self.size.width, self._last_top() + self.size.height)
        self._repaint()

    def _grown(self, shown: int) -> None:
        if self.following:
            self._resized()
            self.to_end()
        else:
            self.virtual_size = Size(self.size.width, self._last_top() + self.size.height)
            if shown - self.top < self.size.height:
                self._repaint()
        self.post_message(self.Changed())

    def on_resize(self, event: events.Resize) -> None:
        """Another width wraps elsewhere."""
        self._resized()
        if self.following:
            self.to_end()
        self.post_message(self.Changed())

    # ---- search

    def search(self, text: str, *, step: int = 1) -> str | None:
        """Search from the screen on; a sentence when it is no pattern."""
        try:
            self.pattern = _pattern(text, self._say)
        except RequestError as error:
            return str(error)
        self.matched = None
        self._repaint()
        self._search(self.number(self.top) if len(self) else 0, step)
        return None

    def _search(self, start: int, step: int) -> None:
        if self.pattern is not None and len(self):
            work = unstarted(partial(self._find, self.pattern, start, step))
            self.run_worker(work, exclusive=True, group="find")

    async def _find(self, pattern: Pattern, start: int, step: int) -> None:
        if pattern.plain:
            found = await asyncio.to_thread(self._next_match, pattern, start, step)
        else:
            found = await self._next_in_slices(pattern, start, step)
        if pattern is not self.pattern or pattern.trouble:
            return
        if found is None:
            self.matched = None
            what = "Nothing that looks like an error" if pattern.text == _ERROR else f"No /{pattern.text}/"
            self._say(f"{what} stands {'after' if step > 0 else 'before'} this.")
        else:
            self.show_line(found)

    def _next_match(self, pattern: Pattern, start: int, step: int) -> int | None:
        return next((number for number in self._numbers(start, step) if self._matches(pattern, number)), None)

    async def _next_in_slices(self, pattern: Pattern, start: int, step: int) -> int | None:
        """In the event loop, where an expression that takes too long can be stopped, a little at a time."""
        until = time.monotonic() + _SLICE_SECONDS
        for number in self._numbers(start, step):
            if self._matches(pattern, number) or pattern.trouble:
                return number
            if time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + _SLICE_SECONDS
        return None

    def _numbers(self, start: int, step: int) -> range:
        count = len(self.store)
        return range(start, count) if step > 0 else range(min(start, count - 1), -1, -1)

    def _matches(self, pattern: Pattern, number: int) -> bool:
        """Only among what is shown."""
        shown = self.store.fits(number, _LEAST[self.level], self.attempt)
        return shown and pattern.search(self.store.at(number).text)

    def show_line(self, number: int) -> None:
        """A line with a few before it, as its context."""
        self.matched = number
        index = self._index_of(number)
        if not self.top <= index < self.top + self.size.height - 1:
            self._go(index - self.size.height // 3)
        else:
            self.following = False
        self._repaint()
        self.post_message(self.Changed())

    def _say(self, text: str) -> None:
        say = getattr(self.app, "say", None)
        if say is not None:
            say(text)

    # ---- actions of console.actions.log

    def do_log_down(self) -> None:
        self._move(1)

    def do_log_up(self) -> None:
        self._move(-1)

    def do_log_page_down(self) -> None:
        self._move(max(1, self.size.height - 1))

    def do_log_page_up(self) -> None:
        self._move(-max(1, self.size.height - 1))

    def do_log_first(self) -> None:
        self._go(0)
        self.post_message(self.Changed())

    def do_log_last(self) -> None:
        self.to_end()
        self.post_message(self.Changed())

    def do_log_left(self) -> None:
        self._aside(-max(_STEP, self.size.width // 2))

    def do_log_right(self) -> None:
        if not self.wraps:
            self._aside(max(_STEP, self.size.width // 2))

    def do_log_follow(self) -> None:
        if self.following:
            self.following = False
        else:
            self.to_end()
        self.post_message(self.Changed())

    def do_log_search(self) -> None:
        self.post_message(self.SearchAsked())

    def do_log_next(self) -> None:
        self._search(self._after(1), 1)

    def do_log_previous(self) -> None:
        self._search(self._after(-1), -1)

    def do_log_error(self) -> None:
        """By level where the log has one, else by what errors say."""
        found = self.store.bad()
        if found is not None and self.store.fits(found, _LEAST[self.level], self.attempt):
            self.show_line(found)
        else:
            self.pattern = _pattern(f"/{_ERROR}/", self._say)
            self._search(0, 1)

    def do_log_level(self) -> None:
        self.level = (self.level + 1) % len(_LEAST)
        self.refilter()

    def do_log_wrap(self) -> None:
        self.wrapping = not self.wraps
        self._left = 0
        top = self.top
        self._resized()
        self.to_end() if self.following else self._go(top)
        self.post_message(self.Changed())

    def do_log_times(self) -> None:
        self.times = TIMES[(TIMES.index(self.times) + 1) % len(TIMES)]
        self._resized()
        self.post_message(self.Changed())

    def refilter(self) -> None:
        """Other lines are shown; the one at the top stays, or the next that is shown."""
        number = self.number(self.top) if len(self) else 0
        following = self.following
        self._filter()
        self._resized()
        self.to_end() if following else self._go(self._index_of(number))
        self.post_message(self.Changed())

    def _filter(self) -> None:
        least = _LEAST[self.level]
        self._kept = self.store.kept(least, self.attempt) if least or self.attempt is not None else None

    def _move(self, by: int) -> None:
        target = self.top + by
        self._go(target, following=by > 0 and target >= self._last_top())
        self.post_message(self.Changed())

    def _aside(self, by: int) -> None:
        self._left = max(0, self._left + by)
        self._repaint()

    def _after(self, step: int) -> int:
        if self.matched is not None:
            return max(0, self.matched + step)
        return self.number(self.top) if len(self) else 0


def _pattern(text: str, complain: Callable[[str], None]) -> Pattern:
    """/text/ is a regular expression, anything else is meant as it is."""
    if len(text) > 2 and text.startswith("/") and text.endswith("/"):
        return Pattern(text[1:-1], complain=complain)
    return Pattern(text, plain=True)


def _lit(cells: Sequence[Cell], pattern: Pattern | None, here: bool) -> list[Cell]:
    """Matches in the text stand out; the line that was jumped to more."""
    if pattern is None or not cells:
        return list(cells)
    *before, (text, tone) = cells
    out: list[Cell] = list(before)
    at = 0
    for begin, end in pattern.spans(text):
        if end > begin:
            out += [Cell(text[at:begin], tone), Cell(text[begin:end], "match" if here else "lit")]
            at = end
    return [*out, Cell(text[at:], tone)]
