"""A database that loads and sagas work on: what they ask of it, whatever its dialect.

Law: DDL is transactional here. Statements come with quoted names and `marker(n)` where the n-th value is bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from engine.connectors.databases.naming import Name

if TYPE_CHECKING:
    import pyarrow as pa

Rows = list[tuple[Any, ...]]


class Site(Protocol):
    """One open session that writes."""

    id: str  # of the connection
    row_id: str  # the column that tells two equal rows apart
    direct: bool  # rows to be appended may stream straight into the target: nobody waits for them
    sequence: str  # the type of a column that counts up by itself
    same: str  # the operator that holds null for equal to null
    overriding: str  # what an INSERT says to write columns that count by themselves
    aged: str  # a condition: `loaded_at` is longer ago than the ledger remembers

    def marker(self, number: int) -> str:
        """How the n-th value is bound."""

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """What a statement answers."""

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; the number of rows it touched."""

    def begin(self) -> None:
        """Open the transaction that publishes."""

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """End a transaction without a trace, whatever became of it."""

    def failures(self, what: str) -> AbstractContextManager[None]:
        """The driver's errors as ours."""

    def find(self, given: str) -> Name | None:
        """The table of this name."""

    def named(self, given: str) -> Name:
        """The name of a table that is not there yet."""

    def missing(self, given: str) -> Exception:
        """The error for a table that is not there."""

    def fields(self, table: Name) -> list[pa.Field]:
        """The columns that can be written."""

    def limited(self, table: Name) -> list[pa.Field]:
        """The same, with what the table asks of their values (engine.dataflow.kinds.limited)."""

    def definitions(self, table: Name) -> dict[str, str]:
        """Column -> its type in SQL."""

    def definition(self, one: pa.Field, *, key: bool = False) -> str:
        """The type in SQL for a column of a stream."""

    def comparable(self, column: str, definition: str) -> str:
        """An expression over a quoted column that can be compared and grouped by."""

    def tables(self, schema: str, prefix: str) -> list[str]:
        """Names of tables that begin so."""

    def temporary(self, table: str) -> Name:
        """A table that ends with the session."""

    def alone(self, table: Name) -> None:
        """Nobody else makes this table until the transaction ends."""

    def lock(self, table: Name) -> None:
        """Nobody else writes until the transaction ends."""

    def clear(self, table: Name) -> None:
        """Delete all rows, inside the transaction."""

    def write(self, into: Name, columns: Sequence[str], batches: Iterable[pa.RecordBatch], where: str) -> int:
        """Put rows into a table, in their order: how many."""

    def settled(self, table: Name, keys: Sequence[str]) -> None:
        """A table will be asked by these columns; it may have been filled just now."""

    def uri(self, table: Name) -> str:
        """Where a table is."""
