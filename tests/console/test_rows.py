"""Selection and marks are bound to ids, whatever happens around them (CONSOLE: the selection never drifts)."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from console.widgets.rows import Rows


class Record(NamedTuple):
    name: str
    value: int | None
    shown: bool = True


NAMES = st.sampled_from([f"r{i}" for i in range(12)])
RECORDS = st.builds(Record, NAMES, st.none() | st.integers(0, 5), st.booleans())
STEPS = st.one_of(
    st.tuples(st.just("put"), st.lists(RECORDS, max_size=6)),
    st.tuples(st.just("replace"), st.lists(RECORDS, max_size=8)),
    st.tuples(st.just("remove"), st.lists(NAMES, max_size=3)),
    st.tuples(st.just("sort"), st.tuples(st.booleans(), st.booleans())),
    st.tuples(st.just("mark"), st.none()),
    st.tuples(st.just("move"), st.integers(-3, 3)),
)


def rows() -> Rows[Record]:
    return Rows(lambda record: record.name, lambda record: record.name)


@given(st.lists(STEPS, max_size=25))
def test_the_selection_changes_by_moving_only(steps: list[tuple[str, object]]) -> None:
    table = rows()
    table.put([Record("r3", 1), Record("r5", 2), Record("r7", None)])
    table.filter(lambda record: record.shown)
    for what, value in steps:
        before, marks = table.selected_id, {record.name for record in table.marked}
        match what, value:
            case "put", list():
                table.put(value)
            case "replace", list():
                table.replace(value)
            case "remove", list():
                table.remove(value)
            case "sort", (by_value, reverse):
                table.sort((lambda record: record.value) if by_value else None, reverse=bool(reverse))
            case "mark", _:
                table.mark()
                continue
            case "move", int():
                table.move(value)
                continue
        assert table.selected_id in (before, None) or before is None
        assert {record.name for record in table.marked} <= marks
        assert_consistent(table)


def assert_consistent(table: Rows[Record]) -> None:
    shown = [table.id_at(line) for line in range(len(table))]
    assert len(set(shown)) == len(shown)
    for line, name in enumerate(shown):
        assert table.line_of(name) == line
        record = table.get(name)
        assert record is not None and record.shown
    if table.selected_id is not None:
        assert shown[table.line] == table.selected_id


@given(st.lists(RECORDS, max_size=12), st.booleans())
def test_order_is_by_value_then_by_the_natural_order_and_missing_ones_are_last(
    records: list[Record], reverse: bool
) -> None:
    table = rows()
    table.sort(lambda record: record.value, reverse=reverse)
    table.put(records)
    values = [table.at(line).value for line in range(len(table))]
    there = [value for value in values if value is not None]
    assert there == sorted(there, reverse=reverse)
    assert values[: len(there)] == there


def test_when_the_selected_row_goes_nothing_is_selected_until_somebody_moves() -> None:
    table = rows()
    table.put([Record(name, 0) for name in "abcd"])
    table.select("b")
    table.remove(["b"])
    assert table.selected is None and table.chosen == []
    table.move(1)
    assert table.selected_id == "c"


def test_a_row_that_comes_back_is_selected_again() -> None:
    table = rows()
    table.put([Record(name, 0) for name in "abc"])
    table.select("b")
    table.replace([Record("a", 0), Record("c", 0)])
    table.put([Record("b", 1)])
    assert table.selected_id == "b"


def test_a_range_is_extended_by_moving_and_shrinks_again() -> None:
    table = rows()
    table.put([Record(name, 0) for name in "abcdef"])
    table.select("b")
    table.mark_range()
    table.move(3)
    assert [record.name for record in table.marked] == list("bcde")
    table.move(-2)
    assert [record.name for record in table.marked] == list("bc")
    table.mark_range()
    table.move(3)
    assert [record.name for record in table.marked] == list("bc")


def test_marks_survive_a_filter_and_it_is_known_how_many_it_hides() -> None:
    table = rows()
    table.put([Record("a", 1), Record("b", 2), Record("c", 3)])
    table.mark_all()
    table.filter(lambda record: record.value != 2)
    assert len(table.marked) == 3 and table.hidden_marks == 1
    table.filter(None)
    assert table.hidden_marks == 0


def test_many_rows_that_stay_where_they_are_move_no_line() -> None:
    """What a live view is put again and again: only cells are new, so only cells are painted."""
    rows: Rows[tuple[str, int]] = Rows(lambda row: row[0], lambda row: row[0])
    rows.put([(f"r{number:03d}", 0) for number in range(200)])
    moved, touched = rows.put([(f"r{number:03d}", number % 2) for number in range(200)])
    assert not moved
    assert touched == [f"r{number:03d}" for number in range(1, 200, 2)]
    assert rows.at(3) == ("r003", 1)
    moved, touched = rows.put([(f"r{number:03d}", 5) for number in range(100, 300)])
    assert moved
    assert len(rows) == 300
