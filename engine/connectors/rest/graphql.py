"""GraphQL: a query asked page after page.

Law: values travel as variables, never inside the query. A connection object (nodes or edges beside pageInfo) is
walked by its endCursor. An answer with errors is a failure, whatever data is beside them: half an answer is not
loaded as a whole one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.connectors.rest.address import shown
from engine.connectors.rest.connector import WebConnector
from engine.connectors.rest.paths import at_path, records_at
from engine.model.errors import (
    ConfigurationError,
    DataQualityError,
    NetworkError,
    PermissionFailure,
    RateLimited,
    TaskFailure,
)
from engine.model.workspace import Connection
from engine.ports.connector import Fetched
from engine.ports.source import Selection

if TYPE_CHECKING:
    from engine.connectors.rest.walk import Walk

_DEEPEST = 8
_CODES: Mapping[str, type[TaskFailure]] = {
    "UNAUTHENTICATED": PermissionFailure,
    "FORBIDDEN": PermissionFailure,
    "UNAUTHORIZED": PermissionFailure,
    "RATE_LIMITED": RateLimited,
    "THROTTLED": RateLimited,
    "TOO_MANY_REQUESTS": RateLimited,
    "INTERNAL_SERVER_ERROR": NetworkError,
    "SERVICE_UNAVAILABLE": NetworkError,
}


def connect(connection: Connection, root: Path) -> GraphqlConnector:
    """A connector for a `graphql` connection."""
    return GraphqlConnector(connection, root)


class GraphqlConnector(WebConnector):
    """A source; mutations are no loads. `base_url` is the address that takes queries."""


class GraphqlEndpoint:
    """See engine.connectors.rest.reading.Endpoint."""

    def __init__(self, connector: WebConnector, selection: Selection) -> None:
        connection, options = connector.connection, selection.options
        path = connection.config.get("graphql_path", "" if connection.type == "graphql" else "graphql")
        self._connector, self._options = connector, options
        self._query = str(selection.query)
        self._variables = dict(selection.parameters)
        self._address = connector.base.address(str(path))
        self.where = f"Connection '{connection.id}', GraphQL query"
        self.uri = shown(self._address)
        self.dataset = f"{connection.id}:{selection.object}"
        self.data_path: str | None = options.get("data_path", connection.config.get("data_path"))

    def walk(self, state: Mapping[str, Any] | None) -> Walk:
        """By cursors, where the query takes one."""
        from engine.connectors.rest.walk import MAX_PAGES, Walk

        plan = {"type": "cursor", "cursor_path": "cursor", "cursor_parameter": self._variable() or "after"}
        most = int(self._options.get("max_pages", MAX_PAGES))
        return Walk(self.where, parameters=self._variables, plan=plan, max_pages=most, state=state)

    def ask(self, following: Mapping[str, Any], extra: Mapping[str, Any], headers: Mapping[str, str]) -> Fetched:
        """One page; its cursor is put where the walk looks for it."""
        variables = {**self._variables, **extra, **following["parameters"]}
        body = json.dumps({"query": self._query, "variables": variables}, ensure_ascii=False).encode()
        given = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        return self._connector.request(
            "POST", self._address, self.where, headers=given, body=body, accept=self._accept
        )

    def seen(self, body: Any, where: str) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
        """The records of an answer, and what the walk goes by."""
        data = body.get("data") if isinstance(body, Mapping) else None
        if not isinstance(data, Mapping):
            raise DataQualityError(f"{where} has no `data`; is base_url the address of a GraphQL service?")
        if self.data_path is None:
            self.data_path = _looked_for(data)
        records = records_at(data, self.data_path, where)
        if self.data_path and self.data_path.rpartition(".")[2] == "edges":
            records = [node for each in records if isinstance(node := each.get("node"), Mapping)]
        return records, self._cursor(data, where)

    def _cursor(self, data: Mapping[str, Any], where: str) -> dict[str, Any]:
        parent = (self.data_path or "").rpartition(".")[0]
        info = at_path(data, f"{parent}.pageInfo" if parent else "pageInfo")
        if info is None:
            info = at_path(data, f"{self.data_path}.pageInfo")
        if not isinstance(info, Mapping) or not info.get("hasNextPage"):
            return {"has_more": False, "cursor": info.get("endCursor") if isinstance(info, Mapping) else None}
        if self._variable() is None:
            raise ConfigurationError(
                f"{where} has more pages, and the query has no variable for a cursor: declare $after: String and "
                "write (after: $after)."
            )
        return {"has_more": True, "cursor": info.get("endCursor")}

    def _variable(self) -> str | None:
        named = (self._options.get("pagination") or {}).get("cursor_parameter")
        names = [str(named)] if named else ["after", "cursor"]
        return next((name for name in names if re.search(rf"\${re.escape(name)}\s*:", self._query)), None)

    def _accept(self, fetched: Fetched) -> TaskFailure | None:
        """The failure that `errors` stands for; services send it with 200 and with 400."""
        if fetched.status not in (200, 400, 422):
            return None
        try:
            body = json.loads(fetched.body)
        except (ValueError, RecursionError):
            return None
        errors = body.get("errors") if isinstance(body, Mapping) else None
        if not isinstance(errors, list) or not errors:
            return None
        first = errors[0] if isinstance(errors[0], Mapping) else {}
        code = str(at_path(first, "extensions.code") or first.get("type") or "").upper()
        kind = _CODES.get(code, DataQualityError if body.get("data") else ConfigurationError)
        return kind(f"{self.where} answered with errors: {self._words(first)}.", retry_after=fetched.retry_after)

    def _words(self, error: Mapping[str, Any]) -> str:
        """What the service says, without the values that were sent to it."""
        words = " ".join(str(error.get("message", "no message")).split())
        for text in sorted((one for one in _texts(self._variables) if len(one) > 2), key=len, reverse=True):
            words = words.replace(text, "…")
        path = error.get("path")
        at = f" (at {'.'.join(str(each) for each in path)[:80]})" if isinstance(path, list) else ""
        return words[:200].rstrip(".") + at


def _looked_for(data: Mapping[str, Any]) -> str | None:
    """The path of the one list: nodes or edges beside pageInfo first, else the first list on the way down."""
    for names in (("nodes", "edges"), None):
        for path, value in _inside(data, "", 0):
            if isinstance(value, list) and (names is None or path.rpartition(".")[2] in names):
                return path
    return next(iter(data), None)


def _inside(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return
    for name, inner in value.items():
        below = f"{path}.{name}" if path else str(name)
        yield below, inner
        yield from _inside(inner, below, depth + 1)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
