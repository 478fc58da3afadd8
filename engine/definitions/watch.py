"""Hot reload: a thread that tells which files of a workspace changed.

Law: it reports paths and reads nothing. `.penstock/` is never watched, or every commit of the state would wake
it. What a burst of changes touched comes in one call; an exception of the callback is logged and does not end
the watch.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from engine.definitions.catalog import FOLDER

_FOLDERS = (FOLDER, "udfs", "sql", "schemas")
_SUFFIXES = (".yaml", ".yml", ".py", ".sql", ".json")
_STEP_MS = 200  # each thread wakes so often: at 50 the two of them were half of what an idle engine used
_LOOK_MS = 250  # how often a quiet thread looks whether its folder is still the same
_LOST = "\N{REPLACEMENT CHARACTER}"
_log = logging.getLogger(__name__)


class Watch:
    """Calls back with what changed, from threads of its own, until it is closed. One call at a time."""

    def __init__(
        self,
        root: Path,
        changed: Callable[[Sequence[Path]], None],
        *,
        force_polling: bool | None = None,
        debounce_ms: int = 400,
    ) -> None:
        self._root = root
        self._changed = changed
        self._force_polling = force_polling  # True for network file systems, which send no notices
        self._debounce_ms = debounce_ms
        self._stop = threading.Event()
        self._calling = threading.Lock()
        self._lock = threading.Lock()
        self._watched: dict[Path, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin. What changes before the threads listen is not lost: each tells its folder once when it does."""
        self._spawn(self._root)
        self._adopt()

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Whether all that is there now is listened to."""
        with self._lock:
            events = list(self._watched.values())
        return all(event.wait(timeout) for event in events)

    def close(self) -> None:
        """End; returns when no call is under way any more."""
        self._stop.set()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(timeout=10)

    def _adopt(self) -> None:
        """Listen to the folders that have come to be."""
        for name in _FOLDERS:
            if (self._root / name).is_dir() and not self._stop.is_set():
                self._spawn(self._root / name)

    def _spawn(self, folder: Path) -> None:
        with self._lock:
            if folder in self._watched:
                return
            self._watched[folder] = threading.Event()
            thread = threading.Thread(target=self._follow, args=(folder,), name=f"watch {folder.name}", daemon=True)
            self._threads = [one for one in self._threads if one.is_alive() or one.ident is None] + [thread]
        thread.start()

    def _follow(self, folder: Path) -> None:
        try:
            self._listen(folder)
        except (OSError, RuntimeError) as error:
            if folder.is_dir():
                _log.warning("hot reload of %s has stopped: %s", folder, error)
        finally:
            with self._lock:
                self._watched.pop(folder).set()
        if not self._stop.is_set() and folder.is_dir() and folder != self._root:
            self._spawn(folder)  # deleted and made again under our feet

    def _listen(self, folder: Path) -> None:
        from watchfiles import watch  # 20 ms that only an engine with hot reload pays

        inode = os.stat(folder).st_ino
        notices = watch(
            folder,
            watch_filter=None,
            debounce=self._debounce_ms,
            step=_STEP_MS,
            stop_event=self._stop,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            force_polling=self._force_polling,
            recursive=folder != self._root,
            ignore_permission_denied=True,
        )
        with self._lock:
            ready = self._watched[folder]
        for changes in notices:
            if not ready.is_set():
                ready.set()
                if folder != self._root:
                    self._tell({folder})
            if folder == self._root:
                self._adopt()
            if changes:
                self._tell(_relevant(changed for _, changed in changes))
            if folder != self._root and _other(folder, inode):
                self._tell({folder})
                return

    def _tell(self, paths: Iterable[Path]) -> None:
        chosen = sorted(paths)
        if not chosen or self._stop.is_set():
            return
        with self._calling:
            try:
                self._changed(chosen)
            except Exception:  # noqa: BLE001 - whatever it is, later changes must still be seen
                _log.exception("a change of definitions could not be taken in; the next change tries again")


def _other(folder: Path, inode: int) -> bool:
    """Whether the folder that was listened to is gone, even if one of its name is there."""
    try:
        return os.stat(folder).st_ino != inode
    except OSError:
        return True


def _relevant(names: Iterable[str]) -> set[Path]:
    """What definitions are made of; a name that did not survive as text stands for its folder."""
    found: set[Path] = set()
    for name in names:
        path = Path(name)
        if _LOST in name:
            found.add(path.parent)
        elif path.name == ".env" or (not path.name.startswith(".") and path.suffix in ("", *_SUFFIXES)):
            found.add(path)
    return found
