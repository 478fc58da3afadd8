"""What travels inside the console: from threads to the app, from the app to views.

Law: a message is a value. It names what happened, never what to paint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from engine.client.values import Counts, Lease
    from engine.model.event import Event


@dataclass(eq=False)
class Batch(Message):
    """Events of the last fraction of a second. `lost`: there were more; read anew instead of applying them."""

    events: Sequence[Event]
    lost: bool = False

    @property
    def runs(self) -> frozenset[str]:
        """The runs they are about."""
        return frozenset(each.run_id for each in self.events if each.run_id is not None)

    def concerns(self, run_id: str) -> bool:
        """Whether a view of this run has to look again."""
        return self.lost or run_id in self.runs


@dataclass(eq=False)
class Signs(Message):
    """The vital signs as they were read."""

    leader: Lease | None
    counts: Counts
    disk: int | None  # percent used where the state lives
    at: datetime


@dataclass(eq=False)
class StoreTrouble(Message):
    """The state cannot be read; what is shown is as of the last time it could."""

    sentence: str
    at: datetime


@dataclass(eq=False)
class EngineStarting(Message):
    """The background engine is being started."""


@dataclass(eq=False)
class EngineTrouble(Message):
    """It could not be started; empty: it could."""

    sentence: str
