"""Regular expressions in filters and in the search of a log: bounded, whatever is typed."""

from __future__ import annotations

import threading

import pytest

from console.pattern import MOST_TEXT, Pattern
from engine.model.errors import RequestError


@pytest.mark.parametrize(
    "text",
    [r"(a+)+$", r"(a|aa)+$", r"(\w*\s?)*x", r"(a)\1", r"a?" * 30 + "a" * 30, "((((a{2,9}){2,9}){2,9}){2,9})"],
)
def test_what_could_take_for_ever_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(RequestError, match="for ever"):
        Pattern(text)


@pytest.mark.parametrize("text", ["(", "a" * 300, "(?P<x>", "[z-a]"])
def test_what_is_no_expression_is_said(text: str) -> None:
    with pytest.raises(RequestError, match="regular expression"):
        Pattern(text)


@pytest.mark.parametrize(
    ("text", "found", "missed"),
    [
        (r"error|timeout", "a Timeout came", "all is well"),
        (r"row \d+ of \d+", "row 12 of 90", "row of"),
        (r"^\[(info|warn)\]", "[WARN] x", "x [warn]"),
        (r"exit code [1-9][0-9]{0,2}$", "exit code 137", "exit code 0"),
    ],
)
def test_everyday_expressions_work(text: str, found: str, missed: str) -> None:
    assert Pattern(text).search(found) and not Pattern(text).search(missed)


def test_one_that_takes_too_long_is_given_up_and_said_once() -> None:
    """The event loop goes on: the search is broken off in the main thread, and nothing is hidden because of it."""
    said: list[str] = []
    pattern = Pattern("a*a*a*a*a*a*b", complain=said.append)
    assert pattern.search("a" * 2_000)
    assert pattern.search("zzz") and pattern.spans("zzz") == []
    assert len(said) == 1 and "too long" in said[0] and pattern.trouble


def test_a_plain_text_means_itself() -> None:
    pattern = Pattern("(a+)+", plain=True)
    assert pattern.search("x (A+)+ y") and not pattern.search("aaa")
    assert pattern.spans("(a+)+") == [(0, 5)]


def test_of_a_long_text_the_beginning_is_looked_at() -> None:
    assert not Pattern("x", plain=True).search("." * MOST_TEXT + "x")


def test_it_works_in_a_thread() -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(Pattern("b+").search("abb")))
    thread.start()
    thread.join()
    assert found == [True]
