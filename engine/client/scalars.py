"""What somebody typed as a value: `-p key=value` and `--set path=value`.

Law: a value is read as YAML 1.2 would read it (its core schema: no dates, no `yes`, no octal by a leading
zero), and a quoted one stays a string. Types are checked elsewhere, against the parameter's declaration.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from engine.model.errors import RequestError
from engine.rules.scalars import plain

MAX_LENGTH = 64 * 1024
_MAX_DEPTH = 32

_STRUCTURED = ("[", "{", '"', "'")  # anything else is a plain scalar: `*.csv` is a pattern, not an alias
_TEMPLATE = ("{{", "{%", "{#")


def value(text: str) -> Any:
    """A scalar, a quoted string, or a flow list or mapping (`[1, 2]`, `{a: 1}`)."""
    if len(text) > MAX_LENGTH:
        raise RequestError(f"A value on the command line may have {MAX_LENGTH} characters; this has {len(text)}.")
    stripped = text.strip()
    if stripped.startswith(_STRUCTURED) and not stripped.startswith(_TEMPLATE):
        try:
            return json.loads(stripped, object_pairs_hook=_mapping, parse_constant=str)
        except (ValueError, RecursionError):  # no JSON: YAML, of which JSON is nearly a part
            return _composed(stripped)
    return plain(stripped)


def assignments(pairs: Iterable[str], option: str) -> dict[str, Any]:
    """`key=value` strings as a mapping; a key given twice is an error, and so is a pair without `=`."""
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            raise RequestError(f"{option} takes name=value; '{pair[:80]}' is not of that form.")
        if key in given:
            raise RequestError(f"{option} names '{key}' twice; give it once.")
        given[key] = value(text)
    return given


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):
        raise RequestError("A mapping on the command line has each key once.")
    return built


def _composed(text: str) -> Any:
    import yaml  # only where markup asks for it: starting a command stays quick

    _refuse_depth(text)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise RequestError("A value on the command line may not use YAML anchors; write it out.")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "it is nested too deeply"
        raise RequestError(f"The value {text[:80]} is not readable as YAML: {problem}. Quote it?") from error
    return _built(node)


def _refuse_depth(text: str) -> None:
    """Before the reader sees it: its time grows with the square of the depth."""
    depth = deepest = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    if deepest > _MAX_DEPTH:
        raise RequestError(f"A value on the command line may be nested {_MAX_DEPTH} deep.")


def _built(node: Any) -> Any:
    if isinstance(node.value, str):
        bare = node.style is None and node.tag in _RESOLVED_TAGS
        return plain(node.value) if bare else node.value
    if node.id == "sequence":
        return [_built(item) for item in node.value]
    built: dict[str, Any] = {}
    for key, item in node.value:
        name = key.value
        if not isinstance(name, str) or name in built:
            raise RequestError(f"A mapping on the command line has each key once, as text; found {str(name)[:80]}.")
        built[name] = _built(item)
    return built


_RESOLVED_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "timestamp", "merge", "value")
)
