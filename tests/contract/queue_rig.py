"""What the rigs of queues share: a table is a queue of JSON objects, each read as a group of its own."""

from __future__ import annotations

import json
import uuid
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from engine.model.workspace import Connection
from engine.ports.source import Selection
from tests.contract.data_rigs.base import KIND_NAMES, ROWS, DataRig, json_row

encoded = msgspec.json.Encoder(decimal_format="number").encode


class ByTable:
    """The connector, with a path where the suites say `table`; a read ends with the messages that are there."""

    def __init__(self, queue: Any, rig: QueueRig) -> None:
        self._queue, self._rig = queue, rig

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._queue, name)
        if name not in ("read", "schema_of"):
            return found
        return lambda given: found(self._at_path(given))

    def _at_path(self, given: Selection) -> Selection:
        name = given.table or ""
        first = json.loads(self._rig.first(name) or b"{}")
        options: dict[str, Any] = {
            "group": uuid.uuid4().hex,
            "max_messages": max(1, self._rig.count(name)),
            "max_seconds": 60,
        }
        options["types"] = {column: KIND_NAMES[column] for column in first if column in KIND_NAMES}
        columns = tuple(given.columns) or tuple(first)  # and not what names the message itself
        return replace(given, path=name, table=None, columns=columns, options={**given.options, **options})


class QueueRig(DataRig):
    queries = False
    windows = False
    undoes = False
    atomic = False
    limits = False
    remembers = False
    makes = False
    lists = False
    many = 4_000  # each message is made safe by itself

    def __init__(self, type: str, config: Mapping[str, Any], root: Path) -> None:
        super().__init__(Connection(id="shop", type=type, config=dict(config)), root)
        self.used: list[str] = []

    def name(self) -> str:
        self.used.append(super().name())
        return self.used[-1]

    def connector(self) -> Any:
        return ByTable(super().connector(), self)

    def seed_kinds(self, name: str) -> None:
        self.put(name, [encoded(json_row(row)) for row in ROWS])

    def seed_events(self, name: str, rows: Sequence[tuple[int, datetime | None, str]]) -> None:
        made = [{"id": n, "updated_at": at and at.isoformat(), "note": note} for n, at, note in rows]
        self.put(name, [encoded(each) for each in made])

    @abstractmethod
    def put(self, name: str, payloads: Sequence[bytes]) -> None:
        """Send these, into a queue that is made where it is missing."""

    @abstractmethod
    def first(self, name: str) -> bytes | None:
        """The payload of the oldest message, which stays."""

    def exists(self, name: str) -> bool:
        return self.count(name) > 0

    def leftovers(self) -> Sequence[str]:
        return ()
