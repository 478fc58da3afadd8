"""Slack, by incoming webhook or by bot token.

Law: Slack says no in three ways (a status, a word in the body, `ok: false` with status 200); each becomes the
failure it is.
"""

from __future__ import annotations

import json
from typing import Any

from engine.model.errors import ConfigurationError, NetworkError, PermissionFailure, RateLimited
from engine.model.workspace import Connection
from engine.notifiers.posting import TIMEOUT_SECONDS, place, post, require_web
from engine.ports.notifier import Message

TYPES = frozenset({"slack"})
API = "https://slack.com/api"
_MOST_CHARACTERS = 3000
_MARKS = {"info": ":information_source:", "warning": ":warning:", "error": ":x:", "critical": ":rotating_light:"}
_DENIED = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"})
_DENIED |= {"missing_scope", "no_permission"}


class SlackNotifier:
    """Connections {type: slack, url} (incoming webhook) or {type: slack, token, channel}."""

    def accepts(self, connection: Connection) -> bool:
        """By type."""
        return connection.type in TYPES

    def send(self, connection: Connection, message: Message) -> None:
        """Post it."""
        config = connection.config
        seconds = float(config.get("timeout_seconds", TIMEOUT_SECONDS))
        document: dict[str, Any] = {"text": text(message)}
        if config.get("url"):
            post(_webhook(connection), document, {}, seconds)
            return
        token, channel = _bot(connection)
        url = str(config.get("api_url", API)).rstrip("/") + "/chat.postMessage"
        body = post(url, {**document, "channel": channel}, {"Authorization": f"Bearer {token}"}, seconds)
        _judge(body, channel)

    def test(self, connection: Connection) -> str:
        """Whether it could be sent; nothing is."""
        if connection.config.get("url"):
            return f"A Slack webhook at {place(_webhook(connection))}; nothing was sent."
        return f"A Slack bot for channel {_bot(connection)[1]}; nothing was sent."


def text(message: Message) -> str:
    """One message as Slack's mrkdwn. &, < and > are escaped, so that no message can mention @channel or link."""
    body = _escaped(message.body)
    if len(body) > _MOST_CHARACTERS:
        body = body[:_MOST_CHARACTERS] + "…"
    mark = _MARKS.get(message.severity, "")
    head = f"{mark} *{_escaped(message.title)}*".strip() if message.title else mark
    return f"{head}\n{body}".strip()


def _escaped(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _webhook(connection: Connection) -> str:
    return require_web(str(connection.config["url"]), f"Connection '{connection.id}'")


def _bot(connection: Connection) -> tuple[str, str]:
    token, channel = connection.config.get("token"), connection.config.get("channel")
    if not token or not channel:
        raise ConfigurationError(
            f"Connection '{connection.id}' needs a `url` (an incoming webhook), or a `token` and a `channel`."
        )
    return str(token), str(channel)


def _judge(body: bytes, channel: str) -> None:
    try:
        answer = json.loads(body)
    except ValueError:
        raise NetworkError("Slack answered with something that is not JSON.") from None
    if isinstance(answer, dict) and answer.get("ok") is True:
        return
    word = str(answer.get("error", "no reason"))[:80] if isinstance(answer, dict) else "no reason"
    said = f"Slack refused the message for {channel}: {word}."
    if word in ("ratelimited", "rate_limited"):
        raise RateLimited(said)
    if word in _DENIED:
        raise PermissionFailure(f"{said} Check the token and its scopes (chat:write).")
    if word in ("internal_error", "fatal_error", "service_unavailable", "request_timeout"):
        raise NetworkError(said)
    raise ConfigurationError(f"{said} Check the channel, and that the bot was invited to it.")
