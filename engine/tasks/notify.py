"""`notify`: sends one message outside.

Law: with `once_per_run` (the default) a message that was delivered is not sent again by a later attempt of the
same run: the delivery is checkpointed right after it. A crash exactly in between sends it once more, with the
same key, by which the receiver may know it. Rates are held by the engine before the attempt starts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.model.errors import Problem
from engine.model.run import Outcome
from engine.model.workspace import Connection
from engine.ports.notifier import Message
from engine.ports.tasktype import Mode, TaskContext

SEVERITIES = ("info", "warning", "error", "critical")
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["message"],
    "properties": {
        "connection": {
            "type": "string",
            "minLength": 1,
            "description": "where to send: slack, webhook, apprise, log",
        },
        "url": {"type": "string", "minLength": 1, "description": "instead: an address without secrets, or log:"},
        "message": {"type": "string", "minLength": 1, "description": "what to say, templated"},
        "title": {"type": "string", "description": "default: the pipeline and the task"},
        "severity": {"enum": list(SEVERITIES), "default": "info", "description": "how bad it is"},
        "once_per_run": {"type": "boolean", "default": True, "description": "a retry does not send it again"},
    },
}
_SECRET = re.compile(r"://[^/@\s]*@|hooks\.slack\.com/services/", re.IGNORECASE)


class NotifyTask:
    """See engine.ports.tasktype.TaskType."""

    name = "notify"
    category = "notify"

    def __init__(self, send: Callable[[Connection, Message], None], of_url: Callable[[str], Connection]) -> None:
        self._send = send
        self._of_url = of_url

    def schema(self) -> Mapping[str, Any]:
        return _SCHEMA

    def mode(self, config: Mapping[str, Any]) -> Mode:
        return "process"

    def heavy(self, config: Mapping[str, Any]) -> bool:
        return False

    def connections(self, config: Mapping[str, Any]) -> Sequence[str]:
        given = config.get("connection")
        return (given,) if isinstance(given, str) else ()

    def check(self, config: Mapping[str, Any], root: Path) -> Sequence[Problem]:
        given = [key for key in ("connection", "url") if key in config]
        if len(given) != 1:
            found = "both" if given else "neither"
            return [Problem(severity="error", message=f"notify has either `connection` or `url`; found {found}.")]
        url = config.get("url")
        return _unfit(url) if isinstance(url, str) else []

    def run(self, ctx: TaskContext) -> Outcome:
        config = ctx.config
        key = f"{ctx.run_id}/{ctx.task_id}" + ("" if ctx.map_index is None else f"[{ctx.map_index}]")
        once = config.get("once_per_run", True)
        if once and ctx.checkpoint.load() == {"notified": key}:
            ctx.log.info("This run was notified already; nothing is sent again.")
            return Outcome(result="success", outputs={"sent": False})
        message = Message(
            title=str(config.get("title") or f"{ctx.pipeline_id}: {ctx.task_id}"),
            body=str(config["message"]),
            severity=str(config.get("severity") or "info"),
            key=key,
        )
        self._send(self._target(ctx), message)
        if once:
            ctx.checkpoint.save({"notified": key})
        return Outcome(result="success", outputs={"sent": True})

    def _target(self, ctx: TaskContext) -> Connection:
        name = ctx.config.get("connection")
        return ctx.connection(str(name)) if name else self._of_url(str(ctx.config["url"]))


def _unfit(url: str) -> list[Problem]:
    advice = "Write a connection with the url into connections.yaml and name it under `connection`."
    if "${" in url:
        message = f"A reference to a secret has no place in a pipeline. {advice}"
        return [Problem(severity="error", path="url", message=message)]
    if _SECRET.search(url):
        return [Problem(severity="warning", path="url", message=f"The url carries a secret, written out. {advice}")]
    return []
