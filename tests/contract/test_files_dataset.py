"""Many files as one dataset: patterns, common columns, lineage, files that change, names that bite."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from engine.connectors.files.globs import Pattern
from engine.connectors.files.local import LocalFolder
from engine.model.errors import ConfigurationError, DataQualityError, PermissionFailure
from engine.ports.source import Selection
from tests.contract.files_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "matching", "other"),
        [
            ("a/*.csv", ["a/x.csv", "a/\n.csv"], ["a/b/x.csv", "a/.x.csv", "a/x.csv2"]),
            ("a/**/*.csv", ["a/x.csv", "a/b/c/x.csv"], ["a/.b/x.csv", "b/x.csv"]),
            ("**", ["x", "a/b"], [".x", "a/.b"]),
            ("a?[0-9].csv", ["ab1.csv"], ["ab.csv", "abx.csv", "a/1.csv"]),
            ("[!a].csv", ["b.csv"], ["a.csv", "/.csv"]),
            (".hidden/*", [".hidden/x"], [".other/x"]),
            ("a+(b).csv", ["a+(b).csv"], ["aab.csv"]),
        ],
    )
    def test_names_that_match(self, pattern: str, matching: list[str], other: list[str]) -> None:
        """SRC-12: globbing"""
        made = Pattern(tuple(pattern.split("/")))
        assert all(made.matches(name) for name in matching)
        assert not any(made.matches(name) for name in other)

    def test_files_of_a_pattern_are_one_dataset(self, bench: Bench) -> None:
        """SRC-12: many files as one logical dataset; their names are lineage (LIN-01)."""
        bench.put("in/1.csv", "a,b\n1,2\n")
        bench.put("in/deep/2.csv.gz", gzip.compress(b"b,a,c\n3,1.5,x\n"))
        bench.put("in/3.jsonl", '{"a": 7}\n')
        bench.put("in/.penstock/x.csv", "z\n1\n")
        reading = bench.files.read(Selection(path="in/**/*", options={"file_column": "file"}))
        rows = pa.Table.from_batches(list(reading), reading.schema).to_pylist()
        assert rows == [
            {"a": 1.0, "b": 2, "c": None, "file": "in/1.csv"},
            {"a": 7.0, "b": None, "c": None, "file": "in/3.jsonl"},
            {"a": 1.5, "b": 3, "c": "x", "file": "in/deep/2.csv.gz"},
        ]
        [touch] = reading.touches()
        assert touch.parts == ("in/1.csv", "in/3.jsonl", "in/deep/2.csv.gz") and touch.part_count == 3
        assert touch.uri == f"file://{bench.root}/in/**/*" and touch.dataset == "inbox:in/**/*"

    def test_lineage_lists_a_hundred_parts_and_counts_all(self, bench: Bench) -> None:
        for number in range(120):
            bench.put(f"in/{number:03}.csv", "a,b\n1,2\n")
        reading = bench.files.read(Selection(path="in/*.csv"))
        assert sum(batch.num_rows for batch in reading) == 120
        [touch] = reading.touches()
        assert len(touch.parts) == 100 and touch.part_count == 120 and touch.bytes == 120 * 8

    def test_columns_that_do_not_go_together_name_both_files(self, bench: Bench) -> None:
        bench.put("1.csv", "a,b\n1,2\n")
        bench.put("2.csv", "a,b\nx,2\n")
        with pytest.raises(DataQualityError, match=r"'a' is integer in '1\.csv' and string in '2\.csv'"):
            bench.rows("*.csv")
        assert [row["a"] for row in bench.rows("*.csv", types={"a": "string"})] == ["1", "x"]

    def test_empty_files_among_others_have_no_rows(self, bench: Bench) -> None:
        bench.put("1.csv", "")
        bench.put("2.csv", "a,b\n")
        bench.put("3.csv", "a,b\n1,2\n")
        assert bench.rows("*.csv", types={"a": "integer"}) == [{"a": 1, "b": 2}]

    def test_folders_named_by_values_are_columns(self, bench: Bench) -> None:
        bench.put("h/year=2024/tag=a%2Fb/x.csv", "v,w\n1,1\n")
        bench.put("h/year=2023/tag=__HIVE_DEFAULT_PARTITION__/x.csv", "v,w\n2,2\n")
        assert bench.rows("h", columns=["v", "year", "tag"]) == [
            {"v": 2, "year": 2023, "tag": None},
            {"v": 1, "year": 2024, "tag": "a/b"},
        ]

    def test_a_name_that_is_missing_says_where_it_was_looked_for(self, bench: Bench) -> None:
        with pytest.raises(ConfigurationError, match=r"No file 'gone/\*\.csv' in connection 'inbox'"):
            bench.rows("gone/*.csv")

    def test_a_literal_name_may_look_like_a_pattern(self, bench: Bench) -> None:
        bench.put("data[1].csv", "a,b\n1,2\n")
        assert bench.rows("data[1].csv") == [{"a": 1, "b": 2}]


class TestFilesThatChange:
    """FAULTS 27: what somebody writes to while it is read is refused, not half read."""

    def test_one_that_grows_while_it_is_read(self, bench: Bench) -> None:
        path = bench.put("a.csv", "a,b\n" + "1,2\n" * 2_000_000)
        reading = bench.files.read(Selection(path="a.csv"))
        batches = iter(reading)
        next(batches)
        with path.open("a") as file:
            file.write("3,4\n")
        with pytest.raises(DataQualityError, match=r"'a\.csv' changed while it was being read"):
            list(batches)

    def test_one_that_grew_between_looking_and_reading(self, bench: Bench) -> None:
        path = bench.put("a.csv", "a,b\n1,2\n")
        reading = bench.files.read(Selection(path="a.csv"))
        path.write_text("a,b\n1,2\n3,4\n")
        with pytest.raises(DataQualityError, match="changed while"):
            list(reading)

    def test_one_that_is_rewritten_with_as_many_bytes(self, bench: Bench) -> None:
        path = bench.put("a.csv", "a,b\n1,2\n")
        reading = bench.files.read(Selection(path="a.csv"))
        path.write_text("a,b\n3,4\n")
        os.utime(path, ns=(1, 1))
        with pytest.raises(DataQualityError, match="changed while"):
            list(reading)

    def test_text_handed_on_raw_is_checked_too(self, bench: Bench) -> None:
        path = bench.put("a.csv", "a,b\n" + "1,2\n" * 2_000_000)
        reading = bench.files.read(Selection(path="a.csv"))
        text = reading.raw()
        assert text is not None
        next(text.blocks)
        with path.open("a") as file:
            file.write("3,4\n")
        with pytest.raises(DataQualityError, match="changed while"):
            list(text.blocks)
        reading.close()

    def test_a_bomb_ends_at_the_cap(self, bench: Bench) -> None:
        """FAULTS 32: a few kilobytes that unfold without end."""
        bench.put("a.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000))
        with pytest.raises(DataQualityError, match=r"more than 1,000,000 bytes.*`max_bytes`"):
            bench.rows("a.csv.gz", max_bytes=1_000_000)


class TestRaw:
    def test_the_bytes_without_headers_and_each_file_ended(self, bench: Bench) -> None:
        bench.put("1.csv", b'\xef\xbb\xbfa,b\n1,"x\ny"\n2,z')
        bench.put("2.csv.gz", gzip.compress(b"a,b\n3,\n"))
        reading = bench.files.read(Selection(path="*.csv*"))
        text = reading.raw()
        assert text is not None and list(text.columns) == ["a", "b"] and (text.delimiter, text.quote) == (",", '"')
        assert b"".join(text.blocks) == b'1,"x\ny"\n2,z\n3,\n' and text.counted["bytes"] == 15
        assert reading.touches()[0].part_count == 2
        reading.close()

    @pytest.mark.parametrize(
        "options",
        [{"types": {"a": "string"}}, {"null_values": ["-"]}, {"encoding": "latin-1"}, {"file_column": "f"}],
    )
    def test_nothing_raw_where_values_have_to_be_looked_at(self, bench: Bench, options: dict[str, object]) -> None:
        bench.put("a.csv", "a,b\n1,2\n")
        assert bench.files.read(Selection(path="a.csv", options=options)).raw() is None
        assert bench.files.read(Selection(path="a.csv", columns=["a"])).raw() is None

    def test_nothing_raw_from_files_of_other_columns(self, bench: Bench) -> None:
        bench.put("1.csv", "a,b\n1,2\n")
        bench.put("2.csv", "b,a\n1,2\n")
        assert bench.files.read(Selection(path="*.csv")).raw() is None

    def test_a_cut_quote_is_found_at_the_end(self, bench: Bench) -> None:
        bench.put("a.csv", 'a,b\n1,"x\n')
        with pytest.raises(DataQualityError, match="inside a quoted cell"):
            bench.files.read(Selection(path="a.csv"))
        bench.put("a.csv", "a,b\n" + "1,2\n" * 1_000_000 + '1,"x\n')
        text = bench.files.read(Selection(path="a.csv")).raw()
        assert text is not None
        with pytest.raises(DataQualityError, match="inside a quoted cell"):
            list(text.blocks)

    def test_a_consumer_that_stops_leaves_no_thread(self, bench: Bench) -> None:
        bench.put("a.csv", "a,b\n" + "1,2\n" * 3_000_000)
        reading = bench.files.read(Selection(path="a.csv"))
        text = reading.raw()
        assert text is not None
        next(text.blocks)
        reading.close()
        assert not [each for each in threading.enumerate() if each.name == "read-ahead"]


HOSTILE = (
    b"esc\x1b[31m.csv",
    b"new\nline.csv",
    b"-rf.csv",
    "rtl\u202e.csv".encode(),
    b"bad\xff\xfe.csv",
    b"a b%41'\".csv",
)


class TestHostileNames:
    """FAULTS 40: shown harmless, read and remembered exactly."""

    @pytest.fixture
    def folder(self, bench: Bench) -> Bench:
        (bench.root / "in").mkdir()
        for number, name in enumerate(HOSTILE):
            path = os.path.join(os.fsencode(bench.root / "in"), name)
            with open(path, "wb") as file:
                file.write(b"a,b\n%d,x\n" % number)
        return bench

    def test_they_are_read_and_shown_without_harm(self, folder: Bench) -> None:
        reading = folder.files.read(Selection(path="in/*", options={"file_column": "f"}))
        rows = pa.Table.from_batches(list(reading), reading.schema).to_pylist()
        assert sorted(row["a"] for row in rows) == list(range(len(HOSTILE)))
        [touch] = reading.touches()
        for text in (*touch.parts, touch.uri, *(row["f"] for row in rows), *folder.files.discover("in/*")):
            assert text.isprintable() and text.encode()

    def test_errors_show_them_without_harm(self, folder: Bench) -> None:
        for name in HOSTILE:
            with open(os.path.join(os.fsencode(folder.root / "in"), name), "wb") as file:
                file.write(b"a,b\n1,2,3\n")
            with pytest.raises(DataQualityError) as caught:
                folder.rows(os.fsdecode(b"in/" + name))
            assert str(caught.value).isprintable() and "expected 2 columns" in str(caught.value)

    def test_they_can_be_written(self, bench: Bench) -> None:
        for name in HOSTILE:
            loaded = bench.load(os.fsdecode(name), token=f"t{name!r}")
            assert loaded.uri.isascii() and loaded.uri.isprintable()
            assert bench.files.ledger(f"t{name!r}", os.fsdecode(name)) is not None
            assert len(bench.rows(os.fsdecode(name))) == 4


SWAP = """
import os, sys
folder, outside = sys.argv[1:]
while True:
    os.rename(folder, folder + ".away")
    os.symlink(outside, folder)
    for _ in range(100): pass
    os.unlink(folder)
    os.rename(folder + ".away", folder)
    for _ in range(1000): pass
"""


class TestStayingBelowTheRoot:
    """FAULTS 39: a connection's `path` is its root, for reading and for writing."""

    @pytest.fixture
    def inside(self, tmp_path: Path) -> Bench:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "secret.csv").write_text("a,b\n1,2\n")
        (tmp_path / "ws" / "in").mkdir(parents=True)
        return Bench(tmp_path / "ws" / "in", path=str(tmp_path / "ws" / "in"))

    @pytest.mark.parametrize("path", ["../../out/secret.csv", "x/../../../out/*.csv", "/etc/passwd", "**/../../*"])
    def test_paths_that_lead_out_are_refused(self, inside: Bench, path: str) -> None:
        with pytest.raises(PermissionFailure, match="leads out"):
            inside.rows(path)
        with pytest.raises(PermissionFailure, match="leads out"):
            inside.load(path.replace("*", "x"))

    def test_links_that_lead_out_are_refused_and_links_inside_followed(self, inside: Bench, tmp_path: Path) -> None:
        inside.put("real.csv", "a,b\n1,2\n")
        (inside.root / "latest.csv").symlink_to("real.csv")
        (inside.root / "leak.csv").symlink_to(tmp_path / "out" / "secret.csv")
        (inside.root / "folder").symlink_to(tmp_path / "out")
        assert inside.rows("latest.csv") == [{"a": 1, "b": 2}]
        for path in ("leak.csv", "folder/secret.csv", "folder/*.csv", "*.csv"):
            with pytest.raises(PermissionFailure, match="leads out"):
                inside.rows(path)
        with pytest.raises(PermissionFailure, match="leads out"):
            inside.load("folder/x.csv")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["secret.csv"]

    def test_a_target_that_is_a_link_is_replaced_not_written_through(self, inside: Bench, tmp_path: Path) -> None:
        (inside.root / "a.csv").symlink_to(tmp_path / "out" / "secret.csv")
        inside.load("a.csv")
        assert (tmp_path / "out" / "secret.csv").read_text() == "a,b\n1,2\n"
        assert not (inside.root / "a.csv").is_symlink() and len(inside.rows("a.csv")) == 4

    def test_a_folder_swapped_for_a_link_while_it_is_walked_is_never_followed(
        self, inside: Bench, tmp_path: Path
    ) -> None:
        """The race: the name is checked, then a segment becomes a link, then it is opened."""
        inside.put("d/secret.csv", "a,b\n7,7\n")
        place = LocalFolder("inbox", inside.root)
        entry = place.find("d/secret.csv")
        assert entry is not None
        outside = os.stat(tmp_path / "out" / "secret.csv").st_ino
        swapping = subprocess.Popen([sys.executable, "-c", SWAP, inside.root / "d", tmp_path / "out"])
        opened = refused = 0
        try:
            while opened < 200 or refused < 200:
                try:
                    file = place.open(entry)
                except (PermissionFailure, ConfigurationError, DataQualityError):
                    refused += 1
                    continue
                opened += 1
                assert os.fstat(file.file.fileno()).st_ino != outside
                file.close()
        finally:
            swapping.kill()
            swapping.wait()

    def test_only_regular_files_are_data(self, inside: Bench) -> None:
        os.mkfifo(inside.root / "pipe.csv")
        with pytest.raises(ConfigurationError, match="No file"):
            inside.rows("pipe.csv")

    def test_relative_roots_are_below_the_workspace(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "a.csv").write_text("a,b\n1,2\n")
        bench = Bench(tmp_path, path="data")
        assert bench.rows("a.csv") == bench.rows(str(tmp_path / "data" / "a.csv")) == [{"a": 1, "b": 2}]
        assert bench.files.test().startswith("The folder")
