"""What the console is handed: a way to the client, a keeper of the engine, and what it may do.

Law: values and protocols only. Nothing here is opened before somebody asks, and asking is for threads: each
of these calls may wait for a file or a server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from console.memory import Memory
from console.preferences import Preferences
from console.theme import Look

if TYPE_CHECKING:
    from engine.client import Client
    from engine.client.values import Lease
    from engine.model.event import Actor


class EngineKeeper(Protocol):
    """The engine as the console may treat it. Every call may block; use it from threads."""

    def leader(self) -> Lease | None:
        """Who leads and lives; None when nobody does."""

    def start(self) -> int:
        """Start the background engine; its pid once it leads. StoreUnusable says why it did not."""

    def attach(self) -> None:
        """Leave a sign that somebody watches: a background engine stays while there is one."""

    def detach(self) -> None:
        """Take the sign away."""

    def stop(self) -> None:
        """End the engine that leads: attempts end as losses, the next engine goes on."""

    def apply(self) -> None:
        """With nobody leading: take the lease, answer what the mailbox holds, give the lease back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One console on one workspace."""

    root: Path
    profile: str | None
    actor: Actor
    open_client: Callable[[], Client]  # costly: imports and opens; from a thread, once
    keeper: EngineKeeper
    read_only: bool = False
    start_engine: bool = True  # start one when nobody leads
    keep_engine: bool = True  # keep a background engine alive while the console is open
    preferences: Preferences = Preferences()
    look: Look = Look()
    memory: Memory = Memory()  # what the console notes for the next time
    splits: dict[str, int] = field(default_factory=dict)  # view -> columns of its card, pane -> its rows, as drawn
    closed: set[str] = field(default_factory=set)  # panes the user closed
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        """The workspace as the top line calls it."""
        return self.root.name if self.profile is None else f"{self.root.name} ({self.profile})"
