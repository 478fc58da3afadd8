"""When garbage is collected: while nobody types.

Law: Python's full collections stop every thread, for a tenth of a second with a run of thousands of tasks open, and
come while much is read, which is when somebody looks. The small ones stay as they are; the full ones wait for a
moment without keys, though never longer than a minute.
"""

from __future__ import annotations

import gc
import time

_CALM_SECONDS = 1.5  # without a key
_REST_SECONDS = 10.0  # between two full collections
_LONGEST_SECONDS = 60.0  # without one, keys or not
_NEVER = 1 << 30
_ROUNDS = 20  # smaller collections since the last full one: fewer leave nothing worth a full one


class Sweeper:
    """One per process. It sweeps between `begin` and `end`."""

    def __init__(self) -> None:
        self._key_at = self._swept_at = time.monotonic()
        self._before: tuple[int, int, int] | None = None

    def begin(self) -> None:
        """What was made to start up stays: it need not be looked through again."""
        if self._before is None:
            self._before = gc.get_threshold()
            gc.freeze()
            gc.enable()  # starting up may have gone without: it throws nothing away
            gc.set_threshold(*self._before[:2], _NEVER)

    def end(self) -> None:
        """As it was."""
        if self._before is not None:
            gc.set_threshold(*self._before)
            gc.unfreeze()
            self._before = None

    def key(self) -> None:
        """Somebody types."""
        self._key_at = time.monotonic()

    def tick(self) -> bool:
        """Collect if it is time; whether it was."""
        now = time.monotonic()
        since, calm = now - self._swept_at, now - self._key_at > _CALM_SECONDS
        if self._before is None or gc.get_count()[2] < _ROUNDS or since < _REST_SECONDS:
            return False
        if not calm and since < _LONGEST_SECONDS:
            return False
        gc.collect()
        self._swept_at = now
        return True
