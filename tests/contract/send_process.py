"""Processes that send rows and die on the way: `python -m tests.contract.send_process`, a life as JSON a line.

Each life is a process of its own, forked before any library has made a thread. It says its id and waits for a line,
so that whoever kills it knows it; it says `confirmed N` when N rows are; its end is told by its parent. It kills
itself at a place that was named: the Nth batch of the stream, of the confirmed ones, the seal, or for Kafka the Nth
message that is handed to the library or reported by it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

import engine.dataflow.outgoing  # noqa: F401  once, and not in every life
from engine.connectors.registry import Connectors
from engine.dataflow.streams import Batches
from engine.model.workspace import Connection
from engine.ports.destination import Destination, Order

ROWS, BATCH, STREAMED = 240, 30, 50
SCHEMA = pa.schema([("id", pa.int64()), ("note", pa.string())])


def row(number: int) -> dict[str, Any]:
    return {"id": number, "note": f"näme {number}"}


class Places:
    """Counts how often a place is passed, and dies at the time that was named."""

    def __init__(self, die: Mapping[str, Any] | None) -> None:
        self._place, self._left = (die["place"], int(die["at"])) if die else ("", 0)

    def passed(self, place: str) -> None:
        if place == self._place:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def in_kafka(self) -> None:
        """Inside the library no proxy can look: its clients go to the addresses that the cluster names."""
        import confluent_kafka

        from engine.connectors.queues import kafka

        passed, plain = self.passed, kafka._Producer._delivered

        class Counted(confluent_kafka.Producer):
            def produce(self, *args: Any, **kwargs: Any) -> None:
                passed("produced")
                super().produce(*args, **kwargs)

        def delivered(producer: Any, error: Any, message: Any) -> None:
            passed("delivered")
            plain(producer, error, message)

        kafka.kafka.Producer = Counted  # type: ignore[misc]
        kafka._Producer._delivered = delivered  # type: ignore[method-assign]


def stream(first: int, places: Places) -> Batches:
    def batches() -> Iterator[pa.RecordBatch]:
        for at in range(0, ROWS, STREAMED):
            places.passed("streamed")
            given = [row(first + number) for number in range(at, min(at + STREAMED, ROWS))]
            yield pa.RecordBatch.from_pylist(given, schema=SCHEMA)

    return Batches(SCHEMA, batches())


def opened(asked: Mapping[str, Any]) -> Destination:
    """The connector; it connects when it is first asked to do something."""
    connection = Connection(id="sink", type=asked["type"], config=asked["config"])
    return Connectors(Path(asked["scratch"])).destination(connection)


def one_life(asked: Mapping[str, Any]) -> None:
    """`load`, or `stage` and `publish`, whichever are asked for."""
    places, scratch = Places(asked["die"]), Path(asked["scratch"])
    if asked["type"] == "kafka":
        places.in_kafka()

    def progress(rows: int) -> None:
        tell(f"confirmed {rows}")
        places.passed("confirmed")

    def seal() -> Mapping[str, Any]:
        places.passed("seal")
        return {}

    options = {"batch_rows": BATCH, "scratch": str(scratch), **asked["options"]}
    order = Order(token=asked["token"], target=asked["target"], options=options, progress=progress, seal=seal)
    connector = opened(asked)
    note = scratch / "staged.json"
    for step in asked["steps"]:
        if step == "load":
            connector.load(stream(asked["first"], places), order)
        elif step == "stage":
            note.write_text(json.dumps(dict(connector.stage(stream(asked["first"], places), order))))
        else:
            connector.publish(json.loads(note.read_text()), order)
    connector.close()


def tell(line: str) -> None:
    """In one piece: a line that a kill could tear would say something else."""
    os.write(1, f"{line}\n".encode())


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        opened(asked).close()  # so that its library is loaded once and not in every life
        child = os.fork()
        if child == 0:
            tell(f"pid {os.getpid()}")
            os.read(0, 3)
            one_life(asked)
            os._exit(0)  # an error ends it too, with its traceback
        _, status = os.waitpid(child, 0)
        tell(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
