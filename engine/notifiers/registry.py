"""Which notifier serves which connection type.

Law: a notifier's module is imported when its first message goes out. Rates are the caller's: whoever sends takes
from the connection's bucket (engine.rules.rates) first.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Protocol, cast

from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection
from engine.notifiers.log import LogNotifier
from engine.ports.notifier import Message, Notifier

_MODULES = {
    "webhook": ("engine.notifiers.webhook", "WebhookNotifier"),
    "slack": ("engine.notifiers.slack", "SlackNotifier"),
    "apprise": ("engine.notifiers.apprise_service", "AppriseNotifier"),
    "email": ("engine.notifiers.apprise_service", "AppriseNotifier"),
}
TYPES = frozenset({*_MODULES, "log"})


class TestableNotifier(Notifier, Protocol):
    """A notifier that can say whether it could send, without sending."""

    def test(self, connection: Connection) -> str: ...


class Notifiers:
    """All of them as one Notifier."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._log = LogNotifier(logger or logging.getLogger("penstock.notify"))

    def accepts(self, connection: Connection) -> bool:
        """Whether any of them serves the connection's type."""
        return connection.type in TYPES

    def send(self, connection: Connection, message: Message) -> None:
        """Deliver through the one that serves it; the connection's secrets are resolved."""
        self._serving(connection).send(connection, message)

    def test(self, connection: Connection) -> str:
        """Whether it could be sent; nothing is."""
        return self._serving(connection).test(connection)

    def _serving(self, connection: Connection) -> TestableNotifier:
        if connection.type == "log":
            return self._log
        found = _MODULES.get(connection.type)
        if found is None:
            raise ConfigurationError(
                f"Connection '{connection.id}' is of type '{connection.type[:40]}', through which nothing can be "
                f"told. Messages go through {', '.join(sorted(TYPES))}."
            )
        return cast(TestableNotifier, getattr(import_module(found[0]), found[1])())


def of_url(url: str) -> Connection:
    """A bare URL as a connection: http(s) is a webhook, log: the log, anything else apprise's to understand."""
    scheme = url.partition(":")[0].lower()
    kind = {"http": "webhook", "https": "webhook", "log": "log"}.get(scheme, "apprise")
    return Connection(id="url", type=kind, config={"url": url})
