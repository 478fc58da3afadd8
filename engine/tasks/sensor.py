"""`sensor`: waits until something is there, by looking again and again.

Law: `run` is ONE look (a poke): it answers success or not_yet, and an exception is a failure. How often to look,
and when to give up, is the engine's business; nothing here waits, and no look changes what it looks at.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.model.errors import ConfigurationError, DataQualityError, LogicError, Problem
from engine.model.run import Outcome
from engine.ports.connector import Fetch, Fetched, Scalar
from engine.ports.tasktype import Mode, TaskContext
from engine.rules.web import failure_of_status
from engine.tasks.python import call, check_callable, load_callable

KINDS = ("file", "sql", "http", "callable")
_MOST_FILES = 1000
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "file": {
            "type": "string",
            "minLength": 1,
            "description": "a path or pattern (*, **); relative to the workspace",
        },
        "sql": {"type": "string", "minLength": 1, "description": "a query, read-only; true when its first cell is"},
        "http": {
            "type": "string",
            "minLength": 1,
            "description": "a URL, or a path below the connection's base_url",
        },
        "callable": {"type": "string", "minLength": 3, "description": "module:function; what it returns decides"},
        "connection": {"type": "string", "minLength": 1, "description": "for sql, and where wanted for http"},
        "parameters": {"type": "object", "description": "values for :name in sql, bound and never pasted"},
        "status": {
            "description": "the status or statuses http waits for; default: any from 200 to 299",
            "oneOf": [
                {"type": "integer", "minimum": 100, "maximum": 599},
                {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 100, "maximum": 599}},
            ],
        },
        "json": {
            "type": "string",
            "minLength": 1,
            "description": "where to look in the answer, e.g. data.items[0].ready",
        },
        "args": {"type": "object", "description": "arguments of the callable: function(ctx, **args)"},
        "interval_seconds": {"type": "number", "minimum": 0.1, "default": 60, "description": "between two looks"},
        "timeout_seconds": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "from the first look; then it fails",
        },
        "soft_fail": {"type": "boolean", "default": False, "description": "out of time is SKIPPED, not FAILED"},
    },
}
# Which keys belong to which kind of look; the others say nothing there.
_OWN = {
    "sql": ("connection", "parameters"),
    "http": ("connection", "status", "json"),
    "callable": ("args",),
    "file": (),
}


class SensorTask:
    """See engine.ports.tasktype.TaskType."""

    name = "sensor"
    category = "control"

    def __init__(self, scalar: Scalar, fetch: Fetch) -> None:
        self._scalar = scalar
        self._fetch = fetch

    def schema(self) -> Mapping[str, Any]:
        return _SCHEMA

    def mode(self, config: Mapping[str, Any]) -> Mode:
        return "poke"

    def heavy(self, config: Mapping[str, Any]) -> bool:
        return False

    def connections(self, config: Mapping[str, Any]) -> Sequence[str]:
        given = config.get("connection")
        return (given,) if isinstance(given, str) else ()

    def check(self, config: Mapping[str, Any], root: Path) -> Sequence[Problem]:
        if "dataset" in config:
            return [
                _error("dataset", "Waiting for a dataset is not in this version; wait for its `file` or by `sql`.")
            ]
        kinds = [kind for kind in KINDS if kind in config]
        if len(kinds) != 1:
            found = f"found {' and '.join(kinds)}" if kinds else "found none"
            return [_error("", f"A sensor looks at exactly one of {', '.join(KINDS)}; {found}.")]
        return [*_misplaced(config, kinds[0]), *_unfit(config, kinds[0], root)]

    def run(self, ctx: TaskContext) -> Outcome:
        kinds = [kind for kind in KINDS if ctx.config.get(kind) is not None]
        if len(kinds) != 1:
            raise ConfigurationError(f"A sensor looks at exactly one of {', '.join(KINDS)}.")
        looks = {"file": self._file, "sql": self._sql, "http": self._http, "callable": self._callable}
        return looks[kinds[0]](ctx)

    def _file(self, ctx: TaskContext) -> Outcome:
        pattern = os.path.expanduser(str(ctx.config["file"]))
        found = sorted(glob.glob(pattern, root_dir=ctx.root, recursive=True))
        if not found:
            return _not_yet(ctx, f"nothing matches {pattern}")
        names = [_shown(name, ctx.root) for name in found[:_MOST_FILES]]
        return _seen({"files": names, "count": len(found)})

    def _sql(self, ctx: TaskContext) -> Outcome:
        connection = ctx.connection(str(ctx.config.get("connection")))
        cell = self._scalar(connection, str(ctx.config["sql"]), ctx.config.get("parameters") or {})
        return _seen({"value": _plain(cell)}) if cell else _not_yet(ctx, f"the first cell is {_plain(cell)!r}")

    def _http(self, ctx: TaskContext) -> Outcome:
        name = ctx.config.get("connection")
        fetched = self._fetch(ctx.connection(name) if name else None, str(ctx.config["http"]))
        if not _expected(fetched.status, ctx.config.get("status")):
            return _unexpected(ctx, fetched)
        path = ctx.config.get("json")
        if path is None:
            return _seen({"status": fetched.status})
        value = _inside(_document(fetched), str(path))
        if not value:
            return _not_yet(ctx, f"{path} is {json.dumps(value)[:80]}")
        return _seen({"status": fetched.status, "value": value})

    def _callable(self, ctx: TaskContext) -> Outcome:
        spelling = str(ctx.config["callable"])
        returned = call(load_callable(spelling), ctx, ctx.config.get("args") or {})
        if not returned:
            return _not_yet(ctx, f"{spelling} returned {str(returned)[:80]}")
        if returned is True:
            return _seen({})
        outputs = dict(returned) if isinstance(returned, Mapping) else {"result": returned}
        try:
            json.dumps(outputs)
        except (TypeError, ValueError, RecursionError):
            raise LogicError(
                f"{spelling} returned a {type(returned).__name__} that is not JSON. "
                "Return True, or plain values for the tasks downstream."
            ) from None
        return _seen(outputs)


def _error(path: str, message: str) -> Problem:
    return Problem(severity="error", path=path, message=message)


def _misplaced(config: Mapping[str, Any], kind: str) -> list[Problem]:
    every = {key for keys in _OWN.values() for key in keys}
    return [
        _error(key, f"`{key}` has no meaning beside `{kind}`.")
        for key in config
        if key in every and key not in _OWN[kind]
    ]


def _unfit(config: Mapping[str, Any], kind: str, root: Path) -> Sequence[Problem]:
    if kind == "callable":
        return check_callable(config["callable"], root)
    if kind == "sql" and not config.get("connection"):
        return [_error("connection", "`sql` needs a `connection` to ask.")]
    url = config.get("http")
    if kind == "http" and not config.get("connection") and not str(url).startswith(("http://", "https://", "{{")):
        return [_error("http", "Without a `connection`, `http` is a whole URL: https://host/path.")]
    if isinstance(config.get("json"), str) and _steps(config["json"]) is None:
        return [_error("json", "Write the place as names and positions: data.items[0].ready")]
    return []


def _seen(outputs: Mapping[str, Any]) -> Outcome:
    return Outcome(result="success", outputs=outputs)


def _not_yet(ctx: TaskContext, why: str) -> Outcome:
    ctx.log.info("Not yet: %s.", why)
    return Outcome(result="not_yet")


def _shown(name: str, root: Path) -> str:
    """Relative to the workspace where it is inside; bytes that are not UTF-8 are escaped (FAULTS 40)."""
    shown = str(Path(name).relative_to(root)) if Path(name).is_relative_to(root) else name
    return os.fsencode(shown).decode("utf-8", "backslashreplace")


def _plain(cell: Any) -> Any:
    if cell is None or isinstance(cell, (bool, int, float, str)):
        return cell
    return float(cell) if isinstance(cell, Decimal) else str(cell)


def _expected(status: int, wanted: Any) -> bool:
    if wanted is None:
        return 200 <= status < 300
    return status in (wanted if isinstance(wanted, list) else [wanted])


def _unexpected(ctx: TaskContext, fetched: Fetched) -> Outcome:
    """Not there and not well are things to wait for; a refusal is not, and a request to slow down is heeded."""
    if fetched.status in (401, 403, 429):
        failure = failure_of_status(fetched.status, "The address", retry_after=fetched.retry_after)
        if failure is not None:
            raise failure
    return _not_yet(ctx, f"status {fetched.status}")


def _document(fetched: Fetched) -> Any:
    try:
        return json.loads(fetched.body)
    except (ValueError, RecursionError):
        raise DataQualityError(
            f"The answer (status {fetched.status}, {len(fetched.body)} bytes) is not JSON, "
            "so `json` finds nothing in it. Leave `json` out, or ask another address."
        ) from None


def _steps(path: str) -> list[str | int] | None:
    steps: list[str | int] = []
    position = 0
    for match in _STEP.finditer(path):
        if match.start() != position:
            return None
        steps.append(match.group(1) if match.group(1) is not None else int(match.group(2)))
        position = match.end()
    return steps if steps and position == len(path) else None


def _inside(document: Any, path: str) -> Any:
    """The value at a path; None when the way there ends early."""
    for step in _steps(path) or ():
        if isinstance(step, int):
            document = document[step] if isinstance(document, list) and step < len(document) else None
        else:
            document = document.get(step) if isinstance(document, dict) else None
    return document
