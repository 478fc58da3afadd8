"""What the console knows of the whole workspace, and how messages change it.

Law: pure. `reduce` makes a new state and does nothing else; the top line is a function of the state and the
time, so it can claim nothing that was not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from textual.message import Message

from console.messages import EngineStarting, EngineTrouble, Signs, StoreTrouble

if TYPE_CHECKING:
    from engine.client.values import Lease

STALE = timedelta(seconds=10)  # without a reading for so long, nothing may pretend to be live


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The vital signs as they were last read."""

    read_at: datetime | None = None  # None: nothing was read yet
    leader: Lease | None = None
    runs: Mapping[str, int] = field(default_factory=dict)
    tasks: Mapping[str, int] = field(default_factory=dict)
    letters: Mapping[str, int] = field(default_factory=dict)
    disk: int | None = None
    trouble: str | None = None  # why the state cannot be read
    starting: bool = False
    engine_trouble: str | None = None  # why no engine could be started
    read_only: bool = False

    @property
    def active(self) -> int:
        """Runs that have not ended."""
        return self.runs.get("RUNNING", 0) + self.runs.get("PENDING", 0)

    def live(self, now: datetime) -> bool:
        """Whether what is shown is what is."""
        return self.trouble is None and self.read_at is not None and now - self.read_at < STALE


def reduce(state: State, message: Message) -> State:
    """The state after a message."""
    match message:
        case Signs(leader=leader, counts=counts, disk=disk, at=at):
            return replace(
                state,
                read_at=at,
                leader=leader,
                runs=counts.runs,
                tasks=counts.tasks,
                letters=counts.letters,
                disk=disk,
                trouble=None,
                starting=state.starting and leader is None,
                engine_trouble=None if leader is not None else state.engine_trouble,
            )
        case StoreTrouble(sentence=sentence):
            return replace(state, trouble=sentence)
        case EngineStarting():
            return replace(state, starting=True, engine_trouble=None)
        case EngineTrouble(sentence=sentence):
            return replace(state, starting=False, engine_trouble=sentence or None)
        case _:
            return state
