"""What happens, as it happens: a snapshot with its place in the outbox, then everything after it.

Law: nothing between the snapshot and the first batch is lost or told twice, and a batch is never empty unless
the wait ran out. The feed only reads; several may follow at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.model.event import Event
    from engine.model.run import PipelineRun, TaskExecution, Verdict
    from engine.ports.queries import Queries

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A run as it stood at `seq`."""

    seq: int
    run: PipelineRun
    executions: Sequence[TaskExecution]
    verdicts: Mapping[str, Verdict]


class Feed:
    """Follows the outbox, of everything or of one run. One per follower: it remembers where it is."""

    def __init__(self, queries: Queries, *, after: int | None = None, run_id: str | None = None) -> None:
        self._queries = queries
        self._run_id = run_id
        _, self._token = queries.changed(None)
        self.after = queries.last_seq() if after is None else after
        self._more = True  # there may be something to take without any change: after the place, or left over

    def next(self, seconds: float) -> Sequence[Event]:
        """What came since the last call, waiting at most so long for the first of it."""
        if self._more and (events := self._take()):
            return events
        changed, self._token = self._queries.wait(self._token, seconds)
        self._more = changed
        return self._take() if changed else ()

    def _take(self) -> Sequence[Event]:
        events = self._queries.events(self.after, _BATCH, self._run_id)
        self._more = len(events) >= _BATCH  # a shorter one was all there was
        if events:
            self.after = max(event.seq or self.after for event in events)
        return events


def snapshot(queries: Queries, run_id: str) -> Snapshot:
    """A run and the place from which to follow it, read together."""
    seq, run, executions, verdicts = queries.snapshot(run_id)
    return Snapshot(seq=seq, run=run, executions=executions, verdicts=verdicts)


def follow(queries: Queries, run_id: str) -> tuple[Snapshot, Feed]:
    """A run as it stands, and the feed of what happens to it next."""
    seen = snapshot(queries, run_id)
    return seen, Feed(queries, after=seen.seq, run_id=run_id)
