"""Values typed on a command line are YAML 1.2 (CONTRACT, command line)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.client.scalars import assignments, value
from engine.model.errors import RequestError


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1", 1),
        ("-12", -12),
        ("010", 10),
        ("0o17", 15),
        ("0x1f", 31),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1e999", "1e999"),
        ("true", True),
        ("yes", "yes"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("null", None),
        ("", None),
        ("'5'", "5"),
        ('"a b"', "a b"),
        ("*.csv", "*.csv"),
        ("{{ ds }}", "{{ ds }}"),
        ("a: b", "a: b"),
        ("[1, '2', yes, 2024-01-01]", [1, "2", "yes", "2024-01-01"]),
        ("{a: 1, b: [x]}", {"a": 1, "b": ["x"]}),
    ],
)
def test_yaml_1_2(text: str, meant: Any) -> None:
    found = value(text)
    assert found == meant
    assert type(found) is type(meant)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=8))
def test_json_lists_are_read_as_they_are(document: Any) -> None:
    assert value(json.dumps([document])) == [document]


@pytest.mark.parametrize(
    "text", ["[1", '"open', "{a: 1, a: 2}", "[&x 1, *x]", "[" * 5000 + "]" * 5000, "x" * 70_000]
)
def test_what_cannot_be_read_is_a_sentence(text: str) -> None:
    with pytest.raises(RequestError) as refused:
        value(text)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("pairs", [["novalue"], ["=1"], ["a=1", "a=2"]])
def test_assignments_want_one_name_and_an_equals_sign(pairs: list[str]) -> None:
    with pytest.raises(RequestError, match="-p"):
        assignments(pairs, "-p")


def test_a_value_may_hold_an_equals_sign() -> None:
    assert assignments(["where=a=1"], "-p") == {"where": "a=1"}
