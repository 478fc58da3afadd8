"""Reads of a DuckDB file.

Law: rows come from DuckDB as Arrow, a few thousand at a time, and a result is never held whole. What a query names
is bound; a query stands as a subquery, so that it can only look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from engine.connectors.databases.binding import bound
from engine.connectors.databases.duckdb_catalog import Catalog
from engine.connectors.databases.duckdb_session import Session
from engine.connectors.databases.duckdb_types import Plan
from engine.connectors.databases.naming import Name, quoted
from engine.connectors.databases.newness import Facts, Newness, Reach, candidates, chosen, must_have, newness
from engine.connectors.databases.rows import ROWS, Rows
from engine.model.errors import ConfigurationError
from engine.ports.source import Candidate, Selection
from engine.rules.watermarks import written

_VECTOR = 2048  # rows of DuckDB's own batches: the smallest step, so that wide rows stay few
_MARKERS = ("$penstock_after", "$penstock_upto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A selection, looked up."""

    plans: Sequence[Plan]  # of the columns that are handed out
    all: Sequence[Plan]
    origin: str  # what stands after FROM
    values: dict[str, Any]
    table: Name | None

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([plan.field for plan in self.plans])


class Looking:
    """Looks at what a selection names."""

    def __init__(self, session: Session, selection: Selection) -> None:
        self._session, self._selection = session, selection
        self._link = session.looking()
        self._catalog = Catalog(self._link, session.id)
        self.where = f"Connection '{session.id}', {self._what}"

    @property
    def _what(self) -> str:
        return f"table '{self._selection.table}'" if self._selection.table else "query"

    def asked(self) -> Asked:
        """The selection's columns and where they come from."""
        selection = self._selection
        if selection.table:
            table = self._catalog.get(selection.table)
            plans = self._catalog.plans(table)
            return Asked(plans=self._wanted(plans), all=plans, origin=table.sql, values={}, table=table)
        if not selection.query:
            raise ConfigurationError(f"Connection '{self._session.id}' is a database: name a `table` or a `query`.")
        query, values = bound(selection.query, selection.parameters, lambda name: f"${name}")
        plans = self._catalog.query_plans(query, values)
        return Asked(plans=self._wanted(plans), all=plans, origin=f"({query}\n) AS q", values=values, table=None)

    def _wanted(self, plans: Sequence[Plan]) -> Sequence[Plan]:
        known = {plan.field.name: plan for plan in plans}
        return [known[name] for name in chosen(self._selection.columns, list(known), self.where)]

    def candidates(self) -> list[Candidate]:
        """Ways to read the table incrementally."""
        asked = self.asked()
        unique = self._catalog.unique(asked.table) if asked.table else []
        return candidates(
            [
                Facts(
                    field=plan.field,
                    indexed=any(key[0] == plan.field.name for key in unique),
                    primary=bool(unique) and unique[0] == [plan.field.name],
                )
                for plan in asked.all
            ]
        )

    def newest(self) -> Any:
        """The highest watermark there."""
        asked = self.asked()
        window = self._newness(asked)
        if window is None:
            return None
        column = next(plan for plan in asked.all if plan.field.name == window.field.name)
        query = f"SELECT max({column.expression}) AS newest FROM {asked.origin}"
        row = self._link.execute(query, asked.values).fetchone()
        return written(row[0]) if row else None

    def _newness(self, asked: Asked) -> Newness | None:
        if self._selection.window is None:
            return None
        schema = pa.schema([plan.field for plan in asked.all])
        return newness(self._selection.window, schema, self.candidates(), self.where)

    def read(self) -> Rows:
        """Open the read."""
        asked = self.asked()
        window = self._newness(asked)
        plans = list(asked.plans)
        values = dict(asked.values)
        query = (
            f"SELECT {', '.join(f'{p.expression} AS {quoted(p.field.name)}' for p in plans)} FROM {asked.origin}"
        )
        if window is not None:
            must_have(window, asked.schema.names, self.where)
            condition, bounds = window.condition(quoted(window.field.name), _MARKERS)
            query += f" WHERE {condition}"
            values |= dict(zip((each[1:] for each in _MARKERS), bounds, strict=False))
        own = asked.table.table if asked.table else "query"
        return Rows(
            asked.schema,
            self._batches(query, values, asked.schema),
            dataset=f"{self._session.id}:{self._selection.object}",
            uri=f"{self._session.uri}#{own}",
            reach=Reach(window, datetime.now(UTC)) if window is not None else None,
            rows=int(self._selection.options.get("batch_rows") or ROWS),
        )

    def _batches(self, query: str, values: dict[str, Any], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        # A cursor of its own, so that looks in between do not end it; opened late, so that a load may come first.
        cursor = self._session.looking().cursor()
        self._session.reading += 1
        try:
            with self._session.failures(self._what):
                cursor.execute("SET TimeZone = 'UTC'")
                reader = cursor.sql(query, params=values or None).to_arrow_reader(_VECTOR)
            while True:
                with self._session.streaming(self._what):
                    batch = next(reader, None)
                    if batch is None:
                        return
                    batch = pa.RecordBatch.from_arrays(batch.columns, schema=schema)
                yield batch
        finally:
            cursor.close()
            self._session.reading -= 1
