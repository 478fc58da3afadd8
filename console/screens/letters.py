"""Dead letters: the four queues grouped by what went wrong, or the letters of one group.

Law: one view, two lists: a place names a queue, a group by its fingerprint, or nothing. What acts takes the marked
rows, a group standing for all its letters. Groups are counted by the store; letters are read page by page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal

from console.messages import Batch
from console.place import Place
from console.present import letters as present
from console.present.filters import Facts
from console.present.letters import LetterDetail, LetterRow
from console.screens.letter import letters_changed, read_letter
from console.screens.letterdeeds import LetterDeeds
from console.screens.redrive import Chosen
from console.screens.split import SplitView
from console.widgets.card import Card
from console.widgets.divider import Divider
from console.widgets.strips import Strips
from console.widgets.table import Table
from engine.client.names import label, near
from engine.client.values import LetterGroup
from engine.model.errors import RequestError

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client

_MOST_GROUPS = 1_000
_PAGE = 200
_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}\Z")

Page = tuple[list[LetterRow], str | None]


class LettersView(LetterDeeds, SplitView):
    """The list."""

    NAME = "dlq"
    FILTER_HINT = "text, /regex/, task:load*, pipeline:orders*, kind:network, status:new, since:2h"
    CARD = 60
    ALONE = False  # Enter leads to all that the card tells

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self._fingerprint = place.argument if _FINGERPRINT.match(place.argument) else None
        self._queue = None if self._fingerprint else queue_named(place.argument)
        self._asked_queue = self._queue
        self._counts: Counter[str] = Counter()
        self._keep: Callable[[Facts], bool] | None = None
        self._begun = False
        self._more_groups = False
        self._next: str | None = None  # the cursor of the next older page of letters

    def compose(self) -> ComposeResult:
        if self._fingerprint is None:
            yield Strips(self.looks, id="queues")
        with Horizontal(id="body"):
            yield self._table()
            yield Divider(self.looks)
            yield Card(self.looks, id="card")

    def _table(self) -> Table[Any]:
        reading = "Reading" + self.looks.ellipsis
        if self._fingerprint is None:
            return Table(
                present.group_columns(),
                key=lambda group: group.fingerprint,
                natural=lambda group: -group.last_seen.timestamp(),
                look=self.looks,
                now=self.now,
                empty=reading,
            )
        return Table(
            present.letter_columns(),
            key=lambda row: row.id,
            natural=lambda row: -row.failed_at.timestamp(),
            look=self.looks,
            now=self.now,
            empty=reading,
        )

    def on_mount(self) -> None:
        """A queue that does not exist is said."""
        asked = self.place.argument
        if asked and self._fingerprint is None and self._queue is None:
            known = ", ".join(present.QUEUES)
            self.complain(f"There is no queue '{asked[:40]}'.{near(asked, present.QUEUES)} There are {known}.")
        self._refilter()

    def on_resize(self) -> None:
        """The card is read when there is room for it."""
        if self._begun:
            self._look_closer()

    @property
    def table(self) -> Table[Any]:
        """Groups or letters."""
        return self.query_one(Table)

    @property
    def crumbs(self) -> list[str]:
        if not self.is_mounted or not self._begun:
            return ["Dead letters"]
        rows = self.table.rows
        if self._fingerprint is not None:
            more = "+" if self._next is not None else ""
            return ["Dead letters", f"{len(rows):,}{more} alike{self._marked()}"]
        more = "+" if self._more_groups else ""
        groups = f"{len(rows):,}{more} {'group' if len(rows) == 1 else 'groups'}"
        return ["Dead letters", self._queue or "all queues", groups + self._marked()]

    def _marked(self) -> str:
        marks = len(self.table.rows.marked)
        return f", {marks:,} marked" if marks else ""

    @property
    def run_argument(self) -> str:
        row = self.table.selected if self.is_mounted else None
        if isinstance(row, LetterGroup):
            return f"{row.run_id} {label(row.tasks[0][1], row.map_index)}" if row.count == 1 else row.run_id
        return f"{row.run_id} {row.name}" if isinstance(row, LetterRow) else ""

    # ---- reading

    def look(self) -> None:
        """Groups, or the newest page of letters."""
        if self._fingerprint is None:
            self.ask("groups", _groups, self._show_groups)
        else:
            fingerprint = self._fingerprint
            self.ask("letters", lambda client: _page(client, fingerprint, None), self._show_letters)

    def take(self, batch: Batch) -> None:
        if letters_changed(batch):
            self.look()

    def _show_groups(self, groups: list[LetterGroup]) -> None:
        self._more_groups = len(groups) > _MOST_GROUPS
        self._counts = Counter()
        for each in groups:
            self._counts[each.queue] += each.count
        self._began("No dead letters. What no retry helps comes here.")
        self.table.replace(groups[:_MOST_GROUPS])
        self._told()

    def _show_letters(self, page: Page) -> None:
        rows, self._next = page
        self._began("None of these is open any more.")
        self.table.replace(rows)
        self._told()

    def _began(self, empty: str) -> None:
        self._begun = True
        self.table.say_empty(empty)

    def _older(self, page: Page) -> None:
        rows, self._next = page
        self.table.put(rows)
        self.console.show_frame()

    def _told(self) -> None:
        if self._fingerprint is None:
            self.query_one("#queues", Strips).show([present.queue_line(self._counts, self._queue, self.looks)])
        self._look_closer()
        self.console.show_frame()

    def _look_closer(self) -> None:
        """The card, where there is room for one."""
        row = self.table.selected
        if row is None or not self.wide:
            self.query_one(Card).show([])
            return
        letter_id = row.newest if isinstance(row, LetterGroup) else row.id
        self.ask("closer", lambda client: read_letter(client, letter_id), self._show_card, about=letter_id)

    def _show_card(self, detail: LetterDetail) -> None:
        row = self.table.selected
        lines = [*present.happened(detail, self.now()), [], *present.payload(detail.letter)]
        if isinstance(row, LetterGroup) and row.count > 1:
            lines = [[present.newest_of(row.count)], *lines]
        self.query_one(Card).show(lines)

    def tick(self, now: datetime) -> None:
        self.table.tick()

    # ---- what is shown

    def filter(self, text: str) -> str | None:
        fields = present.GROUP_FIELDS if self._fingerprint is None else present.LETTER_FIELDS
        try:
            self._keep = self.parsed(text, fields)
        except RequestError as error:
            return str(error)
        self._refilter()
        return None

    def _refilter(self) -> None:
        keep, queue = self._keep, self._queue
        facts: Callable[[Any], Facts] = present.group_facts if self._fingerprint is None else present.letter_facts
        if keep is None and queue is None:
            self.table.filter_rows(None)
            return
        self.table.filter_rows(
            lambda row: (queue is None or row.queue == queue) and (keep is None or keep(facts(row))),
            unmatched="No dead letter matches. Esc takes the filter away, Q goes to the next queue.",
        )

    def escape(self) -> bool:
        if self.table.clear_marks():
            return True
        if self.filter_text:
            self.filter_text = ""
            self.filter("")
            self.console.show_frame()
            return True
        if self._queue != self._asked_queue:
            self._queue = self._asked_queue
            self._refilter()
            self._told()
            return True
        return False

    def copied(self) -> str:
        rows = self.table.chosen
        return "\n".join(each.newest if isinstance(each, LetterGroup) else each.id for each in rows)

    # ---- events of the table

    def on_table_moved(self, event: Table.Moved) -> None:
        """Another letter is looked at."""
        event.stop()
        if self.shown:
            self._look_closer()
            self.console.show_frame()

    def on_table_near_end(self, event: Table.NearEnd) -> None:
        """Older ones are wanted."""
        event.stop()
        fingerprint, before = self._fingerprint, self._next
        if fingerprint is not None and before is not None:
            self.ask("more", lambda client: _page(client, fingerprint, before), self._older, about=before)

    def on_table_opened(self, event: Table.Opened) -> None:
        """Into the group; a group of one is its letter."""
        event.stop()
        row = self.table.selected
        if isinstance(row, LetterGroup) and row.count > 1:
            self.go("dlq", row.fingerprint)
        elif row is not None:
            self.go("letter", row.newest if isinstance(row, LetterGroup) else row.id)

    # ---- actions

    def chosen(self) -> Chosen:
        """What actions work on."""
        rows = self.table.chosen
        groups = [each for each in rows if isinstance(each, LetterGroup)]
        return Chosen(
            ids=tuple(each.newest for each in groups if each.count == 1)
            + tuple(each.id for each in rows if isinstance(each, LetterRow)),
            fingerprints=tuple(each.fingerprint for each in groups if each.count > 1),
        )

    def done(self) -> None:
        self.table.clear_marks()
        self.look()

    def do_letter_queue(self) -> None:
        names = (None, *present.QUEUES)
        if self._fingerprint is None:
            self._queue = names[(names.index(self._queue) + 1) % len(names)]
            self._refilter()
            self._told()


def queue_named(text: str) -> str | None:
    """`data-quality`, `Permanent`: a queue as it is called; None when it is none."""
    name = text.strip().casefold().replace("-", "_").replace(" ", "_")
    return name if name in present.QUEUES else None


def _groups(client: Client) -> list[LetterGroup]:
    return list(client.queries.letter_groups(limit=_MOST_GROUPS + 1))


def _page(client: Client, fingerprint: str, before: str | None) -> Page:
    found, following = client.queries.letters(fingerprint=fingerprint, limit=_PAGE, before=before)
    return [present.letter_row(each) for each in found], following
