"""connections.yaml, and the one a profile lays over it, as Connection values.

Law: references are left unresolved; a secret written out is warned of and its value never quoted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from engine.definitions.files import BadFile, read_inside, shown
from engine.definitions.problems import Findings, quote
from engine.definitions.problems import Path as Place
from engine.definitions.read import Unreadable, read_yaml
from engine.definitions.schema import Schema, load_schema
from engine.model.breaker import BreakerConfig
from engine.model.workspace import Connection, Settings

FILE = "connections.yaml"
_OWN_KEYS = frozenset({"type", "direction", "rate_limit", "pool", "breaker"})
_BREAKER_KEYS = frozenset(each.name for each in fields(BreakerConfig))
_SCHEMA = Schema(load_schema("connections"))
_SECRET = re.compile(
    r"(^|_)(password|passwd|pwd|pass|secret|token|api_?key|access_?key|private_?key|credentials?|webhook|dsn)(_|$)",
    re.I,
)
_NO_SECRET = re.compile(r"_(path|file|url|uri|name|env|type|id|ttl|seconds)$", re.I)
_SECRET_IN_URL = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@|hooks\.slack\.com/services/\w|[?&](token|key|sig|api_key)=[^$]"
)
_REFERENCE = re.compile(r"\$\{([^}]*)\}?")
_TYPES: Mapping[str, Mapping[str, Any]] = load_schema("connection_types")["$defs"]
_SQL = "use type 'sqlalchemy' with its URL and driver"
_LATER = {
    "bigquery": "load from files it has exported, or from a 'python' task with its own client",
    "sftp": "fetch the files with a 'shell' task first",
    "ftp": "fetch the files with a 'shell' task first",
    "hdfs": "fetch the files with a 'shell' task first",
    "mongodb": "export collections as JSON lines with a 'shell' task first",
    "sqlserver": _SQL,
    "oracle": _SQL,
}
_SCHEMES = ("env", "file", "keyring", "service")


def read_connections(
    path: Path, settings: Settings, plugins: Collection[str] = ()
) -> tuple[dict[str, Connection], Findings]:
    """Every usable connection of one file, and what is wrong with it. A missing file is empty. `plugins` are the
    types that installed packages add; what they take, they check themselves."""
    name = shown(path, settings.root)
    if not path.exists() and not path.is_symlink():
        return {}, Findings(name)
    try:
        source = read_yaml(read_inside(path, settings.root))
    except BadFile as error:
        findings = Findings(name)
        findings.error((), f"{name}: {error}")
        return {}, findings
    except Unreadable as error:
        findings = Findings(name)
        for line, message in error.faults:
            findings.error((), message, line=line)
        return {}, findings
    findings = Findings(name, source.line)
    written = source.value if isinstance(source.value, Mapping) else {}
    if _is_wrapped(written):
        message = "connections stand at the top of this file, not below a key of their own"
        findings.error(("connections",), message, "take this line out, and move what is below it to the left")
        return {}, findings
    _SCHEMA.check(source.value, (), findings)
    usable = {key: one for key, one in written.items() if isinstance(one, Mapping)}
    for key, one in usable.items():
        _check(key, one, settings, findings)
        _check_type(key, one, plugins, findings)
    return {key: connection(key, one) for key, one in usable.items()}, findings


def _is_wrapped(written: Mapping[str, Any]) -> bool:
    """All connections below one key, as other files have their lists."""
    below = written.get("connections") if len(written) == 1 else None
    return (
        isinstance(below, Mapping)
        and "type" not in below
        and any(isinstance(each, Mapping) for each in below.values())
    )


def connection(name: str, written: Mapping[str, Any]) -> Connection:
    """One entry as a value."""
    rate = written.get("rate_limit")
    rate = rate if isinstance(rate, Mapping) else {}
    per_second, burst = rate.get("per_second"), rate.get("burst", 1)
    return Connection(
        id=name,
        type=str(written.get("type", "")),
        config={key: value for key, value in written.items() if key not in _OWN_KEYS},
        direction=str(written.get("direction", "both")),
        per_second=float(per_second) if isinstance(per_second, (int, float)) else None,
        burst=burst if isinstance(burst, int) else 1,
        pool=written.get("pool"),
        breaker=_breaker(written.get("breaker")),
    )


def _breaker(written: Any) -> BreakerConfig | None:
    """What is not written, or not usable, is as by default; the schema has said what is wrong with it."""
    if written is False:
        return None
    if not isinstance(written, Mapping):
        return BreakerConfig()
    given = {key: value for key, value in written.items() if key in _BREAKER_KEYS and _is_number(value)}
    return BreakerConfig(**given)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check(name: str, written: Mapping[str, Any], settings: Settings, findings: Findings) -> None:
    pool = written.get("pool")
    if isinstance(pool, str) and pool not in settings.pools:
        findings.unknown((name, "pool"), "pool", pool, settings.pools)
    for path, key, text in _texts(written, (name,), name):
        if "${" in text:
            _check_references(text, path, settings, findings)
        elif text and (_names_secret(key) or _SECRET_IN_URL.search(text)):
            variable = re.sub(r"\W", "_", f"{name}_{key}").upper()
            findings.warning(path, "a secret is written out here; refer to it instead", f"${{env:{variable}}}")


def _check_type(name: str, written: Mapping[str, Any], plugins: Collection[str], findings: Findings) -> None:
    """The keys of its type."""
    kind = written.get("type")
    if not isinstance(kind, str) or kind in plugins:
        return
    if kind in _LATER:
        findings.error((name, "type"), f"type {quote(kind)} is not in this version: {_LATER[kind]}")
        return
    if kind not in _TYPES:
        findings.unknown((name, "type"), "type", kind, (*_TYPES, *plugins))
        return
    own = {key: value for key, value in written.items() if key not in _OWN_KEYS}
    _schema_of(kind).check(own, (name,), findings)


@cache
def _schema_of(kind: str) -> Schema:
    return Schema(_TYPES[kind])


def _names_secret(key: str) -> bool:
    return bool(_SECRET.search(key)) and not _NO_SECRET.search(key)


def _texts(value: Any, path: Place, key: str) -> Iterator[tuple[Place, str, str]]:
    if isinstance(value, str):
        yield path, key, value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _texts(one, (*path, name), str(name))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _texts(one, (*path, at), key)


def _check_references(text: str, path: Place, settings: Settings, findings: Findings) -> None:
    for match in _REFERENCE.finditer(text):
        scheme, colon, name = match[1].partition(":")
        if not match[0].endswith("}") or not colon or not name:
            ways = "${env:NAME}, ${file:PATH} or ${keyring:SERVICE/NAME}"
            findings.error(path, f"{quote(match[0])} is no reference; write {ways}")
        elif scheme not in _SCHEMES:
            findings.unknown(path, "reference", scheme, _SCHEMES)
        elif scheme == "service" and name not in settings.services:
            findings.unknown(path, "service", name, settings.services)
