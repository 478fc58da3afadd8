"""Untrusted text cannot steer the terminal (FAULTS, terminal sanitiser; faults 40 and 41)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.client.text import clean, clean_block, shorten

HOSTILE = "\x1b\x07\x00\x08\x0d\x0a\x7f\x85\x9b\x9d\x90\x9c\u202e\u200b\ufeff\u2066\udc80"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛red␛"),
        ("\x1b]0;title\x07after", "␛after"),
        ("\x1b]52;c;QUJD\x1b\\after", "␛after"),
        ("\x1b]52;c;QU\x1b[31mJD\x07after", "␛after"),
        ("\x1bPpayload\x9cafter", "␛after"),
        ("\x9d0;title\x07after", "␛after"),
        ("\x9b31mred", "␛red"),
        ("\x1b]0;never ended", "␛"),
        ("\x1b(Bx", "␛x"),
        ("end\x1b", "end␛"),
        ("a\tb", "a       b"),
        ("a\x00b\x7f", "a␀b␡"),
        ("a\x85b", "a⟨U+0085⟩b"),
        ("\u202eevil", "⟨U+202E⟩evil"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("bad\udc80byte", "bad⟨U+DC80⟩byte"),
        ("two\nlines", "two␊lines"),
        ("Grüße ✓ 日本 😀", "Grüße ✓ 日本 😀"),
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_sequences_go_whole_and_controls_become_visible(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_a_block_keeps_its_lines_and_ends_a_sequence_with_the_line() -> None:
    assert clean_block("a\x1b]0;b\r\nc") == "a␛\nc"


@given(st.text(alphabet=st.one_of(st.characters(codec=None), st.sampled_from(HOSTILE + "[]0;m\\P"))))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    """Any text at all: afterwards no control, no surrogate, no bidi or zero-width control."""
    left = clean(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]", left)
    assert clean(left) == left


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S")), max_size=50))
def test_printable_text_is_left_alone(text: str) -> None:
    assert clean(text) == text


def test_a_long_payload_costs_linear_time() -> None:
    assert clean("\x1b]0;" * 20_000 + "x") == "␛"


def test_shortening_says_that_something_is_missing() -> None:
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abc", 4) == "abc"
