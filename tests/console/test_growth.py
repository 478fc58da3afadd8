"""Hours of events in seconds: what the console holds depends on what there is, never on how long it is open."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from textual.pilot import Pilot

from console import feed
from console.app import Console
from console.place import Place
from engine.model.event import Event
from tests.console import still
from tests.console.stage import WIDE, play, session_of, until

A_SECOND = 10  # events
AN_HOUR = 3_600 * A_SECOND
BATCH = 300
RUNS = 60


class Flowing(still.StillQueries):
    """Events as fast as they are asked for, up to a number that a test raises."""

    allowed = 0
    given = 0
    empty = True

    def changed(self, last: object) -> tuple[bool, object]:
        return self.given < self.allowed, 1

    def wait(self, last: object, seconds: float) -> tuple[bool, object]:
        if self.given >= self.allowed:
            return super().wait(last, seconds)
        return seconds > 0, 1  # nothing more at once: so that a batch ends, and none is too long to be told

    def last_seq(self) -> int:
        return self.given

    def events(self, after: int, limit: int = 500, run_id: str | None = None) -> Sequence[Any]:
        self.empty = not self.empty
        if self.empty or self.given >= self.allowed:
            return []  # between two lots: so that a batch ends
        self.given += BATCH
        return [
            Event(
                type=("task.state", "task.progress", "run.started")[number % 3],
                at=still.NOW,
                run_id=f"orders_daily__{number % RUNS:06d}",
                task_id="join_sales",
                payload={"from": "QUEUED", "to": "RUNNING", "attempt": number},
                seq=number,
            )
            for number in range(after + 1, after + 1 + BATCH)
        ]


def held() -> Counter[str]:
    """Live objects by type: ours, Textual's, and containers."""
    gc.collect()
    return Counter(type(each).__qualname__ for each in gc.get_objects())


@pytest.mark.parametrize("place", [Place("runs"), Place("run", "orders_daily__000000")], ids=["runs", "run"])
def test_four_hours_of_events_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    """Through the feed's thread, the messages and the views; the third and fourth hour add no object."""
    monkeypatch.setattr(feed, "BATCH_SECONDS", 0.0)
    monkeypatch.setattr(feed, "_SIGNS_SECONDS", 0.0)
    base = still.believable(RUNS)
    queries = Flowing(runs_=base.runs_, executions_=base.executions_, transitions_=base.transitions_)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        async def hours(count: int) -> Counter[str]:
            queries.allowed += count * AN_HOUR
            await until(pilot, lambda: queries.given >= queries.allowed)
            await until(pilot, lambda: app.view.quiet and app.message_queue_size < 5)
            return held()

        app.go(Place("runs"))  # a second view behind the one in front: it must not gather either
        await until(pilot, lambda: app.view.quiet)
        app.go(place)
        await until(pilot, lambda: app.view.quiet)
        before = await hours(2)
        await hours(2)

        def grown() -> dict[str, int]:
            after = held()
            return {name: after[name] - before[name] for name in after if after[name] - before[name] > 200}

        # A batch may be on its way in one look; what has been left behind is there in every one.
        await until(pilot, lambda: grown() == {} and held()["Event"] <= 2 * feed.MOST_EVENTS)
        assert len(app.history._places) < 10

    play(session_of(lambda: still.client(queries)), scene, size=WIDE)
