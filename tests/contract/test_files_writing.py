"""Loads into folders: what becomes of what was there, what readers see meanwhile, and how a load is taken back."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.connectors.files import beside, sinks
from engine.connectors.registry import Connectors
from engine.dataflow.streams import Batches
from engine.model.errors import ConfigurationError, DataQualityError, PermissionFailure, ResourceExhaustion
from engine.model.workspace import Connection
from engine.ports.destination import Destination, Mode
from engine.ports.source import Selection, Source
from tests.contract.files_bench import ROWS, SCHEMA, Bench, order, stream, table


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def numbers(bench: Bench, path: str) -> list[Any]:
    return sorted(row["id"] or 0 for row in bench.rows(path, columns=["id"]))


IDS = sorted(row["id"] or 0 for row in ROWS)


class TestModes:
    def test_the_registry_hands_out_a_source_and_a_destination(self, tmp_path: Path) -> None:
        connectors = Connectors(tmp_path)
        connection = Connection(id="f", type="file", config={})
        assert isinstance(connectors.source(connection), Source)
        destination = connectors.destination(connection)
        assert isinstance(destination, Destination) and destination.modes() == {Mode.APPEND, Mode.REPLACE}

    def test_replace_leaves_only_the_new_rows(self, bench: Bench) -> None:
        assert bench.load("a.parquet", token="1").created
        second = bench.load("a.parquet", rows=ROWS[:1], token="2")
        assert not second.created and second.rows == 1 and second.bytes == (bench.root / "a.parquet").stat().st_size
        assert second.uri == f"file://{bench.root}/a.parquet" and numbers(bench, "a.parquet") == [1]

    def test_append_is_a_file_per_load_and_the_same_load_the_same_file(self, bench: Bench) -> None:
        for token in ("1", "2", "1", "2"):
            bench.load("parts/", token=token, mode=Mode.APPEND, options={"format": "csv"})
        assert len(list((bench.root / "parts").glob("part-*.csv"))) == 2
        assert numbers(bench, "parts") == sorted(IDS * 2)

    def test_a_token_that_was_loaded_is_reported_with_its_seal(self, bench: Bench) -> None:
        """CKP, invariant B: one committed effect per load token."""
        asked: list[int] = []
        given: dict[str, Any] = {"scope": "s", "seal": lambda: asked.append(1) or {"watermark": {"value": 7}}}
        bench.load("a.csv", **given)
        again = bench.load("a.csv", rows=[], **given)
        assert again.already and again.rows == 4 and again.seal == {"watermark": {"value": 7}} and asked == [1]
        assert bench.files.watermark("s", "a.csv") == {"watermark": {"value": 7}}
        assert bench.files.watermark("other", "a.csv") is None and bench.files.ledger("run/load", "b.csv") is None

    def test_a_ledger_holds_although_the_file_was_taken_away(self, bench: Bench) -> None:
        bench.load("a.csv")
        (bench.root / "a.csv").unlink()
        assert bench.load("a.csv").already

    @pytest.mark.parametrize("mode", [Mode.UPSERT, Mode.MERGE])
    def test_what_files_cannot_do_names_what_can(self, bench: Bench, mode: Mode) -> None:
        with pytest.raises(ConfigurationError, match="load into a database"):
            bench.load("a.csv", mode=mode, keys=("id",))
        with pytest.raises(ConfigurationError, match="`mode: replace`, or name a folder"):
            bench.load("a.csv", mode=Mode.APPEND)

    def test_a_missing_target_is_not_made_when_it_is_forbidden(self, bench: Bench) -> None:
        bench.load("orders.csv")
        with pytest.raises(ConfigurationError, match=r"no target 'order\.csv'.*Did you mean 'orders\.csv'"):
            bench.load("order.csv", create=False)
        assert bench.load("orders.csv", token="2", create=False).rows == 4

    def test_a_file_where_a_folder_would_be_is_refused(self, bench: Bench) -> None:
        bench.put("a", "text")
        with pytest.raises(ConfigurationError, match="would be a folder, and there is a file"):
            bench.load("a/")
        (bench.root / "b.csv").mkdir()
        with pytest.raises(ConfigurationError, match="would be a file, and there is a folder"):
            bench.load("b.csv")

    def test_a_source_that_fails_leaves_the_target_as_it_was(self, bench: Bench) -> None:
        bench.load("a.csv", token="1")

        def broken() -> Any:
            yield from stream()
            raise DataQualityError("torn")

        with pytest.raises(DataQualityError, match="torn"):
            bench.files.load(Batches(SCHEMA, broken()), order("a.csv", token="2"))
        assert numbers(bench, "a.csv") == IDS and bench.files.ledger("2", "a.csv") is None

    def test_a_damaged_ledger_stops_the_load(self, bench: Bench) -> None:
        bench.load("a.csv")
        (bench.root / ".penstock/files/a.csv.json").write_text("{")
        with pytest.raises(ConfigurationError, match=r"ledger of 'a\.csv' .* is damaged"):
            bench.load("a.csv", token="2")

    def test_a_full_disk_and_a_folder_without_rights_have_their_kinds(self, bench: Bench, monkeypatch: Any) -> None:
        """FAULTS 15"""
        for code, kind in ((28, ResourceExhaustion), (13, PermissionFailure)):

            def fail(*_: object, code: int = code) -> None:
                raise OSError(code, os.strerror(code))

            monkeypatch.setattr("os.fsync", fail)
            with pytest.raises(kind, match=r"a\.csv"):
                bench.load("a.csv")
            monkeypatch.undo()
        assert not (bench.root / "a.csv").exists()

    def test_leftovers_of_dead_loads_go_after_a_day(self, bench: Bench) -> None:
        bench.load("a.csv", token="1")
        stale = bench.put(".penstock/files/a.csv.dead.stage", "x")
        other = bench.put(".penstock/files/b.csv.dead.stage", "x")
        old = time.time() - beside.STALE[".stage"] - 10
        os.utime(stale, (old, old))
        os.utime(other, (old, old))
        bench.load("a.csv", token="2")
        assert not stale.exists() and other.exists()


class TestPartitions:
    def test_folders_are_named_by_values_and_come_back_as_columns(self, bench: Bench) -> None:
        """DST-09: partitioning"""
        schema = pa.schema([("id", pa.int64()), ("country", pa.string()), ("year", pa.int64())])
        rows = [
            {"id": number, "country": country, "year": 2024}
            for number, country in enumerate(("de", "../up", None, "a=b/c", "\x1b", "de"))
        ]
        given = order("t/", options={"format": "csv", "partition_by": ["country", "year"]})
        bench.files.load(Batches(schema, [pa.RecordBatch.from_pylist(rows, schema=schema)]), given)
        found = bench.rows("t", columns=["id", "country", "year"])
        assert sorted(found, key=lambda row: row["id"]) == rows
        assert (bench.root / "t/country=..%2Fup/year=2024").is_dir()
        assert sorted(path.name for path in bench.root.iterdir()) == [".penstock", "t"]

    def test_many_partitions_keep_few_files_open(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sinks, "MOST_OPEN", 2)
        schema = pa.schema([("id", pa.int64()), ("p", pa.int64())])
        batches = [
            pa.RecordBatch.from_pylist([{"id": at * 9 + p, "p": p} for p in range(9)], schema=schema)
            for at in range(3)
        ]
        bench.files.load(Batches(schema, batches), order("t/", options={"partition_by": ["p"]}))
        assert numbers(bench, "t") == list(range(27)) and len(list((bench.root / "t").rglob("*.parquet"))) == 27

    def test_too_many_are_refused(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sinks, "MOST_PARTITIONS", 2)
        with pytest.raises(DataQualityError, match="more than 2 folders"):
            bench.load("t/", options={"partition_by": ["id"]})
        assert not (bench.root / "t").exists()

    def test_readers_see_one_whole_generation_while_another_is_loaded(self, bench: Bench) -> None:
        """DST-09: never half of a replaced folder, never half of an appended load."""
        schema = pa.schema([("id", pa.int64()), ("p", pa.int64())])

        def load(generation: int) -> None:
            rows = [{"id": generation, "p": p} for p in range(5)]
            batch = pa.RecordBatch.from_pylist(rows, schema=schema)
            given = order("t/", token=f"{generation}", options={"partition_by": ["p"]})
            bench.files.load(Batches(schema, [batch]), given)

        load(0)
        stop, problems = threading.Event(), list[BaseException]()

        def write() -> None:
            try:
                for generation in range(1, 40):
                    load(generation)
            except BaseException as error:
                problems.append(error)
            stop.set()

        writer = threading.Thread(target=write)
        writer.start()
        whole, refusals = 0, set[str]()
        while not stop.is_set() or not whole:
            try:
                found = table(bench.files, Selection(path="t")).column("id").to_pylist()
            except DataQualityError as error:  # swapped while it was read: refused, not mixed
                refusals.add(str(error).partition("changed while")[1])
                continue
            assert len(found) == 5 and len(set(found)) == 1
            whole += 1
        writer.join()
        assert not problems and refusals <= {"changed while"}


@pytest.mark.parametrize("target", ["a.csv", "parts/", "tree/"])
@pytest.mark.parametrize("mode", [Mode.REPLACE, Mode.APPEND])
class TestAllOrNothing:
    """TXN-01 to TXN-03: staged, published, and taken back."""

    @pytest.fixture(autouse=True)
    def _skip(self, target: str, mode: Mode) -> None:
        if target == "a.csv" and mode is Mode.APPEND:
            pytest.skip("one file cannot be appended to")

    def given(self, target: str, mode: Mode, token: str, **more: Any) -> Any:
        options: dict[str, Any] = {"format": "csv"} if target == "a.csv" else {"format": "parquet"}
        options |= {"partition_by": ["yes"]} if target == "tree/" else {}
        return order(target, token=token, mode=mode, options=options, scope="s", seal=lambda: {"by": token}, **more)

    def test_nothing_is_seen_until_it_is_published_and_undo_takes_it_back(
        self, bench: Bench, target: str, mode: Mode
    ) -> None:
        bench.files.load(stream(), self.given(target, mode, "1"))
        one = self.given(target, mode, "2")
        staged = bench.files.stage(stream(ROWS[:2]), one)
        assert numbers(bench, target) == IDS and bench.files.ledger("2", target) is None
        loaded = bench.files.publish(staged, one)
        assert (loaded.rows, loaded.already, loaded.seal) == (2, False, {"by": "2"})
        assert numbers(bench, target) == (sorted([*IDS, 0, 1]) if mode is Mode.APPEND else [0, 1])
        assert bench.files.publish(staged, one).already
        for _ in range(2):
            bench.files.undo(staged, one)
            assert numbers(bench, target) == IDS
            assert bench.files.watermark("s", target) == {"by": "1"} and bench.files.ledger("2", target) is None
        for _ in range(2):
            bench.files.discard(staged)
        assert {path.suffix for path in (bench.root / ".penstock/files").iterdir()} == {".json", ".lock"}

    def test_undo_where_nothing_was_leaves_nothing(self, bench: Bench, target: str, mode: Mode) -> None:
        one = self.given(target, mode, "1")
        staged = bench.files.stage(stream(), one)
        bench.files.publish(staged, one)
        bench.files.undo(staged, one)
        bench.files.discard(staged)
        assert [path.name for path in bench.root.iterdir()] == [".penstock"]

    def test_undo_leaves_what_others_have_written_since(self, bench: Bench, target: str, mode: Mode) -> None:
        bench.files.load(stream(), self.given(target, mode, "1"))
        one = self.given(target, mode, "2")
        staged = bench.files.stage(stream(ROWS[:2]), one)
        bench.files.publish(staged, one)
        later = Mode.APPEND if target != "a.csv" else Mode.REPLACE
        bench.files.load(stream(ROWS[2:3]), self.given(target, later, "3"))
        bench.files.undo(staged, one)
        expected = [-5] if target == "a.csv" else sorted([*IDS, -5])
        assert numbers(bench, target) == expected
        assert bench.files.ledger("3", target) is not None

    def test_what_was_staged_and_is_gone_is_not_published(self, bench: Bench, target: str, mode: Mode) -> None:
        one = self.given(target, mode, "1")
        staged = bench.files.stage(stream(), one)
        bench.files.discard(staged)
        with pytest.raises(ConfigurationError, match="is gone; retry the load"):
            bench.files.publish(staged, one)
        assert bench.files.ledger("1", target) is None


def test_loads_at_once_into_one_folder_all_arrive(bench: Bench) -> None:
    schema = pa.schema([("id", pa.int64()), ("p", pa.int64())])
    problems: list[BaseException] = []

    def load(number: int) -> None:
        try:
            batch = pa.RecordBatch.from_pylist([{"id": number, "p": number % 2}], schema=schema)
            given = order("t/", token=f"{number}", mode=Mode.APPEND, options={"partition_by": ["p"]})
            bench.files.load(Batches(schema, [batch]), given)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and numbers(bench, "t") == list(range(8))
    assert all(bench.files.ledger(f"{number}", "t/") is not None for number in range(8))
