"""Values as cells: nothing hostile passes, filters mean what they say, times read well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.present.cells import Cell, cell, clipped, cut, fitted, lines, width_of, wrapped
from console.present.filters import parse
from console.present.logs import line, shown
from console.present.taskcard import _pairs
from console.present.times import ago, brief, span
from console.theme import STATE_TONES, Look, style
from console.widgets.logstore import BLOCK, LogRecord, LogStore
from engine.layout.cells import cell_width
from engine.layout.glyphs import state_style
from engine.model.errors import RequestError
from engine.model.run import AttemptState, TaskState

NOW = datetime(2026, 11, 19, 14, tzinfo=UTC)
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x1b[6n\x90q\x9c\x9b2J \u202eevil\u200b\r\n\ttab\x00"
_CONTROL = {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)]} | {"\u202e", "\u200b"}
LOOK = Look()


@given(st.text(max_size=60) | st.just(HOSTILE))
def test_no_cell_carries_anything_that_steers_a_terminal(text: str) -> None:
    shown_texts = [cell(text).text, *(each.text for row in lines(text) for each in row)]
    shown_texts += [
        each.text
        for each in line(LogRecord(0.0, "INFO", "stdout", text, 1, text), named=True, times="none", first=0)
    ]
    assert not any(char in _CONTROL for shown_text in shown_texts for char in shown_text)


@given(st.text(st.characters(exclude_categories=("C",)), max_size=40), st.integers(0, 30), st.booleans())
def test_a_cell_takes_exactly_its_width(text: str, width: int, middle: bool) -> None:
    assert cell_width(fitted(cell(text).text, width, LOOK, middle=middle)) == width


@given(st.lists(st.text(st.sampled_from("ab 日é"), max_size=20), max_size=4), st.integers(4, 30))
def test_wrapping_loses_nothing_but_blanks_and_no_row_is_too_wide(parts: list[str], width: int) -> None:
    rows = wrapped([Cell(part) for part in parts], width)
    assert all(width_of(row) <= width for row in rows)
    joined = "".join(each.text for row in rows for each in row)
    assert joined.replace(" ", "") == "".join(parts).replace(" ", "")
    assert width_of(clipped([Cell(part) for part in parts], width, LOOK)) <= width


def test_a_value_that_is_cut_says_how_much_is_left_out() -> None:
    assert cut("x" * 10, 10) == "x" * 10
    assert cut("x" * 1_234, 10) == "x" * 10 + " (1,224 more characters)"


def test_a_card_shows_long_sql_and_says_what_it_leaves_out() -> None:
    query = "SELECT " + ", ".join(f"column_{i}" for i in range(1_000))
    shown_there = "\n".join("".join(each.text for each in row) for row in _pairs({"sql": query}))
    assert "column_100" in shown_there and "more characters)" in shown_there


def test_every_state_of_an_attempt_has_a_tone_and_a_glyph_of_its_own() -> None:
    for state in AttemptState:
        assert state.value in STATE_TONES
        assert state_style(state.value) != state_style("no such state")
        assert LOOK.chars.state(state.value) != LOOK.chars.state("no such state")


def test_every_state_has_a_tone_a_glyph_and_a_letter() -> None:
    """C-45: a state is never a colour alone."""
    from engine.layout.glyphs import STATES

    for state in TaskState:
        assert state.value in STATE_TONES and STATES[state.value].glyph and STATES[state.value].letter
    assert len({STATES[state.value].glyph for state in TaskState}) == len(TaskState)
    assert style("bad", cursor=True).reverse


@pytest.mark.parametrize(
    ("typed", "holds"),
    [
        ("", True),
        ("orders", True),
        ("state:failed", True),
        ("state:succ*", False),
        ("state:success,failed", True),
        ("pipeline:orders* state:failed", True),
        ("-state:failed", False),
        ("/ord.*daily/", True),
        ("/ord.* nightly/", False),
        ("since:2h", True),
        ("since:1s", False),
        ("state:", True),
        ("since:", True),
        ("nothing", False),
    ],
)
def test_filters_mean_what_they_say(typed: str, holds: bool) -> None:
    found = parse(typed, ("state", "pipeline"), NOW)
    facts = ({"state": "FAILED", "pipeline": "orders_daily"}, NOW - timedelta(minutes=30))
    assert (True if found is None else found(facts)) is holds


@pytest.mark.parametrize(
    ("typed", "said"), [("stat:failed", "Did you mean 'state'"), ("since:soon", "2h"), ("/(/", "regular")]
)
def test_a_filter_that_cannot_be_understood_is_said(typed: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        parse(typed, ("state", "pipeline"), NOW)


def test_times_read_well() -> None:
    assert [span(each) for each in (None, 3.2, 41, 200, 7_500, 273_600)] == [
        "", "3.2 s", "41 s", "3 min 20 s", "2 h 5 min", "3 d 4 h",
    ]  # fmt: skip
    assert [brief(each) for each in (3.2, 41, 200, 7_500, 273_600)] == ["3.2s", "41s", "3m20", "2h05", "3d04"]
    assert ago(NOW - timedelta(minutes=3), NOW) == "3 min ago"
    assert ago(NOW + timedelta(hours=2), NOW) == "in 2 h"


def test_json_lines_are_shown_as_their_message_and_the_rest() -> None:
    assert shown('{"level": "info", "msg": "loaded", "rows": 12}') == "loaded  level=info  rows=12"
    assert shown('{"no": "message"}') == '{"no": "message"}'
    assert shown("{broken") == "{broken"


@given(
    st.lists(
        st.tuples(st.text(max_size=5), st.sampled_from(["INFO", "ERROR", "odd"]), st.integers(1, 3)), max_size=30
    )
)
def test_the_store_gives_back_every_line_it_was_given(given_lines: list[tuple[str, str, int]]) -> None:
    store = LogStore()
    records = [
        LogRecord(float(i), level, "stdout", "t", attempt, text)
        for i, (text, level, attempt) in enumerate(given_lines)
    ]
    records *= 1 + BLOCK // max(1, len(records)) if records else 1
    store.add(records)
    assert list(store) == records
    kept = store.kept(3, 1)
    assert [records[i] for i in kept] == [each for each in records if each.level == "ERROR" and each.attempt == 1]
