"""Retention of files: what belongs to pruned runs goes, logs and staged rows together stay under their caps.

Law: never touches a run that is active, and runs on a thread of its own: removing files can take long. Whether a
run is over is asked of the state right before its files go. Staged rows go some hours after their run has ended; a
large output, which a retry below it would read, goes with the run, or when all there is grows over the cap.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from engine.bootstrap.workspace import Workspace
from engine.model.errors import NotFound, PenstockError, RequestError
from engine.ports.queries import Queries
from engine.stores.open import open_queries

_log = logging.getLogger(__name__)
_sweeping = threading.Lock()


def sweep(workspace: Workspace, gone: Sequence[str], active: frozenset[str]) -> None:
    """Start a sweep unless one is under way; what it missed is found by the next."""
    threading.Thread(target=sweep_now, args=(workspace, tuple(gone), active), name="sweep", daemon=True).start()


def sweep_now(workspace: Workspace, gone: Sequence[str], active: frozenset[str]) -> None:
    """One sweep, here."""
    if not _sweeping.acquire(blocking=False):
        return
    try:
        for run_id in gone:
            workspace.logs.delete_run(run_id)
            shutil.rmtree(_staging(workspace) / run_id, ignore_errors=True)
        _under_cap(workspace, active)
        _staged(workspace, active)
    except (OSError, PenstockError):
        _log.warning("files past their retention could not be removed", exc_info=True)
    finally:
        _sweeping.release()


def _under_cap(workspace: Workspace, active: frozenset[str]) -> None:
    """The oldest runs' logs go first."""
    cap = workspace.settings.retention.logs_mb * 1_000_000
    used = workspace.logs.used_bytes()
    if used <= cap:
        return
    folder = workspace.settings.home / "logs"
    for run in sorted((each for each in folder.iterdir() if each.is_dir()), key=_age):
        if used <= cap:
            return
        if run.name not in active:
            used -= workspace.logs.delete_run(run.name)


def _staged(workspace: Workspace, active: frozenset[str]) -> None:
    """Rows whose time is over, then whole runs, the longest ended first, until the rest is under the cap."""
    keep = workspace.settings.retention
    folder = _staging(workspace)
    if not folder.is_dir():
        return
    with open_queries(workspace.settings, state=workspace.state, now=workspace.clock.now) as queries:
        ended = partial(_ended, queries, active)
        over = {each: at for each in folder.iterdir() if (at := ended(each)) is not None}
        before = workspace.clock.now() - timedelta(hours=keep.staging_hours)
        for run, at in over.items():
            if at < before:
                _remove_rows(run)
        sizes = {run: _size(run) for run in folder.iterdir()}
        used = sum(sizes.values())
        for run in sorted(over, key=lambda each: over[each]):
            if used <= keep.staging_mb * 1_000_000:
                return
            if ended(run) is not None:  # an operator may have had it tried again meanwhile
                shutil.rmtree(run, ignore_errors=True)
                used -= sizes.get(run, 0)


def _ended(queries: Queries, active: frozenset[str], folder: Path) -> datetime | None:
    """When the run of this folder ended; None while it has not."""
    if folder.name in active or not folder.is_dir():
        return None
    try:
        run = queries.resolve_run(folder.name)
    except (NotFound, RequestError):
        return _changed(folder)  # pruned, or of a state that is no more
    if run.run_id != folder.name:
        return _changed(folder)
    return run.completed_at if run.state.terminal else None


def _changed(folder: Path) -> datetime:
    return datetime.fromtimestamp(_age(folder), UTC)


def _remove_rows(run: Path) -> None:
    """Parts and manifests, finished or not; then the folders that are empty."""
    for path in _files(run):
        if path.suffix == ".arrow" or path.name == "manifest.json" or path.name.startswith("."):
            path.unlink(missing_ok=True)
    for folder, _, _ in os.walk(run, topdown=False):
        try:
            Path(folder).rmdir()
        except OSError:
            continue  # something is kept in it


def _files(folder: Path) -> Iterator[Path]:
    for at, _, names in os.walk(folder):
        yield from (Path(at) / name for name in names)


def _size(folder: Path) -> int:
    total = 0
    for path in _files(folder):
        try:
            total += path.lstat().st_size
        except OSError:
            continue  # gone since it was listed
    return total


def _staging(workspace: Workspace) -> Path:
    return workspace.settings.home / "staging"


def _age(folder: Path) -> float:
    return folder.stat().st_mtime
