"""What a task reads: the keys of an `extract`, which a `load` takes as its inline source too.

Law: pure: config in, a Selection out. What only one kind of system knows travels in the selection's options, and
the connector says what it cannot use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.model.dataset import DatasetTouch, Strategy, Watermark
from engine.model.errors import ConfigurationError, Problem
from engine.ports.source import Selection, Window
from engine.ports.tasktype import TaskContext
from engine.rules.datasets import bounded, of_item
from engine.rules.watermarks import oldest, written

OBJECTS = ("table", "query", "path", "endpoint")
_CORE = frozenset({"connection", *OBJECTS, "parameters", "columns", "incremental", "dataset"})
_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
SPAN = re.compile(r"^(\d+(?:\.\d+)?)\s*([smhdw])$")  # of a backfill's chunk
FORMATS = ("csv", "json", "jsonl", "parquet", "avro", "arrow")

INCREMENTAL: Mapping[str, Any] = {
    "description": "read only what is new since the last load that was committed; true: the best way is chosen",
    "oneOf": [
        {"type": "boolean"},
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "strategy": {"enum": [each.value for each in Strategy]},
                "column": {**_TEXT, "description": "the watermark's column (cdc: none)"},
                "lookback_seconds": {"type": "number", "minimum": 0, "maximum": 600, "default": 300},
                "nulls": {"enum": ["exclude", "include"], "description": "rows without a watermark"},
                "initial": {"description": "where to begin when nothing was loaded yet, or after a reset"},
                "upto": {"description": "where to stop"},
                "backfill": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["from", "chunk"],
                    "properties": {
                        "from": {"description": "the first value; null: no backfill, a regular load"},
                        "to": {"description": "the last value; default: where regular loads are"},
                        "chunk": {"type": ["string", "integer"], "description": "12h, 7d, 4w, or so many ids"},
                    },
                    "description": "load a stretch of the past, chunk by chunk, beside the regular watermark",
                },
                "timezone": {**_TEXT, "description": "of timestamps that have none; default UTC"},
                "commit": {
                    "enum": ["load", "extract"],
                    "description": "what moves the watermark: a load of these rows (default) or the extract",
                },
                "slot": {**_TEXT, "description": "cdc: the replication slot; made when it is missing"},
                "publication": {**_TEXT, "description": "cdc: the publication; made when it is missing"},
            },
        },
    ],
}

READ: Mapping[str, Any] = {
    "connection": {**_TEXT, "description": "an id of connections.yaml"},
    "table": {**_TEXT, "description": "a table, with its schema where that is not the default: schema.table"},
    "query": {**_TEXT, "description": "SQL, or GraphQL on a rest connection; values are bound as :name"},
    "path": {**_TEXT, "description": "a file or pattern (*, **), an object's key, a queue, stream or topic"},
    "endpoint": {**_TEXT, "description": "a path below the connection's base_url"},
    "parameters": {"type": "object", "description": "values for :name in a query; an endpoint's query string"},
    "columns": {"type": "array", "items": _TEXT, "description": "only these columns; default: all"},
    "incremental": INCREMENTAL,
    "dataset": {**_TEXT, "description": "the dataset's name; default: connection:object"},
    # databases
    "batch_rows": {"type": "integer", "minimum": 1, "maximum": 10_000_000, "description": "rows in one batch"},
    "timeout_seconds": {"type": "number", "exclusiveMinimum": 0, "description": "for one statement or request"},
    # files
    "format": {"enum": [*FORMATS], "description": "default: by name, then content"},
    "compression": {"enum": ["none", "gzip", "zstd", "bz2"], "description": "default: by name, then content"},
    "delimiter": {"type": "string", "minLength": 1, "maxLength": 1, "description": "csv; default: a comma"},
    "quote": {"type": "string", "maxLength": 1, "description": 'csv; default: "'},
    "header": {"type": "boolean", "description": "csv: the first line names the columns; default true"},
    "names": {"type": "array", "items": _TEXT, "description": "csv without header: the columns' names"},
    "encoding": {**_TEXT, "description": "csv, json; default utf-8"},
    "null_values": {"type": "array", "items": {"type": "string"}, "description": "csv: texts that mean null"},
    "types": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "column: kind (string, integer, decimal(12,2), timestamp ...) where it is not to be guessed",
    },
    "file_column": {**_TEXT, "description": "a column for the name of the file each row came from"},
    # rest
    "method": {"enum": ["GET", "POST"], "description": "default GET"},
    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
    "body": {"description": "JSON to send with POST"},
    "data_path": {"type": "string", "description": "where the records are in an answer: data.items"},
    "pagination": {
        "type": "object",
        "additionalProperties": False,
        "required": ["type"],
        "properties": {
            "type": {"enum": ["none", "cursor", "offset", "page", "link"]},
            "cursor_path": {**_TEXT, "description": "where the next cursor (or next URL) is in an answer"},
            "cursor_parameter": _TEXT,
            "offset_parameter": _TEXT,
            "limit_parameter": _TEXT,
            "page_parameter": _TEXT,
            "first_page": {"type": "integer", "minimum": 0},
            "page_size": {"type": "integer", "minimum": 1},
            "total_path": {**_TEXT, "description": "where the number of records or pages is in an answer"},
        },
        "description": "default: seen in the first answer",
    },
    "max_pages": {"type": "integer", "minimum": 1, "description": "an error beyond; default 100,000"},
    "watermark_parameter": {**_TEXT, "description": "the parameter that takes the watermark"},
    "if_modified_since": {"type": "boolean", "description": "ask with If-Modified-Since; 304 is nothing new"},
    # queues
    "max_messages": {"type": "integer", "minimum": 1, "description": "stop after so many; default 10,000"},
    "max_seconds": {"type": "number", "exclusiveMinimum": 0, "description": "stop after so long; default 10"},
    "group": {**_TEXT, "description": "consumer group, durable name"},
}  # fmt: skip


def check_reading(config: Mapping[str, Any], path: str = "") -> list[Problem]:
    """What the schema cannot say about the keys of a source."""
    problems = []
    named = [each for each in OBJECTS if each in config]
    if len(named) != 1:
        found = f"found {' and '.join(named)}" if named else "found none"
        problems.append(_error(path, f"A source is exactly one of {', '.join(OBJECTS)}; {found}."))
    incremental = config.get("incremental")
    if isinstance(incremental, Mapping) and incremental.get("strategy") == "cdc" and "table" not in config:
        problems.append(_error(_below(path, "incremental"), "Changes are captured from a `table`."))
    if isinstance(incremental, Mapping):
        problems += _check_times(incremental, _below(path, "incremental"))
    if "names" in config and config.get("header", True) and "header" in config:
        problems.append(_error(_below(path, "names"), "`names` is for files without a header: header: false."))
    return problems


def _check_times(incremental: Mapping[str, Any], path: str) -> list[Problem]:
    problems = []
    zone, backfill = incremental.get("timezone"), incremental.get("backfill")
    if isinstance(zone, str) and not _is_template(zone) and not _is_zone(zone):
        problems.append(_error(f"{path}.timezone", f"'{zone}' is no time zone; write one like Europe/Berlin."))
    chunk = backfill.get("chunk") if isinstance(backfill, Mapping) else None
    if isinstance(chunk, str) and not _is_template(chunk) and not SPAN.match(chunk):
        message = f"'{chunk}' is no span of time; write 12h, 7d or 4w, and with ids a number."
        problems.append(_error(f"{path}.backfill.chunk", message))
    return problems


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones is no zone either
        return False
    return True


def _error(path: str, message: str) -> Problem:
    return Problem(severity="error", path=path, message=message)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def selection(config: Mapping[str, Any], window: Window | None, resume: Any = None) -> Selection:
    """The config as connectors take it."""
    incremental = config.get("incremental")
    own = {key: value for key, value in config.items() if key not in _CORE}
    if isinstance(incremental, Mapping):
        own |= {key: incremental[key] for key in ("slot", "publication") if key in incremental}
    return Selection(
        table=config.get("table"),
        query=config.get("query"),
        path=config.get("path"),
        endpoint=config.get("endpoint"),
        parameters=config.get("parameters") or {},
        columns=tuple(config.get("columns") or ()),
        options=own,
        window=window,
        resume=resume,
    )


def dataset_name(config: Mapping[str, Any], connection: str) -> str:
    """connection:object, or what the config calls it."""
    named = config.get("dataset")
    if named:
        return str(named)
    return f"{connection}:{selection(config, None).object}"


def named(touches: Sequence[DatasetTouch], config: Mapping[str, Any]) -> list[DatasetTouch]:
    """What was read, under the name that the config gives it."""
    given = config.get("dataset")
    return [replace(each, dataset=str(given)) if given and len(touches) == 1 else each for each in touches]


def source_name(config: Mapping[str, Any], ctx: TaskContext) -> str:
    """What the watermark of this read is kept by: the dataset, and the item where it is read for several."""
    name = dataset_name(config, str(config["connection"]))
    return bounded(name if ctx.map_index is None else of_item(name, ctx.item))


def window(config: Mapping[str, Any], source: str, watermarks: Sequence[Watermark]) -> Window | None:
    """What is new for the consumer that is furthest behind; None for a full read."""
    given = config.get("incremental")
    if not given:
        return None
    wanted = given if isinstance(given, Mapping) else {}
    zone = str(wanted.get("timezone", "UTC"))
    if not _is_zone(zone):
        raise ConfigurationError(f"`incremental.timezone`: '{zone}' is no time zone; write one like Europe/Berlin.")
    stand = [each for each in watermarks if each.source == source]
    after = oldest(each.value for each in stand) if stand else None
    return Window(
        strategy=Strategy(wanted["strategy"]) if wanted.get("strategy") else None,
        column=wanted.get("column"),
        after=written(wanted.get("initial")) if after is None else after,
        upto=written(wanted.get("upto")),
        lookback_seconds=float(wanted.get("lookback_seconds", 300.0)),
        nulls=str(wanted.get("nulls", "exclude")),
        fingerprint=next((each.fingerprint for each in stand if each.fingerprint), ""),
        timezone=zone,
    )


def past(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a load's source says of a stretch of the past; None for a regular load."""
    source = config.get("source")
    incremental = source.get("incremental") if isinstance(source, Mapping) else None
    found = incremental.get("backfill") if isinstance(incremental, Mapping) else None
    return found if isinstance(found, Mapping) and found.get("from") is not None else None


def moved_by_extract(config: Mapping[str, Any]) -> bool:
    """Whether staging the rows is what the watermark stands for."""
    given = config.get("incremental")
    return isinstance(given, Mapping) and given.get("commit") == "extract"


def resets(source: str, watermarks: Sequence[Watermark]) -> int:
    """How often this source's watermark had been reset when the read began."""
    return max((each.resets for each in watermarks if each.source == source), default=0)
