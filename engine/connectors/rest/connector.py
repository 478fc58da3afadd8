"""Web services: one GET for a look, all pages of an endpoint as a source, records sent as a destination.

Law: redirects are followed by hand: inside the same origin as they are, to another origin without any header or
login of the connection (FAULTS 43), and never with a body. A look gives whatever status comes; reads and loads ask
again where that can help. A read's Arrow is loaded when something is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from engine.connectors.rest import logins
from engine.connectors.rest.address import Base, origin, place
from engine.connectors.rest.patience import RETRIES, Accept, Patience
from engine.connectors.rest.rate import Rate, file_of
from engine.connectors.rest.wire import MOST_BYTES, TOTAL_SECONDS, Wire, no_login
from engine.connectors.trust import trusted
from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection
from engine.ports.connector import Fetched
from engine.ports.source import Candidate, Reading, Selection
from engine.rules.web import failure_of_status

if TYPE_CHECKING:
    import pyarrow as pa

MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class WebConnector:
    """Requests below one `base_url`, with the connection's headers and login.

    Config: base_url, headers, auth (engine.connectors.rest.logins), verify (true, false or a CA file),
    timeout_seconds, max_bytes, test_path, retries, pagination, data_path, graphql_path.
    """

    def __init__(
        self,
        connection: Connection,
        root: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        config = connection.config
        self.connection = connection
        self.base = Base(connection.id, str(config.get("base_url") or config.get("url") or ""))
        self._headers = {str(name): str(value) for name, value in (config.get("headers") or {}).items()}
        self._wire = Wire(
            named=f"Connection '{connection.id}'",
            verify=trusted(connection.id, config.get("verify", True), root or Path()),
            total_seconds=float(config.get("timeout_seconds", TOTAL_SECONDS)),
            most_bytes=int(config.get("max_bytes", MOST_BYTES)),
            monotonic=monotonic,
        )
        self._login = logins.login(connection.id, config.get("auth"), self._post_for_token)
        self._patience = Patience(
            rate=_rate(connection, root),
            retries=int(config.get("retries", RETRIES)),
            monotonic=monotonic,
        )

    @property
    def secret_parameter(self) -> str | None:
        """The parameter that carries the key, where the key travels so."""
        auth = self.connection.config.get("auth")
        return auth.get("query") if isinstance(auth, Mapping) and auth.get("type") == "api_key" else None

    def fetch(self, url: str) -> Fetched:
        """GET one URL, relative to base_url; any status is an answer, not a failure."""
        self._patience.keep_rate()
        return self._renewing("GET", self.base.address(url), {}, None)

    def request(
        self,
        method: str,
        address: str,
        where: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        accept: Accept | None = None,
    ) -> Fetched:
        """One answer that is one: patiently, and with a failure of the right kind when there is none."""
        asked = _with_parameters(address, parameters or {})
        return self._patience.ask(lambda: self._renewing(method, asked, headers or {}, body), where, accept)

    def test(self) -> str:
        """One GET of test_path (default: base_url itself); anything but a refusal or trouble is well."""
        if not self.base.url:
            raise ConfigurationError(f"Connection '{self.connection.id}' has no base_url to ask.")
        shown = place(self.base.url)
        fetched = self.fetch(str(self.connection.config.get("test_path", "")))
        if fetched.status >= 500 or fetched.status in (401, 403, 407, 429):
            failure = failure_of_status(fetched.status, shown, retry_after=fetched.retry_after)
            raise failure or ConfigurationError(f"{shown} wants a proxy login.")
        return f"{shown} answers with status {fetched.status}."

    def discover(self, pattern: str = "*", limit: int = 1000) -> Sequence[str]:
        """A web service does not say which endpoints it has."""
        return ()

    def schema_of(self, selection: Selection) -> pa.Schema:
        """The columns of the first pages."""
        return self.read(selection).schema

    def candidates(self, selection: Selection) -> Sequence[Candidate]:
        """Ways to read it incrementally, by looking at the first page."""
        found: Sequence[Candidate] = self._reading(selection).candidates()
        return found

    def newest(self, selection: Selection) -> Any:
        """Not without reading everything."""
        return None

    def read(self, selection: Selection) -> Reading:
        """All pages, when they are asked for."""
        reading: Reading = self._reading(selection)
        return reading

    def _reading(self, selection: Selection) -> Any:
        from engine.connectors.rest.endpoint import RestEndpoint
        from engine.connectors.rest.reading import RestReading

        if selection.query is not None:
            from engine.connectors.rest.graphql import GraphqlEndpoint

            return RestReading(GraphqlEndpoint(self, selection), selection)
        return RestReading(RestEndpoint(self, selection), selection)

    def close(self) -> None:
        """Let go of open connections."""
        self._wire.close()

    def _post_for_token(self, url: str, headers: Mapping[str, str], body: bytes) -> Fetched:
        """Asked by a login in the midst of a request: a wire of its own, for each wire has one watch."""
        wire = Wire(
            named=f"Connection '{self.connection.id}'",
            verify=self._wire.verify,
            total_seconds=self._wire.total_seconds,
            monotonic=self._wire.monotonic,
        )
        try:
            return wire.exchange("POST", url, headers=headers, body=body)
        finally:
            wire.close()

    def _renewing(self, method: str, address: str, headers: Mapping[str, str], body: bytes | None) -> Fetched:
        fetched = self._following(method, address, headers, body)
        if fetched.status == 401 and self._login is not None and self._login.renew():
            return self._following(method, address, headers, body)
        return fetched

    def _following(self, method: str, address: str, headers: Mapping[str, str], body: bytes | None) -> Fetched:
        deadline, home = self._wire.deadline(), origin(address)
        for _ in range(MOST_REDIRECTS + 1):
            own = origin(address) == home  # which is the base's own, where there is one
            fetched = self._wire.exchange(
                method,
                address,
                login=self._login if own and self._login else no_login,
                headers={**self._headers, **headers} if own else {},
                body=body,
                deadline=deadline,
            )
            target = fetched.headers.get("location")
            if fetched.status not in _REDIRECTS or not target:
                return fetched
            address = self._redirected(method, address, urljoin(address, target), fetched.status)
        raise ConfigurationError(f"{place(address)} redirects more than {MOST_REDIRECTS} times.")

    def _redirected(self, method: str, address: str, target: str, status: int) -> str:
        same = origin(target) == origin(address)
        if method != "GET" and not (same and status in (307, 308)):
            raise ConfigurationError(
                f"{place(address)} sends a {method} on to {place(target)} ({status}); what is sent is not "
                "handed on. Use the final address."
            )
        return target


def _rate(connection: Connection, root: Path | None) -> Rate | None:
    if not connection.per_second:
        return None
    return Rate(connection.per_second, connection.burst, file_of(root, connection.id))


def _with_parameters(address: str, parameters: Mapping[str, Any]) -> str:
    if not parameters:
        return address
    parts = urlsplit(address)
    pairs = [(name, _text(one)) for name, value in parameters.items() for one in _many(value) if one is not None]
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(pairs))))))


def _many(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
