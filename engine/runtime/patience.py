"""The store as the dispatcher has it: a question asked while the database is away waits until it is back.

Law: what is decided rests on answers, so none is left out and none invented; commits wait in the same way. Told to
stop, it waits no longer. What is not a question is the store's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from engine.model.errors import StoreBusy
from engine.ports.store import StateStore

QUESTIONS = frozenset(
    {
        *("active_runs", "load_run", "run_exists", "previous_run", "child_runs"),
        *("latest_version", "version", "version_with_hash", "median_seconds"),
        *("answered", "schedules", "letter", "letters_of", "attempts_of", "checkpoint"),
        *("watermarks", "breakers", "unsent_hooks", "fired_hooks"),
    }
)
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0


def patient(store: StateStore, stopping: Callable[[], bool]) -> StateStore:
    """The store with a patience that ends when this says so."""
    return cast("StateStore", _Patient(store, stopping))


class _Patient:
    def __init__(self, store: StateStore, stopping: Callable[[], bool]) -> None:
        self._store, self._stopping = store, stopping

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return partial(self._ask, found) if name in QUESTIONS else found

    def _ask(self, question: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        pause = FIRST_PAUSE
        while True:
            try:
                return question(*arguments, **named)
            except StoreBusy:
                if self._stopping():
                    raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
