"""Edits of a dead letter before it is run again.

Law: an edit names something the letter shows; anything else is refused with what is near. Nothing is changed
here: the edits travel with the command, and hold for the new execution only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from engine.client.names import near
from engine.client.reasons import pinned
from engine.client.scalars import assignments
from engine.model.errors import RequestError
from engine.model.pipeline import Jitter, RetryPolicy
from engine.model.run import DeadLetter
from engine.ports.catalog import Catalog
from engine.ports.queries import Queries

_ROOTS = ("parameters", "config")


def edits(letter: DeadLetter, pairs: tuple[str, ...], queries: Queries, catalog: Catalog) -> dict[str, Any]:
    """`--set path=value` pairs as a mapping, each path found in the letter, each parameter of its type."""
    given = assignments(pairs, "--set")
    shown = {"parameters": letter.parameters, "config": letter.config}
    known = list(_paths(shown))
    for path in given:
        if path not in known:
            hint = near(path, known) or near(f"parameters.{path}", known) or near(f"config.{path}", known)
            raise RequestError(
                f"Dead letter {letter.id} has no '{path}'.{hint} "
                f"Paths start with parameters. or config.; `penstock dlq show {letter.id}` shows them."
            )
    changed = _whole_values(shown, given)
    parameters = {path.partition(".")[2]: each for path, each in changed.items() if path.startswith("parameters.")}
    if parameters:
        _check_parameters(letter, parameters, queries, catalog)
    return changed


def _whole_values(shown: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Edits of something inside a list or mapping as edits of the whole value: what travels is never ambiguous."""
    changed: dict[str, Any] = {}
    for path, new in given.items():
        root, name, *inner = path.split(".")
        top = f"{root}.{name}"
        changed[top] = _edited(changed.get(top, shown[root].get(name)), inner, new)
    return changed


def _edited(old: Any, path: Sequence[str], new: Any) -> Any:
    """A copy with one place changed; the path is known to lead there."""
    if not path:
        return new
    head, *rest = path
    if isinstance(old, Mapping):
        return {key: _edited(each, rest, new) if str(key) == head else each for key, each in old.items()}
    return [_edited(each, rest, new) if str(index) == head else each for index, each in enumerate(old)]


def retry_policy(text: str) -> dict[str, Any]:
    """`--retry-policy JSON`: keys of a retry policy, each with a value of its kind."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise RequestError(f"--retry-policy takes JSON such as '{{\"max_attempts\": 5}}': {error}.") from error
    if not isinstance(given, dict) or not given:
        raise RequestError("--retry-policy takes a JSON object such as '{\"max_attempts\": 5}'.")
    known = [each.name for each in fields(RetryPolicy)]
    for name, each in given.items():
        if name not in known:
            raise RequestError(f"A retry policy has no '{name}'.{near(name, known)} It has: {', '.join(known)}.")
        if not _fits(name, each):
            raise RequestError(f"'{name}' of a retry policy cannot be {json.dumps(each)[:80]}.")
    return given


def _fits(name: str, each: Any) -> bool:
    number = isinstance(each, int | float) and not isinstance(each, bool)
    match name:
        case "max_attempts":
            return number and isinstance(each, int) and 1 <= each <= 1000
        case "exponential_backoff":
            return isinstance(each, bool)
        case "jitter_type":
            return each in [jitter.value for jitter in Jitter]
        case "retry_on_error_types":
            return isinstance(each, list) and all(isinstance(one, str) for one in each)
        case "max_total_seconds":
            return each is None or (number and each >= 0)
        case _:
            return number and each >= 0


def _paths(shown: Any, prefix: str = "") -> Iterator[str]:
    """Every path into the letter: `config.env.HOME`, `config.command.0`. A key with a dot in it has none."""
    items: Iterator[tuple[Any, Any]]
    if isinstance(shown, Mapping):
        items = iter(shown.items())
    elif isinstance(shown, list | tuple):
        items = iter(enumerate(shown))
    else:
        return
    for key, inner in items:
        if "." in str(key):
            continue
        path = f"{prefix}.{key}" if prefix else str(key)
        if path not in _ROOTS:
            yield path
        yield from _paths(inner, path)


def _check_parameters(letter: DeadLetter, changed: Mapping[str, Any], queries: Queries, catalog: Catalog) -> None:
    pipeline = pinned(queries, catalog, queries.resolve_run(letter.run_id))
    if pipeline is not None:
        declared = {each.name for each in pipeline.parameters}
        known = {name: each for name, each in {**letter.parameters, **changed}.items() if name in declared}
        catalog.bind_parameters(pipeline, known)
