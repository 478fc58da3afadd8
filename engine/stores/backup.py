"""A consistent copy of the state in one file, and the way back.

Law: a copy appears under its name only when it is whole and synced. A restore checks everything before it touches
anything, keeps the old state beside the new one, and raises the epoch above every one ever given, so that an
engine of before can never write into what was restored. Whether an engine leads is the caller's question.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from engine.model.errors import NotFound, Refused, RequestError, StoreUnusable
from engine.model.workspace import Settings
from engine.stores import connect, files, migrate
from engine.stores.faults import translated
from engine.stores.open import Location, locate, open_mailbox, prepared
from engine.stores.schema import REVISION


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did."""

    path: Path
    before: Path | None  # the state that was there
    epoch: int  # no engine up to this one writes here


def backup(settings: Settings, file: Path, *, state: str | None = None, overwrite: bool = False) -> int:
    """Copy the state, engine or not, to `file`; the number of bytes written."""
    source = _file_state(settings, state, "backed up with `pg_dump`")
    if not files.has_state(source):
        raise NotFound(f"There is no state in {source} yet, so there is nothing to back up.")
    if file.exists() and not overwrite:
        raise Refused(f"{file} exists already. Name another file, or remove it first.")
    if not file.parent.is_dir():
        raise NotFound(f"There is no folder {file.parent} to write {file.name} into.")
    if overwrite and files.identity(file) == files.identity(source):
        raise Refused(f"{file} is the state itself. Name another file.")
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with translated(f"The state {source}"):
            _copy(source, partial, None)
            _check(partial)
        os.replace(partial, file)
    finally:
        _remove(partial)
    files.sync_folder(file.parent)
    return file.stat().st_size


def restore(settings: Settings, file: Path, *, state: str | None = None) -> Restored:
    """Put the copy in the place of the state. Only while no engine leads (the caller holds or checks the lease)."""
    location = locate(settings, state)
    target = _file_state(settings, state, "restored with `pg_restore`")
    if not file.is_file():
        raise NotFound(f"There is no file {file} to restore from.")
    if files.identity(file) == files.identity(target):
        raise Refused(f"{file} is the state itself.")
    with translated(f"The backup {file}"):
        _check(file)
    there = files.has_state(target)
    prepared_path = _prepare_target(settings, location, there)
    partial = target.with_name(f".{target.name}.{os.getpid()}.restoring")
    try:
        epoch, event_seq = _highest(settings, state, target if there else None)
        files.create_file(partial, settings.shared_group)
        with translated(f"The backup {file}"):
            epoch = _copy(file, partial, (epoch, event_seq))
        _raise_mailbox(settings, state, epoch)
        before = _set_aside(prepared_path) if there else None
        os.replace(partial, target)
    finally:
        _remove(partial)
    files.sync_folder(target.parent)
    return Restored(path=target, before=before, epoch=epoch)


def _file_state(settings: Settings, state: str | None, instead: str) -> Path:
    path = locate(settings, state).path
    if path is None:
        raise RequestError(f"The state is on PostgreSQL, which is {instead}, not by Penstock.")
    return path


def _prepare_target(settings: Settings, location: Location, there: bool) -> Path:
    if there:
        assert location.path is not None
        return location.path
    return prepared(settings, location)


def _copy(source: Path, target: Path, floor: tuple[int, int] | None) -> int:
    """One consistent copy as one file without a log beside it; with a floor, epoch and event numbers rise
    above it. The epoch that stands in the copy."""
    if floor is None:
        files.create_file(target, None)
    with closing(connect.open_file(target, "rw", 0)) as copy:
        with closing(connect.open_file(source, "ro", connect.READ_SECONDS)) as original:
            original.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE").fetchone()
        copy.execute("PRAGMA synchronous=EXTRA").close()
        if floor is not None:
            copy.execute(
                "UPDATE leadership SET epoch = max(epoch, ?) + 1, holder = '', event_seq = max(event_seq, ?)",
                floor,
            ).close()
        epoch: int = copy.execute("SELECT epoch FROM leadership").fetchone()[0]
    with target.open("rb") as written:
        os.fsync(written.fileno())
    return epoch


def _check(file: Path) -> None:
    """StoreUnusable unless it is a whole, undamaged state that this program understands."""
    if not files.has_state(file):
        raise StoreUnusable(f"{file} is empty, so it is no backup of a Penstock state.")
    with closing(connect.open_file(file, "ro", connect.READ_SECONDS)) as connection:
        verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok":
            raise StoreUnusable(f"{file} is damaged ({verdict}); use another backup.")
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('alembic_version', 'leadership')"
        if len(connection.execute(query).fetchall()) != 2:
            raise StoreUnusable(f"{file} is a database, but no Penstock state.")
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    migrate.refuse_newer(row[0] if row else REVISION, str(file))


def _highest(settings: Settings, state: str | None, old: Path | None) -> tuple[int, int]:
    """The highest epoch and event number that were ever given, as far as anything still knows them."""
    mailbox = open_mailbox(settings, state=state)
    try:
        epoch, event_seq = mailbox.epoch(), 0
    finally:
        mailbox.close()
    if old is not None:
        try:
            with closing(connect.open_file(old, "ro", connect.READ_SECONDS)) as connection:
                row = connection.execute("SELECT epoch, event_seq FROM leadership").fetchone()
            epoch, event_seq = max(epoch, row[0]), row[1]
        except sqlite3.DatabaseError:
            pass  # damaged: the mailbox, from which every epoch comes, still knows
    return epoch, event_seq


def _raise_mailbox(settings: Settings, state: str | None, epoch: int) -> None:
    mailbox = open_mailbox(settings, state=state)
    try:
        mailbox.raise_epoch(epoch)
    finally:
        mailbox.close()


def _set_aside(path: Path) -> Path:
    """Keep the old state as .before-restore, with whatever its log still holds; the name stays taken all along."""
    try:
        with closing(connect.open_file(path, "rw", connect.READ_SECONDS)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.DatabaseError:
        pass  # damaged: its log is kept as it is
    before = path.with_name(f"{path.name}.before-restore")
    for suffix in ("", "-wal", "-shm"):
        _remove(Path(f"{before}{suffix}"))
    os.link(path, before)
    log = Path(f"{path}-wal")
    if log.exists():  # never left where the restored file would take it for its own
        os.replace(log, f"{before}-wal")
    _remove(Path(f"{path}-shm"))
    return before


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
