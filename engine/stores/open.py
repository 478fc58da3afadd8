"""Where a workspace's state is, and the doors to it.

Law: only `open_writer` and a mailbox's `send` and `acquire` create anything. SQLite or PostgreSQL is decided here,
by the form of `state:`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL

from engine.model.workspace import Settings
from engine.stores import connect, files
from engine.stores.mailbox import SqlMailbox, postgres_mailbox, sqlite_mailbox
from engine.stores.queries import SqlQueries
from engine.stores.readers import SqliteQueries
from engine.stores.writer import SqlStateStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """One of the two: a file, or a URL."""

    path: Path | None = None
    url: URL | None = None

    @property
    def where(self) -> str:
        """For messages; never with a password."""
        return f"The state {connect.shown(self.url) if self.url is not None else self.path}"

    @property
    def mailbox(self) -> Path | None:
        """The database of commands and the lease, beside the state file."""
        if self.path is None:
            return None
        return self.path.with_name("mailbox.db" if self.path.name == "state.db" else f"{self.path.stem}-mailbox.db")


def locate(settings: Settings, state: str | None = None) -> Location:
    """Where the state is. `state` is `settings.state` with its secrets resolved, where it has any."""
    written = settings.state if state is None else state
    if "://" in written:
        return Location(url=connect.database_url(written))
    return Location(path=settings.root / written)


def open_writer(
    settings: Settings,
    *,
    state: str | None = None,
    checkpointing: bool = True,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> SqlStateStore:
    """The engine's store, created and brought up to date. Only for who holds the lease."""
    location = locate(settings, state)
    if location.url is not None:
        return SqlStateStore(connect.postgres_writer(location.url), location.where, now=now)
    path = prepared(settings, location)
    return SqlStateStore(
        connect.sqlite_writer(path), location.where, path=path, checkpointing=checkpointing, now=now
    )


def open_queries(
    settings: Settings,
    *,
    state: str | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> SqlQueries:
    """Everybody's view of the state; creates nothing and works without one."""
    location = locate(settings, state)
    if location.url is not None:
        from engine.stores.server import PostgresQueries

        return PostgresQueries(location.url, location.where, now)
    assert location.path is not None
    return SqliteQueries(location.path, location.where, now)


def open_mailbox(settings: Settings, *, state: str | None = None) -> SqlMailbox:
    """Commands and the lease."""
    location = locate(settings, state)
    if location.url is not None:
        return postgres_mailbox(location.url, location.where)
    mailbox = location.mailbox
    assert mailbox is not None

    def create() -> None:
        _prepare_folder(settings, mailbox)
        files.create_file(mailbox, settings.shared_group)

    return sqlite_mailbox(mailbox, f"The mailbox {mailbox}", create)


def state_epoch(settings: Settings, *, state: str | None = None) -> int:
    """The epoch that stands in the state; 0 without one. A candidate's floor, should the mailbox be lost."""
    with open_queries(settings, state=state) as queries:
        return queries.epoch()


def prepared(settings: Settings, location: Location) -> Path:
    """The state's file with its folder, on safe ground, with the right modes."""
    path = location.path
    assert path is not None
    _prepare_folder(settings, path)
    files.has_state(path)  # refuses a folder, and a file that may not be read
    files.create_file(path, settings.shared_group)
    return path


def _prepare_folder(settings: Settings, path: Path) -> None:
    files.create_folder(path.parent, settings.shared_group)
    files.refuse_network_fs(path, allowed=settings.allow_network_fs)
