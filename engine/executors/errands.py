"""Work that may block, done one at a time on a thread of its own."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)


class Errands:
    """A thread that starts with its first errand. It is a daemon: an errand that hangs (a key ring that asks
    somebody) holds up its successors and nothing else."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def send(self, errand: Callable[[], None]) -> None:
        """Do it when its turn comes."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._waiting.put(errand)

    def end(self, patience: float) -> None:
        """Finish what waits, if it can be done in time."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(patience)
            self._thread = None

    def _run(self) -> None:
        while (errand := self._waiting.get()) is not None:
            try:
                errand()
            except Exception:
                log.exception("%s: an errand failed", self._name)


def remove_tree(folder: Path) -> None:
    """A folder and all below it, links not followed, also where its owner took the rights away."""
    if folder.is_symlink():
        folder.unlink(missing_ok=True)
        return
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for place, folders, _ in os.walk(folder):
            for name in folders:
                below = Path(place, name)
                if not below.is_symlink():
                    below.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)
