"""Run parameters: declared, bound, refused."""

from __future__ import annotations

from typing import Any

import pytest

from engine.definitions.parameters import bind, declared
from engine.model.errors import RequestError
from tests.definitions.fakes import errors


def bound(declarations: dict[str, Any], given: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return bind([declared(name, one) for name, one in declarations.items()], given or {}, **more)


def refusal(declarations: dict[str, Any], given: dict[str, Any] | None = None) -> str:
    with pytest.raises(RequestError) as caught:
        bound(declarations, given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "kind", "required"),
    [
        ("eu", "string", False),
        (3, "integer", False),
        (2.5, "number", False),
        (True, "boolean", False),
        ([1], "array", False),
        ({"a": 1}, "object", False),
        (None, None, False),
        ({"type": "date"}, "date", True),
        ({"type": "date", "required": False}, "date", False),
        ({"default": 3}, "integer", False),
        ({"type": "number", "default": 3}, "number", False),
        ({"enum": ["a", "b"]}, None, True),
        ({"type": "sedan", "colour": "red"}, "object", False),  # a default that happens to have such a key
    ],
)
def test_a_bare_value_is_a_default_and_implies_its_type(written, kind, required):
    parameter = declared("p", written)
    assert (parameter.type, parameter.required) == (kind, required)


def test_given_outranks_schedule_outranks_default():
    """C-12."""
    declarations = {"a": 1, "b": 1, "c": 1}
    assert bound(declarations, {"a": 3}, scheduled={"a": 2, "b": 2}) == {"a": 3, "b": 2, "c": 1}


def test_every_fault_is_named_at_once():
    message = refusal(
        {"region": "eu", "limit": {"type": "integer", "minimum": 1}, "day": {"type": "date"}},
        {"regin": "us", "limit": 0},
    )
    assert "did you mean 'region'" in message
    assert "'limit'" in message
    assert "at least 1" in message
    assert "'day' has no value" in message


@pytest.mark.parametrize(
    ("declaration", "value", "fine"),
    [
        ("eu", "us", True),
        ("eu", 5, False),
        (1, 2, True),
        (1, 2.0, True),
        (1, "2", False),
        (1, True, False),
        (1.5, 2, True),
        (True, False, True),
        (True, "yes", False),
        ({"type": "date"}, "2024-02-29", True),
        ({"type": "date"}, "2023-02-29", False),
        ({"type": "date"}, 20240101, False),
        ({"type": "datetime"}, "2024-02-29T06:00:00Z", True),
        ({"type": "datetime"}, "noon", False),
        ({"enum": ["a", "b"]}, "b", True),
        ({"enum": ["a", "b"]}, "c", False),
        ({"type": "integer", "minimum": 1, "maximum": 3}, 4, False),
        ({"type": "string", "pattern": "^x"}, "y", False),
        ({"type": "array", "items": {"type": "integer"}}, [1, "x"], False),
        ({"type": "string", "required": False}, None, True),
        ({"type": "string"}, None, False),
        (None, {"anything": 1}, True),
    ],
)
def test_values_are_checked_against_the_declared_type(declaration, value, fine):
    if fine:
        assert bound({"p": declaration}, {"p": value}) == {"p": value}
    else:
        assert "parameter 'p" in refusal({"p": declaration}, {"p": value})


def test_a_misspelt_enum_value_gets_its_near_spelling():
    assert "did you mean 'incremental'" in refusal({"p": {"enum": ["full", "incremental"]}}, {"p": "incremantal"})


def test_defaults_may_be_built_from_other_parameters(renderer):
    """DEF-15: nested references resolve, and the result is type-checked."""
    declarations = {
        "file": "{{ folder }}/{{ region }}.csv",
        "folder": "/data/{{ region }}",
        "region": "eu",
        "n": {"type": "integer", "default": "{{ m }}"},
        "m": 3,
    }
    values = bound(declarations, {"region": "us"}, renderer=renderer)
    assert values == {"file": "/data/us/us.csv", "folder": "/data/us", "region": "us", "n": 3, "m": 3}


@pytest.mark.parametrize(
    ("block", "path"),
    [
        ({"limit": {"type": "integr"}}, "parameters.limit.type"),
        ({"limit": {"type": "integer", "minimun": 1}}, "parameters.limit.minimun"),
        ({"limit": {"type": "integer", "minimum": "x"}}, "parameters.limit.minimum"),
        ({"limit": {"type": "integer", "default": "x"}}, "parameters.limit.default"),
        ({"limit": {"type": "integer", "default": 0, "minimum": 1}}, "parameters.limit.default"),
        ({"limit": {"type": "integer", "required": "yes"}}, "parameters.limit.required"),
        ({"upstream": 1}, "parameters.upstream"),
        ({"a b": 1}, "parameters['a b']"),
        ({"a": "{{ b }}"}, "parameters.a"),
        ({"a": "{{ a }}"}, "parameters.a"),
        ({"a": "{{ ds }}"}, "parameters.a"),
        ({"a": "{{ b"}, "parameters.a"),
    ],
)
def test_declarations_are_checked(block, path):
    found = errors({"id": "x", "parameters": block, "tasks": [{"id": "t", "type": "shell"}]})
    assert path in {problem.path for problem in found}, found
