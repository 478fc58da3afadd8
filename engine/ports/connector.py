"""Connectors as other rooms see them: one look into a system outside.

Law: a connection comes in with its secrets resolved, and no message of a failure carries one. Whatever goes wrong
is a TaskFailure of the right kind. Answers are bounded in bytes and time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.model.workspace import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One HTTP answer, whatever its status."""

    url: str  # where it came from, after redirects
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    retry_after: float | None = None  # seconds the other side asked us to wait


class Scalar(Protocol):
    """The first cell of a query's first row, None when there is no row; read-only."""

    def __call__(self, connection: Connection, query: str, parameters: Mapping[str, Any]) -> Any: ...


class Fetch(Protocol):
    """GET one URL; relative to the connection's `base_url` where there is a connection."""

    def __call__(self, connection: Connection | None, url: str) -> Fetched: ...
