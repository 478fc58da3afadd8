"""Incremental reads of files: each file once, whatever its time, its name, and who looks when (SRC-13)."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.connectors.files import newness
from engine.connectors.files.place import Entry
from engine.model.dataset import Strategy
from engine.model.errors import ConfigurationError
from engine.ports.source import Selection, Window
from engine.rules.watermarks import newer
from tests.contract.files_bench import Bench

SECOND = 1_000_000_000
NOON = int(dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC).timestamp()) * SECOND


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def put(bench: Bench, name: str, number: int, at: float) -> None:
    path = bench.put(f"in/{name}", f"n,x\n{number},x\n")
    os.utime(path, ns=(NOON + int(at * SECOND), NOON + int(at * SECOND)))


def read(bench: Bench, after: Any = None, **window: Any) -> tuple[list[int], Any]:
    """The numbers that were read, and the new watermark, as it comes back from a store."""
    reading = bench.files.read(Selection(path="in/*.csv", window=Window(after=after, **window)))
    numbers = pa.Table.from_batches(list(reading), reading.schema).column("n").to_pylist()
    seen = reading.seen()
    assert seen is not None and seen.strategy is Strategy.FILE and seen.fingerprint
    return numbers, json.loads(json.dumps(seen.value)) if seen.value is not None else after


class TestModified:
    def test_new_and_rewritten_files_are_read_once_each(self, bench: Bench) -> None:
        put(bench, "a.csv", 1, 0)
        put(bench, "b.csv", 2, 10)
        numbers, mark = read(bench)
        assert numbers == [1, 2] and mark["type"] == "timestamp" and mark["value"] == "2024-01-01T12:00:10+00:00"
        put(bench, "c.csv", 3, 20)
        put(bench, "a.csv", 11, 30)
        numbers, later = read(bench, mark)
        assert numbers == [3, 11] and newer(later, mark)
        assert read(bench, later) == ([], later)

    def test_a_late_file_inside_the_lookback_is_found_and_nothing_doubled(self, bench: Bench) -> None:
        """INC-05"""
        put(bench, "b.csv", 2, 1000)
        _, mark = read(bench)
        put(bench, "late.csv", 3, 900)
        put(bench, "too_late.csv", 4, 100)
        numbers, mark = read(bench, mark)
        assert numbers == [3] and mark["value"] == "2024-01-01T12:16:40+00:00"
        assert read(bench, mark)[0] == []

    def test_a_wider_lookback_never_reads_again_what_was_forgotten(self, bench: Bench) -> None:
        put(bench, "a.csv", 1, 0)
        put(bench, "b.csv", 2, 100)
        _, mark = read(bench, lookback_seconds=0)
        assert read(bench, mark, lookback_seconds=600)[0] == []

    def test_files_of_one_moment_are_told_apart(self, bench: Bench) -> None:
        put(bench, "a.csv", 1, 0)
        _, mark = read(bench, lookback_seconds=0)
        put(bench, "b.csv", 2, 0)
        assert read(bench, mark, lookback_seconds=0)[0] == [2]

    def test_a_date_in_the_future_does_not_hide_what_comes_next(self, bench: Bench) -> None:
        put(bench, "future.csv", 1, time.time() + 86_400 * 365)
        put(bench, "a.csv", 2, 0)
        numbers, mark = read(bench)
        assert sorted(numbers) == [1, 2]
        bench.put("in/now.csv", "n,x\n3,x\n")
        numbers, mark = read(bench, mark)
        assert numbers == [3] and read(bench, mark)[0] == []

    @pytest.mark.parametrize(
        "value",
        [
            {"type": "timestamp", "value": "2024-01-01T12:00:05+00:00"},
            {"type": "string", "value": "2024-01-01T12:00:05Z"},
            {"type": "datetime", "value": "2024-01-01T12:00:05"},
        ],
    )
    def test_a_reset_to_a_time_begins_there(self, bench: Bench, value: Mapping[str, Any]) -> None:
        put(bench, "a.csv", 1, 0)
        put(bench, "b.csv", 2, 10)
        assert read(bench, value, lookback_seconds=0)[0] == [2]

    def test_a_chunk_of_history_stops_where_it_is_told(self, bench: Bench) -> None:
        """INC-09"""
        for number in range(4):
            put(bench, f"{number}.csv", number, number * 10)
        upto = {"type": "timestamp", "value": "2024-01-01T12:00:15+00:00"}
        numbers, mark = read(bench, upto=upto)
        assert numbers == [0, 1]
        assert read(bench, mark)[0] == [2, 3]

    def test_only_files_read_to_their_end_count(self, bench: Bench) -> None:
        put(bench, "a.csv", 1, 0)
        put(bench, "b.csv", 2, 10)
        reading = bench.files.read(Selection(path="in/*.csv", window=Window()))
        batches = iter(reading)
        next(batches)
        seen = reading.seen()
        assert seen is not None and seen.value is None
        next(batches)
        seen = reading.seen()
        assert seen is not None and read(bench, seen.value)[0] == [2]
        reading.close()

    def test_nothing_new_still_has_columns(self, bench: Bench) -> None:
        put(bench, "a.csv", 1, 0)
        _, mark = read(bench)
        reading = bench.files.read(Selection(path="in/*.csv", window=Window(after=mark)))
        assert reading.schema.names == ["n", "x"] and list(reading) == [] and reading.raw() is None

    def test_an_empty_inbox_has_nothing_new(self, bench: Bench) -> None:
        (bench.root / "in").mkdir()
        reading = bench.files.read(Selection(path="in/*.csv", window=Window()))
        assert list(reading) == [] and reading.seen() is not None


class TestName:
    def test_names_beyond_the_last_are_read_in_their_order(self, bench: Bench) -> None:
        put(bench, "2024-01-02.csv", 2, 0)
        put(bench, "2024-01-01.csv", 1, 50)
        numbers, mark = read(bench, column="name")
        assert numbers == [1, 2] and mark == {"type": "string", "value": "in/2024-01-02.csv"}
        put(bench, "2024-01-03.csv", 3, 0)
        put(bench, "2023-12-31.csv", 0, 99)
        assert read(bench, mark, column="name")[0] == [3]


class TestManifest:
    def test_old_files_that_arrive_late_are_read(self, bench: Bench) -> None:
        put(bench, "a.csv", 1, 1000)
        _, mark = read(bench, column="manifest")
        put(bench, "old.csv", 2, -86_400)
        numbers, mark = read(bench, mark, column="manifest")
        assert numbers == [2] and read(bench, mark, column="manifest")[0] == []

    def test_what_is_gone_is_forgotten(self, bench: Bench) -> None:
        put(bench, "a.csv", 1, 0)
        _, mark = read(bench, column="manifest")
        (bench.root / "in/a.csv").unlink()
        put(bench, "b.csv", 2, 0)
        _, mark = read(bench, mark, column="manifest")
        assert list(mark["files"]) == ["in/b.csv"]


class _Shop:
    """Files coming and changing, as (name, time) pairs; what a chain of reads takes of them."""

    def __init__(self, way: str) -> None:
        self.way, self.mark, self.there = way, None, {}

    def take(self, lookback: float = 300.0) -> list[tuple[str, int]]:
        entries = [Entry(name=name, size=1, mtime_ns=at, tag=f"{at}") for name, at in self.there.items()]
        new = newness.Newness(Window(column=self.way, after=self.mark, lookback_seconds=lookback), entries)
        seen = new.seen(new.entries, "f")
        self.mark = json.loads(json.dumps(seen.value)) if seen.value is not None else self.mark
        return [(entry.name, entry.mtime_ns) for entry in new.entries]


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    way=st.sampled_from(["modified", "manifest"]),
    rounds=st.lists(
        st.tuples(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 200)), max_size=5), st.floats(0, 600)),
        max_size=8,
    ),
)
def test_no_version_of_a_file_is_ever_read_twice(
    way: str, rounds: list[tuple[list[tuple[int, int]], float]]
) -> None:
    """Whatever comes when, and however the lookback changes; and what is newer than all before is always read."""
    shop, taken, newest = _Shop(way), set(), 0
    for changes, lookback in rounds:
        expected = set()
        for name, at in changes:
            # A file's time does not go back to one it had before: that would be another version of the same look.
            shop.there[str(name)] = max(shop.there.get(str(name), 0), NOON + at * 10 * SECOND)
        for name, stamp in shop.there.items():
            if (stamp > newest or way == "manifest") and (name, stamp) not in taken:
                expected.add((name, stamp))
        found = shop.take(lookback)
        if way == "modified":
            assert not taken & set(found)
        assert expected <= set(found)
        taken |= set(found)
        newest = max([newest, *(stamp for _, stamp in found)])


def test_memory_is_bounded_and_what_is_forgotten_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newness, "MOST_REMEMBERED", 10)
    shop = _Shop("modified")
    shop.there = {f"{number}": NOON + number for number in range(50)}
    assert len(shop.take()) == 50
    assert shop.mark is not None and len(shop.mark["files"]) == 10
    assert shop.take() == []


def test_a_manifest_that_grows_too_large_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newness, "MOST_IN_MANIFEST", 10)
    shop = _Shop("manifest")
    shop.there = {f"{number}": NOON for number in range(11)}
    with pytest.raises(ConfigurationError, match="`column: modified`"):
        shop.take()


def test_other_strategies_are_refused_and_the_ways_named(bench: Bench) -> None:
    put(bench, "a.csv", 1, 0)
    with pytest.raises(ConfigurationError, match="`strategy: file`"):
        read(bench, strategy=Strategy.TIMESTAMP)
    with pytest.raises(ConfigurationError, match="modified, name, manifest"):
        read(bench, column="updated_at")
    selection = Selection(path="in/*.csv")
    assert [each.column for each in bench.files.candidates(selection)] == ["modified", "name", "manifest"]
    assert bench.files.newest(selection) == {"type": "timestamp", "value": "2024-01-01T12:00:00+00:00"}
