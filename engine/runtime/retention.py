"""What is past its retention goes: letters nobody took up are closed, and runs that owe nothing are removed.

Law: a run goes only when none of its letters is open, for an open letter is work somebody still owes. A letter is
closed here only when `retention.letters_days` have passed since its task failed: a discard like any other, by the
engine, with its entry in the audit trail, committed before the run goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from engine.model.errors import StoreBusy
from engine.model.event import ENGINE, AuditEntry
from engine.model.run import DeadLetter, LetterStatus
from engine.runtime.desk import Desk
from engine.runtime.letters import Letters

FIRST, OFTEN, SELDOM = timedelta(minutes=5), timedelta(seconds=5), timedelta(hours=1)
BUSY = timedelta(seconds=30)
AT_ONCE = 200
Sweep = Callable[[Sequence[str], frozenset[str]], None]


class Retention:
    """Rings now and then for as long as the engine leads."""

    def __init__(self, desk: Desk, letters: Letters, sweep: Sweep) -> None:
        self.desk = desk
        self.letters = letters
        self.sweep = sweep

    def start(self) -> None:
        """Not at once: an engine that has just taken over has more urgent things to do."""
        self._again(FIRST)

    def _again(self, after: timedelta) -> None:
        self.desk.timers.set("prune", self.desk.now + after, self.prune)

    def prune(self) -> None:
        """One bounded helping; soon again when there is more."""
        keep, store, now = self.desk.tools.settings.retention, self.desk.tools.store, self.desk.now
        gone: Sequence[str] = ()
        again = BUSY
        try:
            gone = store.prune(before=now - timedelta(days=keep.days), keep_runs=keep.runs, limit=AT_ONCE)
            closed = self._close(now - timedelta(days=keep.letters_days))
            again = OFTEN if closed or len(gone) == AT_ONCE else SELDOM
        except StoreBusy:
            pass  # nothing was removed, and it can wait
        self.sweep(gone, frozenset(self.desk.runs))
        self._again(again)

    def _close(self, before: datetime) -> int:
        """Discard the letters that failed before then; how many."""
        late = self.desk.tools.store.open_letters(before, AT_ONCE)
        changed = self.desk.batch.changes.letters
        free = [each for each in late if each.id not in changed and self.letters.claim(each) is None]
        for letter in free:
            reason = f"open for more than {self.desk.tools.settings.retention.letters_days} days"
            self.letters.update(letter, LetterStatus.DISCARDED, ENGINE, "letter.discard", reason=reason)
            self._note(letter, reason)
        return len(free)

    def _note(self, letter: DeadLetter, reason: str) -> None:
        self.desk.batch.changes.audit.append(
            AuditEntry(
                at=self.desk.now,
                actor=ENGINE,
                event_type="SYSTEM_EVENT",
                action="letter.discard",
                resource_type="LETTER",
                resource_id=letter.id,
                result="SUCCESS",
                details={
                    "message": f"{reason} (`retention.letters_days`)",
                    "touched": [f"{letter.run_id}/{letter.task_id}"],
                    "queue": letter.queue.value,
                    "error_type": letter.error_type,
                },
            )
        )
