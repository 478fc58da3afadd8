"""Sources: systems that rows are read from.

Law: a source is opened on a connection whose secrets are resolved, and no message or URI of it carries one. Reading
never changes what is read, but for `acknowledge`. What goes wrong is a TaskFailure of the right kind that names
connection, object and remedy. Every wait and every answer is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from engine.model.dataset import DatasetTouch, Strategy
from engine.ports.stream import RawText, Stream

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which part of a dataset an incremental read takes: what is newer than `after`, looked for a little further
    back, and not beyond `upto`."""

    strategy: Strategy | None = None  # None: the source chooses by looking
    column: str | None = None
    after: Any = None  # a watermark's value, {"type", "value"}; None: from the beginning
    upto: Any = None  # a watermark's value; None: as far as there is data
    lookback_seconds: float = 300.0
    nulls: str = "exclude"  # or include: rows without a watermark are read each time
    fingerprint: str = ""  # of the columns when `after` was committed
    timezone: str = "UTC"  # of timestamps that have none


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to read of a connection: exactly one of table, query, path and endpoint (queues: path is the name)."""

    table: str | None = None
    query: str | None = None
    path: str | None = None
    endpoint: str | None = None
    parameters: Mapping[str, Any] = field(
        default_factory=dict
    )  # of a query, bound; of an endpoint, its query string
    columns: Sequence[str] = ()  # () is all
    options: Mapping[str, Any] = field(default_factory=dict)  # what only this kind of system knows
    window: Window | None = None  # None: all of it
    resume: Any = None  # a Reading's `position` from an earlier attempt whose rows are kept

    @property
    def object(self) -> str:
        """The name of what is read, for datasets and messages."""
        return self.table or self.path or self.endpoint or "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How far a reading has come, for the watermark."""

    strategy: Strategy
    column: str
    value: Any  # {"type", "value"}; None: nothing was new
    fingerprint: str = ""
    limit: Any = None  # as `value`: the source's own clock; rows beyond it do not count, and are read again


class Reading(Stream, Protocol):
    """One opened read. `touches`, `seen` and `position` speak of the batches handed out so far."""

    @property
    def acknowledges(self) -> bool:
        """Whether `acknowledge` does anything."""

    def touches(self) -> Sequence[DatasetTouch]:
        """What was read; `rows` and `bytes` may be None, then the consumer's count stands."""

    def seen(self) -> Seen | None:
        """The new watermark; None for a read that is not incremental."""

    def position(self) -> Any:
        """JSON from which another attempt may go on after these batches; None where a read starts anew."""

    def raw(self) -> RawText | None:
        """The same rows as delimited text, instead of iterating; None where that is not how they lie there."""

    def acknowledge(self) -> None:
        """The rows are safe where they were going: confirm messages, advance a slot. May be called again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way to read a table incrementally, best first (SRC-07)."""

    strategy: Strategy
    column: str
    reason: str  # a sentence


@runtime_checkable
class Source(Protocol):
    """One system that can be read."""

    def test(self) -> str:
        """Ask it something harmless; a sentence of who answered."""

    def discover(self, pattern: str = "*", limit: int = 1000) -> Sequence[str]:
        """Tables, files, queues that `read` takes."""

    def schema_of(self, selection: Selection) -> pa.Schema:
        """The columns of what would be read."""

    def candidates(self, selection: Selection) -> Sequence[Candidate]:
        """Ways to read it incrementally; empty when there is none."""

    def newest(self, selection: Selection) -> Any:
        """The highest watermark there now, as {"type", "value"}; None where it cannot be told cheaply."""

    def read(self, selection: Selection) -> Reading:
        """Open a read."""

    def close(self) -> None:
        """Let go of the system."""
