"""Plain webhook: one JSON document by POST.

Law: the document is {title, message, severity, key}; what the receiver makes of it is its own business. `key` is
the same for a repeated delivery of the same fact, so the receiver can drop it.
"""

from __future__ import annotations

from engine.model.workspace import Connection
from engine.notifiers.posting import TIMEOUT_SECONDS, place, post, require_web
from engine.ports.notifier import Message

TYPES = frozenset({"webhook"})


class WebhookNotifier:
    """Connections {type: webhook, url, headers, timeout_seconds}."""

    def accepts(self, connection: Connection) -> bool:
        """By type."""
        return connection.type in TYPES

    def send(self, connection: Connection, message: Message) -> None:
        """POST it."""
        config = connection.config
        headers = {str(name): str(value) for name, value in (config.get("headers") or {}).items()}
        document = {
            "title": message.title,
            "message": message.body,
            "severity": message.severity,
            "key": message.key,
        }
        post(_url(connection), document, headers, float(config.get("timeout_seconds", TIMEOUT_SECONDS)))

    def test(self, connection: Connection) -> str:
        """Whether it could be sent; nothing is."""
        return f"A webhook at {place(_url(connection))}; nothing was sent."


def _url(connection: Connection) -> str:
    return require_web(str(connection.config.get("url", "")), f"Connection '{connection.id}'")
