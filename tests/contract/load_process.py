"""A process that loads and may be killed: python -m tests.contract.load_process '{"type": ..., "config": ...}'.

It prints `batch` before each batch and `done` with the outcome; PENSTOCK_FAILPOINT makes it die by itself. With a
`step` it stages, publishes or takes back instead, as one of several targets does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.connectors.registry import Connectors
from engine.dataflow.streams import Batches
from engine.model.workspace import Connection
from engine.ports.destination import Mode, Order
from tests.contract.load_rig import COLUMNS, FLAGGED, batch, order, seal

BATCHES, SIZE = 20, 50
FILE_BYTES = 10_000  # where rows go as files: several of them
FIRST = 1_000  # the id of the first row that is loaded


def schema(mode: Mode) -> pa.Schema:
    return FLAGGED if mode is Mode.MERGE else COLUMNS


def rows(mode: Mode) -> Iterator[tuple[Any, ...]]:
    """What is loaded: rows of new keys, and where keys count one that is there."""
    for at in range(BATCHES * SIZE):
        old = at == 0 and mode in (Mode.UPSERT, Mode.MERGE)
        yield (1 if old else FIRST + at, f"name {at}", False)[: len(schema(mode))]


def stream(mode: Mode) -> Batches:
    def batches() -> Iterator[pa.RecordBatch]:
        given = list(rows(mode))
        for at in range(0, len(given), SIZE):
            print("batch", flush=True)
            yield batch(given[at : at + SIZE], schema(mode))

    return Batches(schema(mode), batches())


def main() -> None:
    asked = json.loads(sys.argv[1])
    mode = Mode(asked["mode"])
    connection = Connection(id="base", type=asked["type"], config=asked["config"])
    if connection.type == "snowflake":
        from engine.connectors.databases import snowflake_loading

        snowflake_loading.FILE_BYTES = FILE_BYTES
    connector: Any = Connectors(Path(asked["root"])).open(connection)
    one = order("killed", mode, scope="s", seal=seal(asked["seal"]))
    if "step" in asked:
        take(connector, asked["step"], one, asked["staged"])
        return
    loaded = connector.load(stream(mode), one)
    print("done", json.dumps({"rows": loaded.rows, "already": loaded.already, "seal": loaded.seal}), flush=True)


def take(connector: Any, step: str, one: Order, staged: Mapping[str, Any]) -> Mapping[str, Any]:
    """A step of one of several targets; what is staged."""
    if step == "stage":
        return dict(connector.stage(stream(one.mode), one))
    getattr(connector, step)(staged, one)
    return staged


if __name__ == "__main__":
    main()
