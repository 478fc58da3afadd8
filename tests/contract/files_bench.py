"""What tests of files share: a connector on a folder of their own, rows of every kind, short ways to move them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.connectors.files.connector import FileConnector, connect
from engine.dataflow.kinds import field
from engine.dataflow.streams import Batches
from engine.model.dataset import DataKind
from engine.model.workspace import Connection
from engine.ports.destination import Mode, Order
from engine.ports.source import Selection, Window

UTC = dt.UTC
SCHEMA = pa.schema(
    [
        field("id", DataKind.INTEGER),
        field("text", DataKind.STRING),
        field("number", DataKind.FLOAT),
        pa.field("price", pa.decimal128(20, 2)),
        field("yes", DataKind.BOOLEAN),
        field("day", DataKind.DATE),
        field("at", DataKind.TIMESTAMP),
        pa.field("clock", pa.timestamp("us")),
        field("doc", DataKind.JSON),
        field("raw", DataKind.BINARY),
    ]
)
TYPES = {
    "id": "integer",
    "text": "string",
    "number": "float",
    "price": "decimal(20,2)",
    "yes": "boolean",
    "day": "date",
    "at": "timestamp with time zone",
    "clock": "timestamp without time zone",
    "doc": "json",
    "raw": "binary",
}
_KEYS = tuple(TYPES)
ROWS: list[dict[str, Any]] = [
    dict(zip(_KEYS, values, strict=True))
    for values in (
        (
            1,
            "a,\"q\"\n'x'",
            0.1,
            Decimal("12.50"),
            True,
            dt.date(2024, 2, 29),
            dt.datetime(2024, 1, 1, 10, 0, 0, 123456, UTC),
            dt.datetime(2024, 1, 1, 10),
            '{"a":[1,2]}',
            b"\x00\xff",
        ),
        (None, "", None, None, None, None, None, None, None, b""),
        (
            -5,
            None,
            1e300,
            Decimal("-0.01"),
            False,
            dt.date(1, 1, 1),
            dt.datetime(1900, 1, 1, tzinfo=UTC),
            dt.datetime(9999, 1, 1),
            '"x"',
            None,
        ),
        (
            2**62,
            " ünï\u202e\x00 \t",
            -0.0,
            Decimal("999999999999999999.99"),
            True,
            dt.date(9999, 12, 31),
            dt.datetime(2024, 6, 1, tzinfo=UTC),
            dt.datetime(2024, 1, 1, 10, 0, 0, 1),
            "[]",
            b"abc",
        ),
    )
]


class Bench:
    """One `file` connection on a folder."""

    def __init__(self, root: Path, **config: Any) -> None:
        self.root = root
        self.files: FileConnector = connect(Connection(id="inbox", type="file", config=config), root)

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def table(
        self, path: str, *, columns: Sequence[str] = (), window: Window | None = None, **options: Any
    ) -> pa.Table:
        return table(self.files, Selection(path=path, columns=columns, options=options, window=window))

    def rows(self, path: str, **given: Any) -> list[dict[str, Any]]:
        return self.table(path, **given).to_pylist()

    def load(self, target: str, rows: Sequence[Mapping[str, Any]] = ROWS, *, token: str = "run/load", **given: Any):
        return self.files.load(stream(rows), order(target, token=token, **given))


def table(files: FileConnector, selection: Selection) -> pa.Table:
    reading = files.read(selection)
    try:
        return pa.Table.from_batches(list(reading), reading.schema)
    finally:
        reading.close()


def stream(rows: Sequence[Mapping[str, Any]] = ROWS, schema: pa.Schema = SCHEMA) -> Batches:
    """The rows, two in a batch."""
    batches = [pa.RecordBatch.from_pylist(list(rows[at : at + 2]), schema=schema) for at in range(0, len(rows), 2)]
    return Batches(schema, batches)


def order(target: str, *, token: str = "run/load", mode: Mode = Mode.REPLACE, **given: Any) -> Order:
    return Order(token=token, target=target, mode=mode, **given)
