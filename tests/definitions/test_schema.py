"""The fast yes or no says what jsonschema says."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine.definitions.problems import Findings
from engine.definitions.schema import Schema, load_schema

FULL: dict[str, Any] = {
    "id": "orders_daily",
    "name": "Orders",
    "tags": ["sales"],
    "parameters": {"region": "eu"},
    "schedule": {"cron": "0 2 * * *", "catchup": False, "blackout": [{"from": "22:00", "to": "23:30"}]},
    "execution": {"max_active_runs": 1, "timeout_seconds": 7200, "failure_policy": "continue", "priority": 0},
    "retry_policy": {"max_attempts": 3, "jitter_type": "full", "retry_on_error_types": ["*"]},
    "on": {"failure": [{"notify": {"connection": "ops", "message": "x"}}]},
    "tasks": [
        {"id": "a", "type": "shell", "config": {"command": "true"}},
        {
            "id": "b",
            "type": "shell",
            "dependencies": ["a"],
            "trigger_rule": "all_done",
            "when": "{{ x }}",
            "timeout_seconds": 600,
            "resources": {"cpu": 1, "memory_mb": 512},
        },
    ],
}
PARTS: list[tuple[Any, ...]] = []


def _paths(value: Any, path: tuple[Any, ...] = ()) -> None:
    PARTS.append(path)
    if isinstance(value, dict):
        for key, one in value.items():
            _paths(one, (*path, key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            _paths(one, (*path, at))


_paths(FULL)
ODD = st.sampled_from(
    [None, True, 0, -1, 1.0, 2.5, 10**9, "", "a b", "x\n", "12:30", "25:00", "full", [], ["a"], [1], {}, {"x": 1}]
)


@given(st.lists(st.tuples(st.sampled_from(PARTS[1:]), ODD), max_size=3), st.booleans())
def test_the_compiled_check_agrees_with_jsonschema(changes, extra):
    document = copy.deepcopy(FULL)
    for path, odd in changes:
        inner: Any = document
        try:
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = odd
        except (KeyError, IndexError, TypeError):
            continue
    if extra:
        document["surplus"] = 1
    schema = load_schema("pipeline")
    compiled = Schema(schema)
    assert compiled._check is not None, "the fast path is in use"
    assert compiled.accepts(document) == Draft202012Validator(schema).is_valid(document)
    findings = Findings()
    assert compiled.check(document, (), findings) == (not findings.problems("error"))


@pytest.mark.parametrize("name", ["pipeline", "workspace", "connections"])
def test_our_schemas_are_valid_schemas(name):
    Draft202012Validator.check_schema(load_schema(name))


PATTERNED = {
    "type": "object",
    "properties": {"a1": {"type": "integer"}},
    "patternProperties": {"^a": {"type": "integer", "minimum": 1}, "[0-9]$": {"enum": [1, 2]}},
    "additionalProperties": False,
    "required": ["a1"],
}


@given(st.dictionaries(st.sampled_from(["a", "a1", "b", "b2", "c"]), st.sampled_from([0, 1, 2, 3, "x"])))
def test_names_by_pattern_agree_with_jsonschema_too(value):
    compiled = Schema(PATTERNED)
    assert compiled._check is not None
    assert compiled.accepts(value) == Draft202012Validator(PATTERNED).is_valid(value)


def test_a_key_that_a_pattern_knows_is_not_called_unknown():
    findings = Findings()
    Schema(PATTERNED).check({"a1": 1, "a7": "x", "c": 1}, (), findings)
    assert {problem.path for problem in findings.problems("error")} == {"a7", "c"}
    assert [one.path for one in findings.problems("error") if one.message.startswith("key")] == ["c"]


def test_unknown_keywords_are_left_to_jsonschema():
    schema = Schema({"if": {"type": "integer"}, "then": {"minimum": 3}})
    assert schema.accepts(4)
    assert not schema.accepts(2)
    assert schema.accepts("x")


def test_templated_text_satisfies_everything():
    schema = Schema({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}, templated=True)
    findings = Findings()
    assert schema.check({"n": "{{ limit }}"}, (), findings)
    assert not schema.check({"n": "many"}, (), findings)
    assert not Schema({"type": "integer"}).accepts("{{ limit }}")


def test_a_message_never_shows_a_structure_or_a_long_value():
    """FAULTS: at most 80 characters of a value, never its repr."""
    findings = Findings()
    Schema({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}).check(
        {"a": "x" * 100_000, "b": {"deep": ["y" * 100_000] * 1000}}, (), findings
    )
    messages = [problem.message for problem in findings.problems("error")]
    assert len(messages) == 2
    assert all(len(message) < 160 for message in messages)
