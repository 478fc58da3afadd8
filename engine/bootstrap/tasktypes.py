"""Task types with what they reach of other rooms handed in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.model.workspace import Connection
from engine.ports.connector import Fetched
from engine.ports.destination import Destination
from engine.ports.notifier import Message
from engine.ports.source import Source
from engine.tasks.registry import TaskServices, TaskTypes, all_types


def task_types(root: Path | None = None) -> TaskTypes:
    """Every type of this installation; connectors and notifiers load when a task first reaches for them.

    Without a root, paths in connections are read from the working directory: an attempt's is the workspace."""

    def scalar(connection: Connection, query: str, parameters: Mapping[str, Any]) -> Any:
        from engine.connectors.registry import Connectors

        return Connectors(root or Path.cwd()).scalar(connection, query, parameters)

    def fetch(connection: Connection | None, url: str) -> Fetched:
        from engine.connectors.registry import Connectors

        return Connectors(root or Path.cwd()).fetch(connection, url)

    def source(connection: Connection) -> Source:
        from engine.connectors.registry import Connectors

        return Connectors(root or Path.cwd()).source(connection)

    def destination(connection: Connection) -> Destination:
        from engine.connectors.registry import Connectors

        return Connectors(root or Path.cwd()).destination(connection)

    return all_types(
        TaskServices(
            scalar=scalar,
            fetch=fetch,
            send=send_message,
            of_url=url_connection,
            source=source,
            destination=destination,
        )
    )


def send_message(connection: Connection, message: Message) -> None:
    """Through the notifier that serves the connection."""
    from engine.notifiers.registry import Notifiers

    Notifiers().send(connection, message)


def url_connection(url: str) -> Connection:
    """A bare URL as a connection."""
    from engine.notifiers.registry import of_url

    return of_url(url)
