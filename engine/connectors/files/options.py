"""What a pipeline says about files: how they are to be read, how they are to be written.

Law: a key that means nothing for files is refused by name, so that no setting is silently without effect.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.connectors.files.names import shown
from engine.connectors.files.wanted import Wanted, wanted
from engine.model.errors import ConfigurationError
from engine.ports.destination import Order
from engine.ports.source import Selection

FORMATS = ("csv", "json", "jsonl", "parquet", "avro", "arrow")
MAX_BYTES = 100 << 30  # of one file, decompressed: far beyond what one reads, near enough to end a bomb
BATCH_ROWS = 32_768
_READ = frozenset({
    "format", "compression", "delimiter", "quote", "header", "names", "encoding", "null_values", "types",
    "file_column", "data_path", "batch_rows", "max_bytes", "timeout_seconds",
})  # fmt: skip
_WRITTEN = frozenset({
    "format", "compression", "delimiter", "header", "partition_by", "batch_rows", "nulls", "on_drift",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How files are read."""

    format: str | None = None
    compression: str | None = None
    delimiter: str | None = None
    quote: str = '"'
    header: bool = True
    names: tuple[str, ...] = ()
    encoding: str = "utf-8"
    null_values: tuple[str, ...] = ("",)
    types: Mapping[str, Wanted] = field(default_factory=dict)
    file_column: str | None = None
    data_path: str = ""
    columns: tuple[str, ...] = ()
    batch_rows: int = BATCH_ROWS
    max_bytes: int = MAX_BYTES
    as_text: bool = True  # nothing is asked that needs a look at the values


def read_options(selection: Selection, config: Mapping[str, Any]) -> ReadOptions:
    """The options of a read; the connection's config gives defaults."""
    given = {key: config[key] for key in _READ if key in config} | dict(selection.options)
    _refuse(given, _READ, "read")
    encoding = _encoding(str(given.get("encoding", "utf-8")))
    looked_at = {"null_values", "types", "file_column"} & given.keys()
    return ReadOptions(
        format=given.get("format"),
        compression=given.get("compression"),
        delimiter=given.get("delimiter"),
        quote=str(given.get("quote", '"')),
        header=bool(given.get("header", True)),
        names=tuple(given.get("names") or ()),
        encoding=encoding,
        null_values=tuple(given.get("null_values") or ("",)),
        types=wanted(given.get("types") or {}),
        file_column=given.get("file_column"),
        data_path=str(given.get("data_path") or ""),
        columns=tuple(selection.columns),
        batch_rows=min(int(given.get("batch_rows", BATCH_ROWS)), 1_000_000),
        max_bytes=int(given.get("max_bytes", MAX_BYTES)),
        as_text=not looked_at and not selection.columns and encoding == "utf-8",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """How files are written."""

    format: str
    compression: str | None = None  # None: what is usual for the format
    delimiter: str = ","
    header: bool = True
    partition_by: tuple[str, ...] = ()


def write_options(order: Order, config: Mapping[str, Any], format: str, compression: str | None) -> WriteOptions:
    """The options of a load; `format` and `compression` as the target's name says."""
    given = {key: config[key] for key in ("delimiter", "header") if key in config} | dict(order.options)
    _refuse(given, _WRITTEN, "written")
    return WriteOptions(
        format=format,
        compression=compression,
        delimiter=str(given.get("delimiter", ",")),
        header=bool(given.get("header", True)),
        partition_by=tuple(given.get("partition_by") or ()),
    )


def _refuse(given: Mapping[str, Any], known: frozenset[str], verb: str) -> None:
    foreign = sorted(set(given) - known)
    if foreign:
        names = ", ".join(f"`{shown(name)}`" for name in foreign)
        raise ConfigurationError(f"{names} has no meaning where files are {verb}; leave it out.")


def _encoding(name: str) -> str:
    try:
        found = codecs.lookup(name)
    except LookupError:
        found = None
    if found is None or not found._is_text_encoding:
        raise ConfigurationError(f"There is no encoding '{shown(name)}'; write one such as utf-8 or latin-1.")
    return "utf-8" if found.name in ("utf-8", "utf-8-sig") else found.name
