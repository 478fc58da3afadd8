"""What a rig has, and the rows that every system has to carry.

Law: a rig talks to its system by that system's own client, never by the connector it is to prove.
"""

from __future__ import annotations

import base64
import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.connectors.registry import Connectors
from engine.dataflow.kinds import MARK
from engine.dataflow.streams import Batches
from engine.model.workspace import Connection

PASSWORD = "canary-pass-7c1"  # of a connection, where the system takes any; never to be seen in a message

KINDS = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("amount", pa.decimal128(20, 4)),
        pa.field("ratio", pa.float64()),
        pa.field("active", pa.bool_()),
        pa.field("born", pa.date32()),
        pa.field("seen", pa.timestamp("us", tz="UTC")),
        pa.field("wall", pa.timestamp("us")),
        pa.field("doc", pa.string(), metadata={MARK: b"json"}),
        pa.field("raw", pa.binary()),
    ]
)
# As a definition says them where a system's own values do not: JSON knows neither times nor bytes.
KIND_NAMES: Mapping[str, str] = {
    "id": "integer", "name": "string", "amount": "decimal(20,4)", "ratio": "float", "active": "boolean",
    "born": "date", "seen": "timestamp", "wall": "datetime", "doc": "json", "raw": "binary",
    "updated_at": "timestamp", "note": "string", "more": "string",
}  # fmt: skip
# One row of plain values, one of difficult ones, one of empty ones, one of nulls.
ROWS: Sequence[Mapping[str, Any]] = (
    {
        "id": 1, "name": "plain", "amount": Decimal("12.5000"), "ratio": 0.1, "active": True,
        "born": date(2024, 2, 29), "seen": datetime(2024, 3, 31, 1, 30, 0, 123456, tzinfo=UTC),
        "wall": datetime(2024, 3, 31, 2, 30), "doc": '{"a": [1, null, "x"]}', "raw": b"\x00\x01\xfe\xff",
    },
    {
        "id": -(2**53) - 1, "name": "Zoë 🚲 \"q\" 'a' \\ , ;\t\r\nline 2 — 漢字 ‮x‬ %s :p $1 NULL \\N",
        "amount": Decimal("-9999999999999999.9999"), "ratio": -1.7976931348623157e308, "active": False,
        "born": date(1900, 1, 1), "seen": datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        "wall": datetime(2262, 4, 11, 23, 47, 16, 854775), "doc": '{"k": "Zo\\u00eb \\"q\\""}',
        "raw": b"'\\x\n\t,\"",
    },
    {
        "id": 0, "name": "", "amount": Decimal("0.0000"), "ratio": 0.0, "active": False, "born": date(1970, 1, 1),
        "seen": datetime(1970, 1, 1, tzinfo=UTC), "wall": datetime(1970, 1, 1), "doc": "[]", "raw": b"",
    },
    {"id": 7, **dict.fromkeys(KINDS.names[1:])},
)  # fmt: skip


def kinds_table() -> pa.Table:
    """The rows above as Arrow."""
    return pa.Table.from_pylist([dict(row) for row in ROWS], schema=KINDS)


def json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a service that speaks JSON would keep it."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, bytes):
            value = base64.b64encode(value).decode()
        elif isinstance(value, date):  # and datetime
            value = value.isoformat()
        elif isinstance(value, Decimal):
            value = str(value)
        elif name == "doc" and value is not None:
            value = json.loads(value)
        found[name] = value
    return found


def stream(table: pa.Table, rows: int = 3) -> Batches:
    """A table as a stream of small batches."""
    return Batches(table.schema, iter(table.to_batches(max_chunksize=rows)))


def broken(table: pa.Table, error: BaseException) -> Batches:
    """A stream that hands out a table and then fails."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield from table.to_batches()
        raise error

    return Batches(table.schema, batches())


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its JSON read, so that spelling does not count; bytes as bytes."""
    found = dict(row)
    if isinstance(found.get("doc"), str):
        found["doc"] = json.loads(found["doc"])
    return found


class DataRig(ABC):
    """One system under trial. Where a trait is False the suites skip what needs it, by that reason."""

    queries = True  # SQL: a Selection's `query`, hostile identifiers
    windows = True  # strategies timestamp and id
    undoes = True  # stage, publish, undo, discard
    atomic = True  # a failed load leaves nothing
    limits = True  # a target's own column types refuse what does not fit
    remembers = True  # a ledger: a token loads once
    makes = True  # says of a target that it was made
    lists = True  # tells what tables there are, and their newest rows, without their being read
    strict = True  # a table that is not there is an error
    roomy = True  # keeps what it is given, however much
    many = 20_000  # rows of a table that is not small

    def __init__(self, connection: Connection, root: Path) -> None:
        self.connection = connection
        self.connectors = Connectors(root)
        self._open: list[Any] = []

    def connector(self) -> Any:
        """A new connector, as a new process would have; closed with the rig."""
        opened = self.connectors.open(self.connection)
        self._open.append(opened)
        return opened

    def close(self) -> None:
        for each in self._open:
            each.close()

    def name(self) -> str:
        """A name for a table that is not there."""
        return f"t_{uuid.uuid4().hex[:10]}"

    @abstractmethod
    def seed_kinds(self, name: str) -> None:
        """Make a table of KINDS (primary key id) with ROWS."""

    @abstractmethod
    def seed_events(self, name: str, rows: Sequence[tuple[int, datetime | None, str]]) -> None:
        """Make or add to a table: id (integer, primary key), updated_at (instant, may be null), note (text)."""

    @abstractmethod
    def count(self, name: str) -> int:
        """Rows of a table; 0 where it is not there."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether the table is there."""

    @abstractmethod
    def leftovers(self) -> Sequence[str]:
        """What loads have left beside their targets, but for the ledger."""

    def quoted(self, name: str) -> str:
        """An identifier in this system's SQL."""
        return '"' + name.replace('"', '""') + '"'
