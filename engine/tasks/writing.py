"""Where a `load` writes to: its keys, and the order that a destination gets.

Law: pure but for reading the context. Several targets inherit what the load itself says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.model.errors import Problem
from engine.ports.destination import Mode, Order
from engine.ports.tasktype import TaskContext
from engine.tasks import reading as keys

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
_TARGET: Mapping[str, Any] = {
    "connection": {**_TEXT, "description": "an id of connections.yaml"},
    "target": {**_TEXT, "description": "table, path, endpoint, queue or topic"},
    "mode": {"enum": [each.value for each in Mode], "default": "append"},
    "keys": {"type": "array", "items": _TEXT, "minItems": 1, "description": "what makes two rows the same"},
    "columns": {
        "type": "object",
        "additionalProperties": {
            "oneOf": [
                _TEXT,
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "from": _TEXT,
                        "type": _TEXT,
                        "format": _TEXT,
                        "default": {},
                        "lossy": {"type": "boolean"},
                        "timezone": _TEXT,
                    },
                },
            ]
        },
        "description": "target column: source column, or {from, type, format, default, lossy, timezone}; "
        "\"*\": \"*\" takes the others by name; default: all by name",
    },
    "create": {"type": "boolean", "default": True, "description": "make a missing target"},
    "delete_when": {**_TEXT, "description": "merge: a boolean column; rows where it is true are deleted"},
    "on_drift": {
        "enum": ["fail", "add", "ignore"],
        "default": "fail",
        "description": "a column the target lacks: an error, a new column, or left out",
    },
    "nulls": {"enum": ["keep", "default", "reject"], "description": "null where the target takes none"},
    "dataset": {**_TEXT, "description": "the dataset's name; default: connection:target"},
    "batch_rows": {"type": "integer", "minimum": 1, "maximum": 10_000_000},
    "format": {"enum": [*keys.FORMATS]},
    "compression": {"enum": ["none", "gzip", "zstd", "bz2", "snappy"]},
    "delimiter": {"type": "string", "minLength": 1, "maxLength": 1},
    "header": {"type": "boolean"},
    "partition_by": {"type": "array", "items": _TEXT, "description": "files: folders column=value"},
    "method": {"enum": ["POST", "PUT", "PATCH"]},
    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
    "key_column": {**_TEXT, "description": "queues: the message's key"},
}  # fmt: skip

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **_TARGET,
        "source": {
            "description": "the id of an upstream task (default: the only one), or what to read, as in `extract`",
            "oneOf": [
                _TEXT,
                {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["connection"],
                    "properties": keys.READ,
                },
            ],
        },
        "targets": {
            "type": "array",
            "minItems": 1,
            "maxItems": 20,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["connection", "target"],
                "properties": _TARGET,
            },
            "description": "several targets, all or none of them",
        },
    },
}

_PLAIN = frozenset(_TARGET) - {
    "connection",
    "target",
    "mode",
    "keys",
    "columns",
    "create",
    "delete_when",
    "dataset",
}


def targets(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """One mapping for each target, with what the load says for all of them."""
    shared = {key: value for key, value in config.items() if key not in ("source", "targets")}
    listed = config.get("targets")
    if isinstance(listed, list) and listed:
        return [{**shared, **one} for one in listed if isinstance(one, Mapping)]
    return [shared]


def check_writing(config: Mapping[str, Any]) -> list[Problem]:
    """What the schema cannot say."""
    problems: list[Problem] = []
    listed = isinstance(config.get("targets"), list)
    places = [(each.get("connection"), each.get("target")) for each in targets(config)]
    if len(set(places)) < len(places):
        problems.append(_error("targets", "Two targets are the same; each is loaded once."))
    for at, target in enumerate(targets(config)):
        place = f"targets[{at}]" if listed else ""
        problems += _check_target(target, place)
    source = config.get("source")
    if isinstance(source, Mapping):
        problems += keys.check_reading(source, "source")
        if source.get("incremental") and any(each.get("mode") == "replace" for each in targets(config)):
            message = "An incremental read replaced into a target would throw away what earlier runs loaded."
            problems.append(_error("mode", f"{message} Use append, upsert or merge."))
        if keys.past(config) is not None and listed:
            problems.append(_error("source.incremental.backfill", "History goes into one target, not several."))
    return problems


def _check_target(target: Mapping[str, Any], place: str) -> list[Problem]:
    problems = [
        _error(place, f"A load needs `{key}`." if not place else f"A target needs `{key}`.")
        for key in ("connection", "target")
        if key not in target
    ]
    mode = target.get("mode", "append")
    if mode in ("upsert", "merge") and not target.get("keys"):
        problems.append(_error(place, f"`mode: {mode}` needs `keys`: the columns that make a row the same."))
    if mode == "merge" and not target.get("delete_when"):
        problems.append(_error(place, "`mode: merge` needs `delete_when`; without deletes it is `upsert`."))
    if mode != "merge" and target.get("delete_when"):
        problems.append(_error(place, f"`delete_when` is for `mode: merge`, not `{mode}`."))
    return problems


def _error(path: str, message: str) -> Problem:
    return Problem(severity="error", path=path, message=message)


def as_it_is(target: Mapping[str, Any]) -> bool:
    """Whether nothing is asked for that needs a look at the values."""
    return not ({"columns", "nulls", "on_drift", "partition_by", "key_column"} & target.keys())


def order(
    ctx: TaskContext,
    target: Mapping[str, Any],
    *,
    scope: str,
    seal: Callable[[], Mapping[str, Any]],
    part: str = "",
) -> Order:
    """What the destination is asked to do. `part` tells the targets of one load apart."""
    return Order(
        token=ctx.load_token + part,
        target=str(target["target"]),
        mode=Mode(target.get("mode", "append")),
        keys=tuple(target.get("keys") or ()),
        create=bool(target.get("create", True)),
        delete_when=target.get("delete_when"),
        scope=scope,
        options={key: value for key, value in target.items() if key in _PLAIN},
        seal=seal,
        progress=ctx.progress,
    )
