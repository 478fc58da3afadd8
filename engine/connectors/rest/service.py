"""A REST service: source and destination in one."""

from __future__ import annotations

from pathlib import Path

from engine.connectors.rest.connector import WebConnector
from engine.connectors.rest.sending import Sending
from engine.model.workspace import Connection


def connect(connection: Connection, root: Path) -> RestConnector:
    """A connector for a `rest` or `http` connection."""
    return RestConnector(connection, root)


class RestConnector(Sending, WebConnector):
    """Reads pages of records, and sends records."""
