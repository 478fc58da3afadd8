"""How the outbox sends a hook: template rendered, connection resolved, notifier called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.bootstrap.tasktypes import send_message, url_connection
from engine.bootstrap.workspace import Workspace
from engine.model.event import Event
from engine.ports.catalog import Renderer
from engine.ports.notifier import Message

_SEVERITY = {"failure": "error", "retry": "warning", "success": "info"}


def hook_sender(workspace: Workspace, renderer: Renderer) -> Callable[[Event], None]:
    """Sends one `hook.due` event; raises when it could not."""

    def send(event: Event) -> None:
        hook, facts = event.payload["hook"], event.payload["facts"]
        written = hook.get("connection")
        if written:
            connection = workspace.connection(written, event.payload.get("profile"))
        else:
            connection = url_connection(str(hook.get("url") or "log:"))
        resolved, _ = workspace.secrets.resolve(connection)
        title, body = renderer.render([hook.get("title") or "", hook.get("message") or ""], facts)
        severity = hook.get("severity")
        message = Message(
            title=str(title) or _title(facts, event.payload["event"]),
            body=str(body) or _body(facts),
            severity=severity if severity and severity != "info" else _SEVERITY.get(event.payload["event"], "info"),
            key=event.correlation_id,
        )
        send_message(resolved, message)

    return send


def _title(facts: dict[str, Any], event: str) -> str:
    what = {"failure": "failed", "success": "succeeded", "retry": "is retried"}.get(event, event)
    task = f"/{facts['task_id']}" if facts.get("task_id") else ""
    return f"{facts['pipeline_id']}{task} {what}"


def _body(facts: dict[str, Any]) -> str:
    error = facts.get("error") or {}
    said = f" {error['kind']}: {error['message']}" if error else ""
    return f"Run {facts['run_id']} of {facts['logical_date']}.{said} `penstock why {facts['run_id']}` says more."
