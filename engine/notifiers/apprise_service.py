"""Every other service, through apprise: mail, Teams, Telegram, PagerDuty, ...

Law: apprise is imported when the first message goes out (it is heavy), and its answer, a log line with a status
in it, becomes the failure it stands for. Its log lines never leave this file: they may quote the address.
"""

from __future__ import annotations

import logging
import re
import warnings
from importlib import import_module
from typing import Any

from engine.model.errors import ConfigurationError, NetworkError, TimeoutFailure
from engine.model.workspace import Connection
from engine.ports.notifier import Message
from engine.rules.web import failure_of_status

TYPES = frozenset({"apprise", "email"})
TIMEOUT_SECONDS = 20.0
_STATUS = re.compile(r"error[=: ]+(\d{3})\b|HTTP[ /\d.]* (\d{3})\b", re.IGNORECASE)
_NOTIFY_TYPES = {"info": "info", "warning": "warning", "error": "failure", "critical": "failure"}


class AppriseNotifier:
    """Connections {type: apprise, url} and {type: email, url: mailto(s)://...}; `url` may be a list."""

    def accepts(self, connection: Connection) -> bool:
        """By type."""
        return connection.type in TYPES

    def send(self, connection: Connection, message: Message) -> None:
        """Deliver to every URL; the first failure is raised."""
        service = _loaded(connection)
        result = service.notify(
            body=message.body or message.title,
            title=message.title,
            notify_type=_NOTIFY_TYPES.get(message.severity, "info"),
            timeout=float(connection.config.get("timeout_seconds", TIMEOUT_SECONDS)),
        )
        if not result:
            raise _failure(connection, result)

    def test(self, connection: Connection) -> str:
        """Whether apprise knows the service; nothing is sent."""
        names = [str(getattr(plugin, "service_name", "a service")) for plugin in _loaded(connection)]
        return f"apprise would send to {', '.join(names)}; nothing was sent."


def _loaded(connection: Connection) -> Any:
    urls = connection.config.get("url") or ()
    if not urls:
        raise ConfigurationError(f"Connection '{connection.id}' needs a `url` such as mailto://... or slack://...")
    with warnings.catch_warnings():
        # It looks into every plugin when the first URL is added, and some touch what Python is about to drop.
        warnings.simplefilter("ignore", DeprecationWarning)
        service = _library().Apprise()
        known = [isinstance(url, str) and service.add(url) for url in _listed(urls)]
    for url, understood in zip(_listed(urls), known, strict=True):
        if not understood:
            scheme = str(url).partition(":")[0][:20]
            raise ConfigurationError(
                f"Connection '{connection.id}': apprise does not know what to do with its '{scheme}:' URL. "
                "The spellings are in apprise's documentation of each service."
            )
    return service


def _library() -> Any:
    apprise = import_module("apprise")
    logger = logging.getLogger("apprise")
    if logger.propagate:
        logger.addHandler(logging.NullHandler())  # without one, Python writes warnings to stderr
        logger.propagate = False
    return apprise


def _listed(urls: Any) -> list[Any]:
    return [urls] if isinstance(urls, str) else list(urls)


def _failure(connection: Connection, result: Any) -> Exception:
    failed = [one for one in result if not one]
    name = str(getattr(failed[0], "name", "the service")) if failed else "the service"
    where = f"{name} (connection '{connection.id}')"
    status = next((found for line in result.logs() if (found := _status(str(line.message)))), None)
    if status is not None:
        failure = failure_of_status(status, where)
        if failure is not None:
            return failure
    if getattr(result.status, "name", "") == "TIMEOUT":
        return TimeoutFailure(f"{where} did not answer in time.")
    return NetworkError(f"{where} did not take the message.")


def _status(line: str) -> int | None:
    match = _STATUS.search(line)
    status = int(match.group(1) or match.group(2)) if match else 0
    return status if 300 <= status < 600 else None
