"""What jsonschema found, said for people: found and expected, with the near spelling, never the repr of a
structure.

Law: one problem per mistake. Alternatives (`oneOf`, `anyOf`) are told by the branch that fits best, not all of
them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.definitions.problems import Findings, Path, kind, quote
from engine.definitions.refusals import other_word, refusal

_ARTICLES = {
    "null": "null",
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "array": "a list",
    "object": "a mapping",
}


def explain_error(error: Any, base: Path, findings: Findings) -> None:
    """One jsonschema error into problems. `base` is the path of what was validated."""
    path = (*base, *error.absolute_path)
    special = _SPECIAL.get(error.validator)
    if special is not None:
        special(error, base, path, findings)
        return
    found = f"found {_shown(error.instance)}"
    findings.error(path, f"{found}, expected {_expected(error)}{_described(error.schema)}")


def _shown(value: Any) -> str:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return f"{kind(value)} {quote(value)}"
    return quote(value)


def _described(schema: Any) -> str:
    text = schema.get("description") if isinstance(schema, Mapping) else None
    return f" ({text})" if text else ""


def _expected(error: Any) -> str:
    wanted = error.validator_value
    phrase = _PHRASES.get(error.validator)
    return phrase(wanted) if phrase is not None else f"what '{error.validator}' of its schema asks for"


def _types(wanted: Any) -> str:
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    return " or ".join(_ARTICLES.get(name, name) for name in names)


def _pattern(wanted: str) -> str:
    if "a-zA-Z0-9_-" in wanted:
        return "letters, digits, _ and - only"
    if "[0-5][0-9]" in wanted:
        return "a time of day such as 22:30"
    return f"text that matches {wanted}"


_PHRASES: dict[str, Callable[[Any], str]] = {
    "type": _types,
    "pattern": _pattern,
    "const": quote,
    "format": lambda wanted: f"a {wanted}",
    "minimum": lambda wanted: f"at least {wanted}",
    "maximum": lambda wanted: f"at most {wanted}",
    "exclusiveMinimum": lambda wanted: f"more than {wanted}",
    "exclusiveMaximum": lambda wanted: f"less than {wanted}",
    "multipleOf": lambda wanted: f"a multiple of {wanted}",
    "minLength": lambda wanted: "text that is not empty" if wanted == 1 else f"at least {wanted} characters",
    "maxLength": lambda wanted: f"at most {wanted} characters",
    "minItems": lambda wanted: f"a list of at least {wanted}",
    "maxItems": lambda wanted: f"a list of at most {wanted}",
    "uniqueItems": lambda wanted: "a list without repetitions",
    "minProperties": lambda wanted: f"a mapping with at least {wanted} key(s)",
    "maxProperties": lambda wanted: f"a mapping with at most {wanted} key(s)",
    "not": lambda wanted: "something else" + _described(wanted),
}


def _unknown_keys(error: Any, base: Path, path: Path, findings: Findings) -> None:
    known = error.schema.get("properties", {})
    patterns = error.schema.get("patternProperties", {})
    if error.validator_value is not False:
        findings.error(path, "has keys that are not expected here")
        return
    place = _place(path)
    for key in error.instance:
        if key in known or any(re.search(pattern, key) for pattern in patterns):
            continue
        alternative = refusal(place, key)
        meant = other_word(place, key)
        if alternative:
            findings.error((*path, key), f"key {quote(key)} is not in this version: {alternative}", alternative)
        elif meant in known:
            findings.error((*path, key), f"key {quote(key)} is not known; it is called '{meant}' here", meant)
        else:
            findings.unknown((*path, key), "key", key, known)


def _place(path: Path) -> str:
    """Which sort of mapping this is: pipeline, task, config, schedule ..."""
    names = [step for step in path if isinstance(step, str)]
    if names == ["tasks"]:
        return "task"
    return names[-1] if names else "top"


def _missing_keys(error: Any, base: Path, path: Path, findings: Findings) -> None:
    for key in error.validator_value:
        if key not in error.instance:
            about = _described(error.schema.get("properties", {}).get(key, {}))
            findings.error(path, f"key '{key}' is missing{about}", f"add '{key}:'")


def _wrong_choice(error: Any, base: Path, path: Path, findings: Findings) -> None:
    choices = [quote(one).strip("'") for one in error.validator_value]
    if isinstance(error.instance, str):
        findings.unknown(path, "value", error.instance, choices)
    else:
        findings.error(path, f"found {_shown(error.instance)}, expected one of: {', '.join(choices)[:300]}")


def _bad_name(error: Any, base: Path, path: Path, findings: Findings) -> None:
    for inner in [error, *(error.context or ())][:1]:
        findings.error((*path, str(error.instance)), f"name {quote(inner.instance)}: expected {_expected(inner)}")


def _alternatives(error: Any, base: Path, path: Path, findings: Findings) -> None:
    branches: dict[int, list[Any]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.schema_path[0], []).append(inner)
    if not branches:  # oneOf, and more than one fits
        findings.error(path, f"more than one way is given; give one of: {_choices(error.validator_value)}")
        return
    if all(_only_presence(errors, error) for errors in branches.values()):
        findings.error(path, f"give one of: {_choices(error.validator_value)}")
        return
    best = min(branches.values(), key=_misfit)
    if _misfit(best)[0]:  # not even its type fits any branch
        wanted = dict.fromkeys(_expected(inner) for errors in branches.values() for inner in errors[:1])
        findings.error(
            path, f"found {_shown(error.instance)}, expected {' or '.join(wanted)}{_described(error.schema)}"
        )
        return
    for inner in best:
        explain_error(inner, base, findings)


def _only_presence(errors: Sequence[Any], parent: Any) -> bool:
    """Whether a branch only asks for keys to be (or not to be) there."""
    return all(inner.validator in ("required", "not") and inner.instance is parent.instance for inner in errors)


def _choices(branches: Any) -> str:
    names = [
        " + ".join(branch["required"])
        for branch in branches
        if isinstance(branch, Mapping) and branch.get("required")
    ]
    return ", ".join(dict.fromkeys(names)) or "the ways its schema describes"


def _misfit(errors: Sequence[Any]) -> tuple[bool, int]:
    wrong_type = any(inner.validator == "type" and not inner.path for inner in errors)
    return wrong_type, len(errors)


_SPECIAL: dict[str, Callable[[Any, Path, Path, Findings], None]] = {
    "additionalProperties": _unknown_keys,
    "unevaluatedProperties": _unknown_keys,
    "required": _missing_keys,
    "enum": _wrong_choice,
    "propertyNames": _bad_name,
    "anyOf": _alternatives,
    "oneOf": _alternatives,
}
