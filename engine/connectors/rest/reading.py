"""A read of an endpoint: pages asked for when they are wanted, records handed out as Arrow batches.

Law: a page is asked for once, over all attempts: `position` stands behind the batches handed out, and rows that
have come are handed out before a failure is. The columns are learned from the first pages and kept to. Nothing is
asked before the schema or the first batch is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import pyarrow as pa

from engine.connectors.rest.newness import Newness, candidates
from engine.connectors.rest.walk import Walk
from engine.dataflow.kinds import columns_of
from engine.dataflow.records import Record, Shape, packed, unpacked
from engine.model.dataset import DatasetTouch, Direction, Strategy
from engine.model.errors import ConfigurationError, DataQualityError, TaskFailure
from engine.ports.connector import Fetched
from engine.ports.source import Candidate, Seen, Selection
from engine.ports.stream import RawText

_SAMPLE_ROWS = 1000  # looked at before the columns stand
_SAMPLE_PAGES = 10
_SAMPLE_BYTES = 4 << 20
_BATCH_ROWS = 10_000
_BATCH_BYTES = 4 << 20  # of answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer's records."""

    records: list[Record]
    size: int  # bytes
    where: str


class Endpoint(Protocol):
    """What is walked through: REST or GraphQL."""

    where: str
    uri: str
    dataset: str
    data_path: str | None

    def ask(
        self, following: Mapping[str, Any], extra: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Fetched: ...

    def walk(self, state: Mapping[str, Any] | None) -> Walk: ...

    def seen(self, body: Any, where: str) -> tuple[list[Record], Any]:
        """The records of an answer, and the part of it that tells what comes next."""


class RestReading:
    """See engine.ports.source.Reading."""

    acknowledges = False

    def __init__(self, endpoint: Endpoint, selection: Selection) -> None:
        self._endpoint, self._selection = endpoint, selection
        options = selection.options
        resume: Mapping[str, Any] = selection.resume if isinstance(selection.resume, Mapping) else {}
        self._resumed = bool(resume.get("walk"))
        self._types = dict(options.get("types") or {})
        self._batch_rows = int(options.get("batch_rows") or _BATCH_ROWS)
        self._shape = Shape(self._types, selection.columns)
        if resume.get("schema"):
            self._shape.settle(unpacked(resume["schema"]))
        self._schema: pa.Schema | None = self._shape.schema if resume.get("schema") else None
        self._endpoint.data_path = resume.get("data_path", endpoint.data_path)
        self._newness = (
            Newness(selection.window, options, endpoint.where, resume.get("newness")) if selection.window else None
        )
        self._walk = endpoint.walk(resume.get("walk"))
        self._bookmarked = False
        self._begin_at_bookmark()
        self._position: Mapping[str, Any] = resume
        self._cursor: str | None = None
        self._bytes = int(resume.get("bytes", 0))
        self._first: list[Page] = []
        self._trouble: TaskFailure | None = None
        self._batches: Iterator[pa.RecordBatch] | None = None

    @property
    def schema(self) -> pa.Schema:
        """Learned from the first pages."""
        if self._schema is None:
            self._learn()
        assert self._schema is not None
        return self._schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._batches is None:
            self._batches = self._read()
        return self._batches

    def close(self) -> None:
        """Nothing is open between two pages."""
        self._first = []

    def touches(self) -> Sequence[DatasetTouch]:
        columns = columns_of(self._schema) if self._schema is not None else ()
        return (
            DatasetTouch(
                direction=Direction.READ,
                dataset=self._endpoint.dataset,
                uri=self._endpoint.uri,
                bytes=self._bytes,
                columns=columns,
                transformation="extract",
            ),
        )

    def seen(self) -> Seen | None:
        if self._newness is None:
            return None
        plan, cursor = self._walk.plan or {}, self._cursor
        found = (str(plan.get("cursor_parameter", "cursor")), cursor) if cursor else None
        return self._newness.seen(self.schema, found)

    def position(self) -> Any:
        return self._position

    def raw(self) -> RawText | None:
        return None

    def acknowledge(self) -> None:
        """A web service is told nothing."""

    def candidates(self) -> Sequence[Candidate]:
        """Ways to read it incrementally, by looking at the first page."""
        page = next(self._pages(), None)
        cursors = (self._walk.plan or {}).get("type") == "cursor"
        return candidates(page.records if page else (), cursors)

    def _begin_at_bookmark(self) -> None:
        newness = self._newness
        if newness is None or self._resumed or not newness.kept.get("cursor"):
            return
        newness.strategy = newness.strategy or Strategy.CURSOR
        if newness.strategy is Strategy.CURSOR:
            self._bookmarked = True
            self._walk.begin_at(str(newness.kept["parameter"]), str(newness.kept["cursor"]))

    def _learn(self) -> None:
        """Ask for pages until enough is known of the columns, or something is wrong."""
        rows = size = 0
        try:
            for page in self._pages():
                self._first.append(page)
                rows, size = rows + len(page.records), size + page.size
                if rows >= _SAMPLE_ROWS or size >= _SAMPLE_BYTES or len(self._first) >= _SAMPLE_PAGES:
                    break
        except TaskFailure as failure:
            if not self._first:
                raise
            self._trouble = failure
        records = [record for page in self._first for record in page.records]
        self._choose(records)
        self._shape.learn(records)
        kept = self._newness.columns_kept() if self._newness and not records else []
        if kept:
            self._shape.settle(pa.schema(kept))
        self._schema = self._shape.schema

    def _choose(self, records: Sequence[Record]) -> None:
        if self._newness is None or self._newness.by_validators:
            return
        self._newness.choose(records, (self._walk.plan or {}).get("type") == "cursor")
        column = self._newness.column
        if self._newness.by_column and column not in self._types and self._newness.timed(records):
            self._shape = Shape({**self._types, column: "timestamp"}, self._columns_with(column))

    def _columns_with(self, column: str) -> Sequence[str]:
        wanted = self._selection.columns
        return (*wanted, column) if wanted and column not in wanted else wanted

    def _read(self) -> Iterator[pa.RecordBatch]:
        schema = self.schema
        held: list[pa.RecordBatch] = []
        rows = size = 0
        try:
            for page in self._all():
                if page.records:
                    held.append(self._batch(page))
                rows, size = rows + len(page.records), size + page.size
                if not self._first and (rows >= self._batch_rows or size >= _BATCH_BYTES):
                    yield from self._handed_out(held, schema, size)
                    held, rows, size = [], 0, 0
        except TaskFailure as failure:
            # What has come is handed out first; the consumer's next step is told.
            yield from self._handed_out(held, schema, size)
            raise failure
        yield from self._handed_out(held, schema, size)

    def _handed_out(self, held: list[pa.RecordBatch], schema: pa.Schema, size: int) -> Iterator[pa.RecordBatch]:
        self._bytes += size
        self._cursor = self._walk.cursor
        self._position = {
            "walk": self._walk.state(),
            "schema": packed(schema),
            "data_path": self._endpoint.data_path,
            "newness": self._newness.state() if self._newness else None,
            "bytes": self._bytes,
        }
        joined = pa.Table.from_batches(held, schema).combine_chunks().to_batches() if held else []
        yield from (each for each in joined if each.num_rows)

    def _batch(self, page: Page) -> pa.RecordBatch:
        batch = self._shape.batch(page.records, page.where)
        return self._newness.only_new(batch) if self._newness else batch

    def _all(self) -> Iterator[Page]:
        while self._first:
            yield self._first.pop(0)
        if self._trouble is not None:
            raise self._trouble
        yield from self._pages()

    def _pages(self) -> Iterator[Page]:
        while self._walk.following is not None:
            fetched = self._ask(self._walk.following)
            if self._newness is not None and self._walk.page == 0:
                self._newness.first_answer(fetched)
            if fetched.status == 304:
                self._walk.following = None
                return
            where = f"{self._endpoint.where}, page {self._walk.page + 1}"
            body = self._parsed(fetched.body, where)
            records, telling = self._endpoint.seen(body, where)
            self._walk.arrived(fetched, telling, records)
            yield Page(records=records, size=len(fetched.body), where=where)

    def _ask(self, following: Mapping[str, Any]) -> Fetched:
        newness = self._newness
        first = self._walk.page == 0
        extra = newness.parameters() if newness else {}
        headers = newness.headers() if newness and first else {}
        try:
            return self._endpoint.ask(following, extra, headers)
        except ConfigurationError:
            if not (first and self._bookmarked):
                raise
            # The server does not know the cursor any more: everything is read, and an upsert loses nothing.
            self._bookmarked = False
            self._walk.begin_again()
            assert self._walk.following is not None
            return self._endpoint.ask(self._walk.following, extra, headers)

    def _parsed(self, body: bytes, where: str) -> Any:
        if not body.strip():
            return []
        try:
            return json.loads(body, parse_float=Decimal if self._shape.exact else None, parse_constant=_constant)
        except (ValueError, RecursionError):
            begin = body[:40].decode("utf-8", "replace")
            raise DataQualityError(f"{where} is not JSON that can be read; it begins with {begin!r}.") from None


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
