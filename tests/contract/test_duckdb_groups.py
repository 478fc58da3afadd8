"""Rows into DuckDB in whole row groups: two threads write, and the order stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.connectors.databases import duckdb_groups
from engine.connectors.registry import Connectors
from engine.dataflow.streams import Batches
from engine.model.errors import DataQualityError
from engine.model.workspace import Connection
from engine.ports.destination import Mode, Order

NARROW = pa.schema([("id", pa.int64()), ("name", pa.string())])
SETTINGS = "SELECT current_setting('threads') || ' ' || current_setting('memory_limit')"
IN_ORDER = "SELECT count(*) || ' ' || count(*) FILTER (id = rowid) FROM t"
ROWS = 400_000
AT_REST = "1 91.5 MiB"


def open_at(file: Path, **config: Any) -> Any:
    return Connectors(file.parent).open(Connection(id="own", type="duckdb", config={"path": file.name, **config}))


def rows(count: int, step: int = 7_000, letters: int = 10) -> Iterator[pa.RecordBatch]:
    for begin in range(0, count, step):
        numbers = range(begin, min(begin + step, count))
        names = [str(n).rjust(letters, "x") for n in numbers]
        yield pa.RecordBatch.from_arrays([pa.array(numbers), pa.array(names)], schema=NARROW)


class Watched:
    """Rows that note what DuckDB works with while they are taken."""

    def __init__(self, opened: Any, batches: Iterator[pa.RecordBatch]) -> None:
        self.schema = NARROW
        self._opened, self._batches = opened, batches
        self.seen: list[str] = []

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        knob = self._opened._session.writing().cursor()
        for batch in self._batches:
            self.seen.append(knob.execute(SETTINGS).fetchall()[0][0])
            yield batch

    def close(self) -> None:
        """Nothing is open."""


def loaded(opened: Any, batches: Iterator[pa.RecordBatch], token: str = "1", **order: Any) -> list[str]:
    stream = Watched(opened, batches)
    opened.load(stream, Order(token=token, target="t", **order))
    return stream.seen


def test_two_threads_write_narrow_rows_and_their_order_stays(tmp_path: Path) -> None:
    """PRF: and what DuckDB may take is what it was before, once they are in."""
    opened = open_at(tmp_path / "d.duckdb")
    seen = loaded(opened, rows(ROWS))
    assert seen[0] == AT_REST  # of the first batch the row's width is learned
    assert set(seen[1:]) == {"2 76.2 MiB"}  # what the rows leave of 86 MB
    assert opened.scalar(IN_ORDER, {}) == f"{ROWS} {ROWS}"
    assert opened.scalar(SETTINGS, {}) == AT_REST
    opened.close()


@pytest.mark.parametrize(
    ("config", "letters", "wanted"),
    [
        ({}, 200, AT_REST),
        ({"memory_mb": 200}, 200, "2 190.7 MiB"),
        ({"threads": 1}, 10, AT_REST),
        ({"threads": 3}, 10, "3 73.4 MiB"),
        ({"memory_mb": 6}, 10, "1 5.7 MiB"),
    ],
)
def test_how_many_write_follows_the_rows_and_the_connection(
    tmp_path: Path, config: dict[str, int], letters: int, wanted: str
) -> None:
    opened = open_at(tmp_path / "d.duckdb", **config)
    assert set(loaded(opened, rows(ROWS // 2, letters=letters))[1:]) == {wanted}
    assert opened.scalar(IN_ORDER, {}) == f"{ROWS // 2} {ROWS // 2}"
    opened.close()


def test_one_thread_writes_where_an_index_is_kept(tmp_path: Path) -> None:
    opened = open_at(tmp_path / "d.duckdb")
    opened.create_target("t", NARROW, ["id"])
    assert {each.split()[0] for each in loaded(opened, rows(20_000))} == {"1"}
    opened.close()


def test_one_thread_writes_while_the_file_is_read_beside(tmp_path: Path) -> None:
    """From one table of a file into another."""
    from engine.ports.source import Selection

    opened = open_at(tmp_path / "d.duckdb")
    loaded(opened, rows(ROWS))
    source = open_at(tmp_path / "d.duckdb")
    reading = source.read(Selection(table="t"))
    assert opened.load(reading, Order(token="2", target="copy")).rows == ROWS
    reading.close()
    assert opened.scalar("SELECT count(*) FILTER (id = rowid) FROM copy", {}) == ROWS
    source.close()
    opened.close()


def test_rows_that_fail_half_way_leave_nothing_and_the_next_load_goes_on(tmp_path: Path) -> None:
    """The stream's own error comes through, from whichever thread it was raised in."""

    def torn() -> Iterator[pa.RecordBatch]:
        yield from rows(ROWS)
        raise DataQualityError("row 400,001 is torn")

    opened = open_at(tmp_path / "d.duckdb")
    loaded(opened, rows(1_000))
    for mode in (Mode.APPEND, Mode.REPLACE):
        with pytest.raises(DataQualityError, match="row 400,001 is torn"):
            loaded(opened, torn(), token="2", mode=mode)
        assert opened.scalar(IN_ORDER, {}) == "1000 1000"
        assert opened.scalar(SETTINGS, {}) == AT_REST
    loaded(opened, rows(ROWS), token="3", mode=Mode.REPLACE)
    assert opened.scalar("SELECT count(*) || ' ' || min(id) || ' ' || max(id) FROM t", {}) == "400000 0 399999"
    opened.close()


def test_rows_that_grow_wider_are_handed_on_in_smaller_groups(tmp_path: Path) -> None:
    """Bounded: what is held never follows the widest row."""
    opened = open_at(tmp_path / "d.duckdb")

    def growing() -> Iterator[pa.RecordBatch]:
        yield from rows(7_000)
        for batch in rows(7_000 + 60_000, step=500, letters=1_000):
            if batch.column(0)[0].as_py() >= 7_000:
                yield batch

    loaded(opened, growing())
    assert opened.scalar(IN_ORDER, {}) == "67000 67000"
    opened.close()


@given(
    sizes=st.lists(st.integers(0, 300_000), max_size=8),
    most_bytes=st.sampled_from([100_000.0, 600_000.0, 10_000_000.0]),
)
def test_groups_hold_the_same_rows_in_order(sizes: Sequence[int], most_bytes: float) -> None:
    """Each is a row group but the last, or ends early where more bytes would be held."""
    schema = pa.schema([("n", pa.int64())])
    numbers = pa.array(range(sum(sizes)), pa.int64())
    given_batches, begin = [], 0
    for size in sizes:
        given_batches.append(pa.RecordBatch.from_arrays([numbers.slice(begin, size)], schema=schema))
        begin += size
    made = list(duckdb_groups.groups(iter(given_batches), schema, most_bytes))
    together = pa.Table.from_batches(made, schema)
    assert together.column("n").combine_chunks().equals(numbers)
    assert all(0 < each.num_rows <= duckdb_groups.ROWS for each in made)
    if most_bytes > 8 * 2 * duckdb_groups.ROWS and made:
        assert {each.num_rows for each in made[:-1]} <= {duckdb_groups.ROWS}
    largest = max((8 * size for size in sizes), default=0)
    assert all(each.nbytes <= max(most_bytes, largest) + largest for each in made)


def test_no_rows_make_an_empty_table(tmp_path: Path) -> None:
    opened = open_at(tmp_path / "d.duckdb")
    assert opened.load(Batches(NARROW, []), Order(token="1", target="t")).rows == 0
    assert opened.scalar(IN_ORDER, {}) == "0 0"
    opened.close()
