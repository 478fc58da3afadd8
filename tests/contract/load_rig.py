"""What the load tests need of a database: a connector, and a look at its tables past the connector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.connectors.registry import Connectors
from engine.dataflow.streams import Batches
from engine.model.workspace import Connection
from engine.ports.destination import Mode, Order

COLUMNS = pa.schema([("id", pa.int64()), ("name", pa.string())])
FLAGGED = COLUMNS.append(pa.field("gone", pa.bool_()))


@dataclass(kw_only=True)
class LoadRig:
    """One database of its own."""

    connection: Connection
    root: Path
    rows: Callable[[str], list[tuple[Any, ...]]]  # of a query, past the connector
    settle: Callable[[], None] = lambda: None  # make the server do at once what it does about a client that died
    opened: list[Any] = field(default_factory=list)

    def connector(self, **config: Any) -> Any:
        """A connector of its own, closed with the rig."""
        given = Connection(id="base", type=self.connection.type, config={**self.connection.config, **config})
        connector = Connectors(self.root).open(given)
        self.opened.append(connector)
        return connector

    def table(self, name: str = "t") -> list[tuple[Any, ...]]:
        """All rows of a table with the columns id and name."""
        return self.rows(f"SELECT id, name FROM {name} ORDER BY id, name")

    def close(self) -> None:
        for each in self.opened:
            each.close()


def rows(*given: Sequence[Any], schema: pa.Schema = COLUMNS, size: int = 2) -> Batches:
    """A stream of these rows, in small batches."""
    batches = [batch(given[at : at + size], schema) for at in range(0, len(given), size)]
    return Batches(schema, batches or [batch((), schema)])


def batch(given: Iterable[Sequence[Any]], schema: pa.Schema = COLUMNS) -> pa.RecordBatch:
    """One batch of these rows."""
    return pa.RecordBatch.from_pylist([dict(zip(schema.names, row, strict=True)) for row in given], schema=schema)


def order(token: str, mode: Mode = Mode.APPEND, target: str = "t", **more: Any) -> Order:
    """An order; upsert and merge are by id."""
    keys = ("id",) if mode in (Mode.UPSERT, Mode.MERGE) else ()
    flag = "gone" if mode is Mode.MERGE else None
    return Order(**{"token": token, "target": target, "mode": mode, "keys": keys, "delete_when": flag, **more})


def seal(value: int) -> Callable[[], Mapping[str, Any]]:
    """A seal that says how far a load has come."""
    return lambda: {"watermark": {"value": value}}
