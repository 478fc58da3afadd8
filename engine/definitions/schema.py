"""JSON Schema (draft 2020-12): a fast yes or no, and on no the whole list of what is wrong.

Law: the schema documents are the only truth. The yes or no is compiled from them into closures for the keywords
used here; a schema with any other keyword is left to jsonschema, which is loaded only to explain what was
refused. Where values may be templated, text with markup satisfies everything: what it renders to is known only
when it runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path as FilePath
from typing import Any

from engine.definitions.problems import Findings, Path
from engine.definitions.schema_messages import explain_error

Check = Callable[[Any], bool]

_FOLDER = FilePath(__file__).parent / "schemas"
_SILENT = frozenset(
    {"$schema", "$id", "$defs", "$comment", "title", "description", "default", "examples", "deprecated"}
)


_OF_OBJECTS = frozenset({"properties", "patternProperties", "additionalProperties", "required"})


class _Unsupported(Exception):
    """A keyword that only jsonschema understands."""


@cache
def load_schema(name: str) -> Mapping[str, Any]:
    """One of the documents under schemas/."""
    document: Mapping[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return document


def has_markup(value: Any) -> bool:
    """Whether this is text with template markup in it."""
    return isinstance(value, str) and ("{{" in value or "{%" in value or "{#" in value)


class Schema:
    """One compiled schema."""

    def __init__(self, schema: Mapping[str, Any], *, templated: bool = False) -> None:
        self.schema = schema
        self.templated = templated
        self._check = self._compile()
        self._validator: Any = None

    def check(self, value: Any, path: Path, findings: Findings) -> bool:
        """Whether the value is as the schema wants it; what is wrong goes to the findings."""
        if self._check is not None and self._check(value):
            return True
        errors = list(self._full().iter_errors(value))
        for error in errors:
            explain_error(error, path, findings)
        return not errors

    def accepts(self, value: Any) -> bool:
        """The yes or no alone."""
        return self._check(value) if self._check is not None else bool(self._full().is_valid(value))

    def _compile(self) -> Check | None:
        try:
            return _Compiler(self.schema, self.templated).compile(self.schema)
        except _Unsupported:
            return None

    def _full(self) -> Any:
        if self._validator is None:
            self._validator = _validator_class(self.templated)(self.schema)
        return self._validator


@lru_cache(maxsize=2)
def _validator_class(templated: bool) -> Any:
    from jsonschema import Draft202012Validator, validators  # only files with mistakes pay for it

    def lenient(keyword: Callable[..., Any]) -> Callable[..., Any]:
        def check(validator: Any, wanted: Any, instance: Any, schema: Any) -> Any:
            return () if has_markup(instance) else keyword(validator, wanted, instance, schema)

        return check

    if not templated:
        return Draft202012Validator
    wrapped = {name: lenient(keyword) for name, keyword in Draft202012Validator.VALIDATORS.items()}
    return validators.extend(Draft202012Validator, wrapped)  # type: ignore[no-untyped-call]  # jsonschema leaves it so


def _is_integer(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and value.is_integer()
    )


_TYPES: dict[str, Check] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


class _Compiler:
    """Keywords into closures; each closure passes values of types that its keyword does not speak of."""

    def __init__(self, root: Mapping[str, Any], templated: bool) -> None:
        self.root = root
        self.templated = templated
        self.references: dict[str, Check] = {}

    def compile(self, schema: Any) -> Check:
        if isinstance(schema, bool):
            return (lambda value: True) if schema else (lambda value: False)
        checks: list[Check] = []
        for keyword, wanted in schema.items():
            if keyword in _SILENT or keyword in _OF_OBJECTS:
                continue
            make = getattr(self, f"_{keyword.lstrip('$')}", None)
            if make is None:
                raise _Unsupported(keyword)
            checks.append(make(wanted, schema))
        if not _OF_OBJECTS.isdisjoint(schema):
            checks.append(self._object(schema))
        return self._all(checks)

    def _all(self, checks: Sequence[Check]) -> Check:
        chosen = tuple(checks)
        if self.templated:
            return lambda value: has_markup(value) or all(check(value) for check in chosen)
        if len(chosen) == 1:
            return chosen[0]
        if len(chosen) == 2:
            first, second = chosen
            return lambda value: first(value) and second(value)
        return lambda value: all(check(value) for check in chosen)

    def _ref(self, wanted: str, _: Any) -> Check:
        if not wanted.startswith("#/"):
            raise _Unsupported(wanted)
        if wanted not in self.references:
            # Set before it is compiled: a schema may refer to itself.
            self.references[wanted] = lambda value: self.references[wanted](value)
            target: Any = self.root
            for step in wanted[2:].split("/"):
                target = target[step]
            self.references[wanted] = self.compile(target)
        return self.references[wanted]

    def _type(self, wanted: Any, _: Any) -> Check:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        if len(names) == 1:
            return _TYPES[names[0]]
        tests = tuple(_TYPES[name] for name in names)
        return lambda value: any(test(value) for test in tests)

    def _enum(self, wanted: Any, _: Any) -> Check:
        if not all(isinstance(one, str) for one in wanted):
            texts = {json.dumps(one, sort_keys=True) for one in wanted}
            return lambda value: json.dumps(value, sort_keys=True, default=str) in texts
        names = frozenset(wanted)
        return lambda value: isinstance(value, str) and value in names

    def _const(self, wanted: Any, schema: Any) -> Check:
        return self._enum([wanted], schema)

    def _pattern(self, wanted: str, _: Any) -> Check:
        search = re.compile(wanted).search
        return lambda value: not isinstance(value, str) or search(value) is not None

    def _minLength(self, wanted: int, _: Any) -> Check:  # noqa: N802 - named after the keyword
        return lambda value: not isinstance(value, str) or len(value) >= wanted

    def _maxLength(self, wanted: int, _: Any) -> Check:  # noqa: N802
        return lambda value: not isinstance(value, str) or len(value) <= wanted

    def _minItems(self, wanted: int, _: Any) -> Check:  # noqa: N802
        return lambda value: not isinstance(value, list) or len(value) >= wanted

    def _maxItems(self, wanted: int, _: Any) -> Check:  # noqa: N802
        return lambda value: not isinstance(value, list) or len(value) <= wanted

    def _minProperties(self, wanted: int, _: Any) -> Check:  # noqa: N802
        return lambda value: not isinstance(value, dict) or len(value) >= wanted

    def _maxProperties(self, wanted: int, _: Any) -> Check:  # noqa: N802
        return lambda value: not isinstance(value, dict) or len(value) <= wanted

    def _minimum(self, wanted: float, _: Any) -> Check:
        return lambda value: not _TYPES["number"](value) or value >= wanted

    def _maximum(self, wanted: float, _: Any) -> Check:
        return lambda value: not _TYPES["number"](value) or value <= wanted

    def _exclusiveMinimum(self, wanted: float, _: Any) -> Check:  # noqa: N802
        return lambda value: not _TYPES["number"](value) or value > wanted

    def _exclusiveMaximum(self, wanted: float, _: Any) -> Check:  # noqa: N802
        return lambda value: not _TYPES["number"](value) or value < wanted

    def _items(self, wanted: Any, _: Any) -> Check:
        item = self.compile(wanted)
        return lambda value: not isinstance(value, list) or all(map(item, value))

    def _propertyNames(self, wanted: Any, _: Any) -> Check:  # noqa: N802
        name = self.compile(wanted)
        return lambda value: not isinstance(value, dict) or all(map(name, value))

    def _anyOf(self, wanted: Any, _: Any) -> Check:  # noqa: N802
        branches = tuple(self.compile(branch) for branch in wanted)
        return lambda value: any(branch(value) for branch in branches)

    def _oneOf(self, wanted: Any, _: Any) -> Check:  # noqa: N802
        branches = tuple(self.compile(branch) for branch in wanted)
        return lambda value: sum(branch(value) for branch in branches) == 1

    def _allOf(self, wanted: Any, _: Any) -> Check:  # noqa: N802
        branches = tuple(self.compile(branch) for branch in wanted)
        return lambda value: all(branch(value) for branch in branches)

    def _not(self, wanted: Any, _: Any) -> Check:
        branch = self.compile(wanted)
        return lambda value: not branch(value)

    def _object(self, schema: Mapping[str, Any]) -> Check:
        if "patternProperties" in schema:
            return self._patterned(schema)
        known = {name: self.compile(one) for name, one in schema.get("properties", {}).items()}
        others = self.compile(schema.get("additionalProperties", True))
        required = tuple(schema.get("required", ()))

        def check(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            for name in required:
                if name not in value:
                    return False
            return all([known.get(name, others)(one) for name, one in value.items()])  # noqa: C419 - hot: no generator

        return check

    def _patterned(self, schema: Mapping[str, Any]) -> Check:
        """Like `_object`, where names may be given by pattern; rarer, and slower."""
        known = {name: self.compile(one) for name, one in schema.get("properties", {}).items()}
        patterns = [(re.compile(text), self.compile(one)) for text, one in schema["patternProperties"].items()]
        others = self.compile(schema.get("additionalProperties", True))
        required = tuple(schema.get("required", ()))

        def applying(name: str) -> list[Check]:
            found = [check for pattern, check in patterns if pattern.search(name)]
            found += [known[name]] if name in known else []
            return found or [others]

        def check(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            if any(name not in value for name in required):
                return False
            return all(test(one) for name, one in value.items() for test in applying(name))

        return check
