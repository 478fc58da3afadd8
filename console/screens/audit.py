"""Audit: who did what, from where, newest first; and whether the trail still is what was written.

Law: the newest page is there at once and older ones come when they are wanted. Numbers of the trail have no holes,
so new entries are read until they meet what is there. The trail is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal

from console.messages import Batch
from console.place import Place
from console.present import audit as present
from console.present.audit import Verified
from console.present.filters import Facts
from console.screens.split import SplitView
from console.widgets.card import Card
from console.widgets.divider import Divider
from console.widgets.strips import Strips
from console.widgets.table import Table
from engine.model.errors import RequestError
from engine.model.event import AuditEntry

if TYPE_CHECKING:
    from console.app import Console
    from engine.client import Client

_PAGE = 200
_BULK = 2_000  # a page when everything is wanted
_CARD = 60


class AuditView(SplitView):
    """The trail, and a card."""

    NAME = "audit"
    FILTER_HINT = "text, /regex/, who:alice*, action:run.*, kind:schedule, result:failure, since:2h"
    CARD = _CARD

    def __init__(self, console: Console, place: Place) -> None:
        super().__init__(console, place)
        self.filter_text = place.argument
        self._keep: Callable[[Facts], bool] | None = None
        self._whole = 0  # up to this number nothing that was written since the view opened is missing
        self._oldest = 0  # 0: nothing was read yet; 1: the first entry is there
        self._begun = False
        self._ended = False
        self._verified: Verified | None = None
        self._going = False

    def compose(self) -> ComposeResult:
        looks = self.looks
        yield Strips(looks, id="head")
        with Horizontal(id="body"):
            yield Table(
                present.columns(looks),
                key=lambda entry: str(entry.seq),
                natural=present.natural,
                look=looks,
                now=self.now,
                empty="Reading" + looks.ellipsis,
            )
            yield Divider(looks)
            yield Card(looks)

    def on_mount(self) -> None:
        """The argument of the place is a filter."""
        if self.filter_text:
            refusal = self.filter(self.filter_text)
            if refusal is not None:
                self.complain(refusal)
                self.filter_text = ""

    @property
    def table(self) -> Table[AuditEntry]:
        """The table."""
        return self.query_one(Table)

    @property
    def crumbs(self) -> list[str]:
        if not self._begun:
            return ["Audit"]
        rows = self.table.rows
        found = f"{len(rows):,}" if len(rows) == rows.total else f"{len(rows):,} of {rows.total:,}"
        return [f"Audit {found}{'' if self._ended else '+'}"]

    @property
    def run_argument(self) -> str:
        entry = self.table.selected if self._begun else None
        return _run_of(entry) if entry is not None else ""

    # ---- reading

    def look(self) -> None:
        """The newest page; more while it does not meet what is there."""
        self.ask("newest", lambda client: client.queries.audit(limit=_PAGE), self._came)

    def _came(self, entries: Sequence[AuditEntry]) -> None:
        first = not self._begun
        if first:
            self._begun = True
            self._turned(entries, _PAGE)
            self.table.say_empty("The trail is empty: nobody did anything yet.")
        self.table.put(entries)
        if entries:
            self._fill(entries, present.number(entries[0]), reached=first)
        self._more_if_needed()
        self._retell()
        self.console.show_frame()

    def _fill(self, entries: Sequence[AuditEntry], top: int, *, reached: bool = False) -> None:
        """More was written than fits one page: read on until what is there without a hole."""
        last = present.number(entries[-1])
        if reached or last <= self._whole + 1:
            self._whole = max(self._whole, top)
            return

        def filled(more: Sequence[AuditEntry]) -> None:
            self.table.put(more)
            if more:
                self._fill(more, top)

        self.ask("between", lambda client: client.queries.audit(limit=_BULK, before=last), filled, about=last)

    def take(self, batch: Batch) -> None:
        """What is audited are commands, and each is answered by an event."""
        if batch.lost or any(each.type.startswith("command.") for each in batch.events):
            self.look()

    def _more_if_needed(self) -> None:
        if not self._ended and (self._keep is not None or self.table.sorted):
            self._more(_BULK)

    def _more(self, size: int) -> None:
        before = self._oldest
        if self._begun and not self._ended:

            def older(entries: Sequence[AuditEntry]) -> None:
                self._turned(entries, size)
                self.table.put(entries)
                self._more_if_needed()
                self.console.show_frame()

            self.ask("more", lambda client: client.queries.audit(limit=size, before=before), older, about=before)

    def _turned(self, entries: Sequence[AuditEntry], size: int) -> None:
        self._ended = len(entries) < size
        if entries:
            self._oldest = present.number(entries[-1])
            self._ended = self._ended or self._oldest <= 1

    def tick(self, now: datetime) -> None:
        if self._begun:
            self.table.tick()

    def _retell(self) -> None:
        head = present.verdict(self._verified, self.looks, going=self._going)
        self.query_one("#head", Strips).show([head])
        entry = self.table.selected
        self.query_one(Card).show(present.card(entry, self.now(), self.looks) if entry is not None else [])

    # ---- panes

    def do_audit_details(self) -> None:
        self.toggle_details()
        self._retell()

    def filter(self, text: str) -> str | None:
        try:
            self._keep = keep = self.parsed(text, present.FIELDS)
        except RequestError as error:
            return str(error)
        shown = None if keep is None else lambda entry: keep(present.facts(entry))
        self.table.filter_rows(shown, unmatched="No entry matches. Esc takes the filter away.")
        self._more_if_needed()
        return None

    def copied(self) -> str:
        card = self.query_one(Card)
        if card.display:
            return card.text
        return "\n".join(
            f"{each.seq} {each.at.isoformat()} {each.actor.name} {each.action} {each.resource_id} {each.result}"
            for each in self.table.chosen
        )

    # ---- the cursor

    def on_table_moved(self, event: Table.Moved) -> None:
        """Another entry."""
        event.stop()
        if self.shown:
            self._retell()
            self.console.show_frame()

    def on_table_near_end(self, event: Table.NearEnd) -> None:
        """Older ones are wanted."""
        event.stop()
        self._more(_PAGE)

    def on_table_sorted(self, event: Table.Sorted) -> None:
        """Another order needs all of them."""
        event.stop()
        self._more_if_needed()

    def on_table_opened(self, event: Table.Opened) -> None:
        """Enter shows the card, where it is not there already."""
        event.stop()
        self.do_audit_details()

    # ---- actions of console.actions.audit

    def do_audit_verify(self) -> None:
        self._going = True
        self._retell()
        self.ask("verify", _verify, self._walked, fail=self._not_walked)

    def _walked(self, found: Verified) -> None:
        self._going, self._verified = False, found
        self._retell()
        if not found.valid and found.first_bad is not None:
            self.table.select(str(found.first_bad))

    def _not_walked(self, sentence: str) -> None:
        self._going = False
        self._retell()
        self.complain(f"The trail could not be verified: {sentence}")

    def do_audit_open(self) -> None:
        if self.run_argument:
            self.console.goer.go_to("run", self.run_argument)
        else:
            self.console.say("This entry is not about a run.")


def _verify(client: Client) -> Verified:
    checked, bad, sentence = client.queries.verify_audit()
    return Verified(bad is None, checked, bad, sentence, client.clock.now())


def _run_of(entry: AuditEntry) -> str:
    """The run that an entry is about; nothing when it is about none."""
    touched = entry.details.get("touched")
    if entry.action == "run.trigger" and isinstance(touched, list) and touched:
        return str(touched[0])
    given = entry.details.get("arguments")
    return str(given.get("run_id") or "") if isinstance(given, Mapping) else ""
