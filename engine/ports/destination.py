"""Destinations: systems that rows are written to.

Law: a load is published in one atomic step that carries its token, or leaves the target as it was. A token that is
in the target's ledger has been loaded: `load` and `publish` report from the ledger and write nothing. `seal` is
asked last, inside that step, so that the watermark commits with the rows it stands for. Values are bound,
identifiers quoted; no message carries a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from engine.ports.stream import RawText, Stream

if TYPE_CHECKING:
    import pyarrow as pa


class Mode(StrEnum):
    """What becomes of the rows that are there."""

    APPEND = "append"  # they stay
    REPLACE = "replace"  # they go
    UPSERT = "upsert"  # those with the same keys are overwritten
    MERGE = "merge"  # as upsert; rows whose `delete_when` column is true are deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One load."""

    token: str  # run/task/map index/generation: the same through attempts, losses and retries
    target: str
    mode: Mode = Mode.APPEND
    keys: Sequence[str] = ()
    create: bool = True  # make a missing target from the stream's schema
    delete_when: str | None = None  # merge: a boolean column of the stream, not written
    scope: str = ""  # whose watermark the seal holds; '' for none
    options: Mapping[str, Any] = field(default_factory=dict)
    seal: Callable[[], Mapping[str, Any]] = dict  # JSON kept in the ledger beside the token
    progress: Callable[[int], None] = lambda rows: None  # rows so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a load has done."""

    rows: int
    bytes: int | None = None
    uri: str = ""
    created: bool = False  # the target was made
    already: bool = False  # the token was in the ledger: this attempt wrote nothing
    seal: Mapping[str, Any] = field(default_factory=dict)  # as it stands in the ledger
    notes: Sequence[str] = ()  # sentences for the log: columns added, values narrowed


@runtime_checkable
class Destination(Protocol):
    """One system that can be written to."""

    def test(self) -> str:
        """Ask it something harmless; a sentence of who answered."""

    def modes(self) -> frozenset[Mode]:
        """What `load` can do here."""

    def target_schema(self, target: str) -> pa.Schema | None:
        """The target's columns; None when it is not there or has none of its own (files, queues)."""

    def create_target(self, target: str, schema: pa.Schema, keys: Sequence[str] = ()) -> None:
        """Make it; nothing when it is there."""

    def ledger(self, token: str, target: str) -> Loaded | None:
        """What was loaded under this token; None when nothing was."""

    def watermark(self, scope: str, target: str) -> Mapping[str, Any] | None:
        """The last seal that was committed for this scope; None where this system keeps none."""

    def load(self, stream: Stream, order: Order) -> Loaded:
        """Write all rows, atomically."""

    def load_raw(self, text: RawText, order: Order) -> Loaded | None:
        """The same from delimited text; None (nothing written or consumed) where this cannot be done."""

    def stage(self, stream: Stream, order: Order) -> Mapping[str, Any]:
        """Put all rows beside the target, unseen. JSON that the three below take, in any process."""

    def publish(self, staged: Mapping[str, Any], order: Order) -> Loaded:
        """Make what was staged visible in one atomic step, and keep what `undo` needs."""

    def undo(self, staged: Mapping[str, Any], order: Order) -> None:
        """Take a published load back: the target is as before it, but for what others wrote since. Idempotent."""

    def discard(self, staged: Mapping[str, Any]) -> None:
        """Remove what `stage` and `publish` left beside the target. Idempotent."""

    def close(self) -> None:
        """Let go of the system."""


@runtime_checkable
class Growing(Protocol):
    """What a destination also is where columns can be added to a target (`on_drift: add`)."""

    def add_columns(self, target: str, fields: Sequence[pa.Field]) -> None:
        """Nullable columns, empty in the rows that are there. Nothing for those it has."""
