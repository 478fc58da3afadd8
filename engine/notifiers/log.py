"""The log as a place to send to: for trying out, and for machines without a way outside.

Law: it cannot fail. In an attempt the line lands in the attempt's log, in the engine in the engine's.
"""

from __future__ import annotations

import logging

from engine.model.workspace import Connection
from engine.ports.notifier import Message

TYPES = frozenset({"log"})
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR, "critical": logging.CRITICAL}


class LogNotifier:
    """Connections {type: log}."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def accepts(self, connection: Connection) -> bool:
        """By type."""
        return connection.type in TYPES

    def send(self, connection: Connection, message: Message) -> None:
        """One line."""
        said = f"{message.title}: {message.body}" if message.title else message.body
        self._logger.log(_LEVELS.get(message.severity, logging.INFO), "[%s] %s", connection.id, said)

    def test(self, connection: Connection) -> str:
        """Always well."""
        return "Messages go to the log."
