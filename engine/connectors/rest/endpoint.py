"""One endpoint of a REST service, as it is walked through.

Law: parameters of the definition go with each page, those of the walk over them; a next address that the server
gave is asked as it is, on the connection's own origin only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.connectors.rest import pages
from engine.connectors.rest.address import shown
from engine.connectors.rest.paths import path_seen, records_at
from engine.connectors.rest.walk import MAX_PAGES, Walk
from engine.dataflow.records import Record
from engine.model.errors import ConfigurationError
from engine.ports.connector import Fetched
from engine.ports.source import Selection

if TYPE_CHECKING:
    from engine.connectors.rest.connector import WebConnector


class RestEndpoint:
    """See engine.connectors.rest.reading.Endpoint."""

    def __init__(self, connector: WebConnector, selection: Selection) -> None:
        path = selection.endpoint if selection.endpoint is not None else selection.path
        if path is None:
            raise ConfigurationError(
                f"Connection '{connector.connection.id}' reads an `endpoint`, not a table: write `endpoint: /path`."
            )
        config, options = connector.connection.config, selection.options
        self._connector, self._options = connector, options
        self._parameters = selection.parameters
        self._address = connector.base.address(path)
        self.where = f"Connection '{connector.connection.id}', endpoint '{path.partition('?')[0]}'"
        self.uri = shown(self._address)
        self.dataset = f"{connector.connection.id}:{path}"
        self.data_path: str | None = options.get("data_path", config.get("data_path"))
        self._looked = self.data_path is not None

    def walk(self, state: Mapping[str, Any] | None) -> Walk:
        """From the first page, or where another attempt stopped."""
        given = self._options.get("pagination") or self._connector.connection.config.get("pagination")
        return Walk(
            self.where,
            parameters=self._parameters,
            plan=pages.configured(given),
            max_pages=int(self._options.get("max_pages", MAX_PAGES)),
            secret_parameter=self._connector.secret_parameter,
            state=state,
        )

    def ask(self, following: Mapping[str, Any], extra: Mapping[str, Any], headers: Mapping[str, str]) -> Fetched:
        """One page."""
        link = following.get("link")
        if link is not None:
            return self._request(self._connector.base.following(self._address, str(link)), {}, headers)
        return self._request(self._address, {**self._parameters, **extra, **following["parameters"]}, headers)

    def seen(self, body: Any, where: str) -> tuple[list[Record], Any]:
        """The records of one page, and the whole of it."""
        if not self._looked:
            self._looked = True
            self.data_path = self.data_path if self.data_path is not None else path_seen(body, where)
        return records_at(body, self.data_path, where), body

    def _request(self, address: str, parameters: Mapping[str, Any], headers: Mapping[str, str]) -> Fetched:
        method = str(self._options.get("method", "GET"))
        given = {str(name): str(value) for name, value in (self._options.get("headers") or {}).items()}
        body = None
        if method == "POST":
            given.setdefault("Content-Type", "application/json")
            body = json.dumps(self._options.get("body", {}), ensure_ascii=False).encode()
        return self._connector.request(
            method,
            address,
            self.where,
            parameters=parameters,
            headers={"Accept": "application/json", **given, **headers},
            body=body,
            accept=(lambda fetched: None) if headers else None,
        )
