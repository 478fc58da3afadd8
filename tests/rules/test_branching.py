"""What a branch's choice means."""

from __future__ import annotations

import pytest

from engine.model.errors import ConfigurationError
from engine.rules.branching import follow_of

BELOW = ("load_eu", "load_us", "report")


@pytest.mark.parametrize(
    ("value", "follow"),
    [
        ("load_eu", ["load_eu"]),
        (" load_eu ", ["load_eu"]),
        (["report", "load_eu", "report"], ["report", "load_eu"]),
        (("load_us",), ["load_us"]),
        (None, []),
        ("", []),
        ("None", []),
        ([], []),
        (False, []),
    ],
)
def test_a_choice_is_one_id_several_or_none(value: object, follow: list[str]) -> None:
    assert follow_of(value, BELOW) == follow


def test_a_stranger_is_named_with_the_near_spelling_and_the_possible_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"'load_euu'.*did you mean 'load_eu'\?.*load_eu, load_us"):
        follow_of("load_euu", BELOW)


def test_every_stranger_of_a_list_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        follow_of(["x1", "report", "y2"], BELOW)
    assert "'x1'" in str(caught.value)
    assert "'y2'" in str(caught.value)
    assert "'report'," not in str(caught.value)


@pytest.mark.parametrize("value", [3, True, {"a": 1}, b"load_eu", ["load_eu", 3], [["load_eu"]]])
def test_what_is_no_id_is_refused_by_its_type(value: object) -> None:
    with pytest.raises(ConfigurationError, match="chooses by the id of a task"):
        follow_of(value, BELOW)


def test_a_branch_without_dependants_can_only_choose_nothing() -> None:
    assert follow_of(None, ()) == []
    with pytest.raises(ConfigurationError, match="among: none"):
        follow_of("a", ())
