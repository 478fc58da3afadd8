"""An engine whose store fails now and then: `-m tests.runtime.faulty_engine -w ROOT SEED BEFORE AFTER WORSE`.

Law: the engine is the real one, put together as `penstock engine` does it; only the store it was given is wrapped.
A failure before the commit has written nothing; one after it has written everything, and only the reply is lost.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from engine.bootstrap import open_workspace
from engine.bootstrap.host import Host
from engine.model.errors import StoreBusy, StoreUnusable
from engine.ports.mailbox import Lease
from engine.ports.store import Changes, StateStore
from engine.runtime.engine import Parts


class FaultyStore:
    """The store with a `commit` that fails as often as it is told to; everything else is the store's own."""

    def __init__(
        self, store: StateStore, chance: random.Random, *, before: float, after: float, worse: float
    ) -> None:
        self._store, self._chance = store, chance
        self._before, self._after, self._worse = before, after, worse
        self.commits = self.failed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, changes: Changes, commit_id: str) -> int:
        """`worse`: the share of failures after which an engine has to end."""
        self.commits += 1
        self._perhaps(self._before, "before")
        seq = self._store.commit(changes, commit_id)
        self._perhaps(self._after, "after")
        return seq

    def _perhaps(self, share: float, when: str) -> None:
        if self._chance.random() < share:
            self.failed += 1
            kind = StoreUnusable if self._chance.random() < self._worse else StoreBusy
            print(f"fault: {kind.__name__} {when} commit {self.commits}", flush=True)
            raise kind(f"made to fail {when} the commit")


class FaultyHost(Host):
    """Hands the engine the wrapped store."""

    wrap: Callable[[StateStore], FaultyStore]

    def _build(self, lease: Lease, trusted: Callable[[], bool]) -> Parts:
        parts = super()._build(lease, trusted)
        parts.store = parts.dispatcher.desk.tools.store = cast("StateStore", self.wrap(parts.store))
        return parts


def main() -> int:
    """Lead until it is told to stop, or the store is unusable."""
    _, root, seed, *shares = sys.argv[1:]
    before, after, worse = map(float, shares)
    chance = random.Random(seed)
    host = FaultyHost(open_workspace(Path(root)), "engine")
    host.wrap = lambda store: FaultyStore(store, chance, before=before, after=after, worse=worse)
    return host.serve(on_ready=lambda: print("The engine leads.", flush=True))


if __name__ == "__main__":
    sys.exit(main())
