"""Instants, JSON and text on their way into columns and out again.

Law: what went in comes out equal, but for what no database text can hold: NUL becomes its picture, a lone
surrogate the replacement character. An instant without a time zone is refused, never guessed.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SURROGATE = re.compile("[\ud800-\udfff]")

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode


def micros(instant: datetime) -> int:
    """Whole microseconds since 1970, exactly."""
    passed = instant - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def micros_or_none(instant: datetime | None) -> int | None:
    """The same for an instant that may not have come yet."""
    return None if instant is None else micros(instant)


def instant(count: int) -> datetime:
    """Aware UTC."""
    return _EPOCH + timedelta(microseconds=count)


def instant_or_none(count: int | None) -> datetime | None:
    """The same for one that may not have come yet."""
    return None if count is None else _EPOCH + timedelta(microseconds=count)


def clean(text: str) -> str:
    """The text as both databases can hold it."""
    if text.isascii() and "\0" not in text:
        return text
    return _SURROGATE.sub("�", text.replace("\0", "␀"))


def clean_or_none(text: str | None) -> str | None:
    """The same for a text that may be missing."""
    return None if text is None else clean(text)


def dump(value: Any) -> str:
    """JSON text. Lone surrogates take the slow way, everything else the fast one."""
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("�", json.dumps(msgspec.to_builtins(value), ensure_ascii=False))


def dump_or_none(value: Any) -> str | None:
    """JSON text, or NULL for what is empty: most rows carry nothing there."""
    return dump(value) if value else None


def dump_sorted(value: Any) -> bytes:
    """Canonical JSON: the same value always gives the same bytes."""
    return _encode_sorted(value)


def load(text: str | None, empty: Any = None) -> Any:
    """The value again; `empty` for NULL."""
    return empty if text is None else _decode(text)


def mapping(text: str | None) -> dict[str, Any]:
    """A JSON object again; NULL is the empty one."""
    found: dict[str, Any] = load(text) if text is not None else {}
    return found


def map_key(map_index: int | None) -> int:
    """A task that is not mapped has -1, so that unique keys hold."""
    return -1 if map_index is None else map_index


def map_index(key: int) -> int | None:
    """And back."""
    return None if key < 0 else key
