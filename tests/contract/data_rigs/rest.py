"""A web service with a list of records below each name: pages by offset, POST adds to it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.model.workspace import Connection
from engine.ports.source import Selection
from tests.contract.data_rigs.base import KIND_NAMES, PASSWORD, ROWS, DataRig, json_row
from tests.contract.web_service import Answer, Asked, serving

PAGE = 1_000
encoded = msgspec.json.Encoder(decimal_format="number").encode
LOGIN = "Basic " + base64.b64encode(f"etl:{PASSWORD}".encode()).decode()


@contextmanager
def open_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RestRig]:
    records: dict[str, list[Any]] = {}
    with serving(lambda asked: answer(records, asked)) as service:
        auth = {"type": "basic", "username": "etl", "password": PASSWORD}
        config = {"base_url": service.url, "auth": auth, "retries": 0}
        rig = RestRig(Connection(id="shop", type="rest", config=config), tmp_path)
        rig.records = records
        try:
            yield rig
        finally:
            rig.close()


def answer(records: dict[str, list[Any]], asked: Asked) -> Any:
    """As a service would: the login looked at, its own records only."""
    name = asked.path.strip("/")
    if asked.headers.get("authorization") != LOGIN:
        return Answer(401)
    if asked.method == "POST":
        given = json.loads(asked.body, parse_float=Decimal)  # digit by digit, as a service with decimals does
        records.setdefault(name, []).extend(given if isinstance(given, list) else [given])
        return Answer(201, {})
    if name and name not in records:
        return Answer(404, {"error": "not found"})
    at, there = int(asked.query.get("offset", 0)), records.get(name, [])
    wide = len(str(there[:1])) > 10_000
    body = {"results": there[at : at + (20 if wide else PAGE)], "total": len(there), "offset": at}
    return Answer(200, encoded(body))


class ByTable:
    """The connector, with an endpoint where the suites say `table`, and the kinds that JSON does not tell."""

    def __init__(self, service: Any, records: dict[str, list[Any]]) -> None:
        self._service, self._records = service, records

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._service, name)
        if name not in ("read", "schema_of", "candidates", "newest"):
            return found
        return lambda given: found(self._at_endpoint(given))

    def _at_endpoint(self, given: Selection) -> Selection:
        name = given.table or ""
        first = next(iter(self._records.get(name, ())), {})
        types = {column: KIND_NAMES[column] for column in first if column in KIND_NAMES}
        return replace(given, endpoint=f"/{name}", table=None, options={**given.options, "types": types})


class RestRig(DataRig):
    queries = False
    undoes = False
    atomic = False
    limits = False
    remembers = False
    makes = False
    lists = False

    records: dict[str, list[Any]]

    def connector(self) -> Any:
        return ByTable(super().connector(), self.records)

    def seed_kinds(self, name: str) -> None:
        self.records[name] = [json_row(row) for row in ROWS]

    def seed_events(self, name: str, rows: Sequence[tuple[int, datetime | None, str]]) -> None:
        made = [{"id": n, "updated_at": at and at.isoformat(), "note": note} for n, at, note in rows]
        self.records.setdefault(name, []).extend(made)

    def count(self, name: str) -> int:
        return len(self.records.get(name, ()))

    def exists(self, name: str) -> bool:
        return name in self.records

    def leftovers(self) -> Sequence[str]:
        return ()
