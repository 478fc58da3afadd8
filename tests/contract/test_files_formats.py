"""Files of every format: what is written is read back to the last digit, and what is torn is refused."""

from __future__ import annotations

import bz2
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.connectors.files.options import ReadOptions
from engine.connectors.files.source_file import SourceFile
from engine.model.errors import ConfigurationError, DataQualityError
from tests.contract.files_bench import ROWS, SCHEMA, TYPES, Bench

NAMES = (
    "a.csv",
    "a.tsv",
    "a.csv.gz",
    "a.csv.zst",
    "a.csv.bz2",
    "a.json",
    "a.json.gz",
    "a.jsonl",
    "a.jsonl.zst",
    "a.parquet",
    "a.avro",
    "a.arrow",
)
TEXTS = ("csv", "tsv", "json", "jsonl")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_comes_back_as_it_was(bench: Bench, name: str) -> None:
    """SRC-12, DST-09, TYP-05: nulls and empty strings stay apart, decimals and times are exact."""
    assert bench.load(name).rows == len(ROWS)
    options = {"types": TYPES} if name.split(".")[1] in TEXTS else {}
    found = bench.table(name, **options)
    assert found.schema.equals(SCHEMA, check_metadata=True)
    assert found.to_pylist() == ROWS


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl", "a.parquet", "a.avro", "a.arrow"])
def test_a_load_of_no_rows_leaves_a_file_with_its_columns(bench: Bench, name: str) -> None:
    bench.load(name, rows=[])
    options = {"types": TYPES} if name.split(".")[1] in TEXTS else {}
    found = bench.table(name, **options)
    assert found.num_rows == 0 and found.schema.names == SCHEMA.names


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none"])
def test_parquet_compresses_by_itself(bench: Bench, compression: str) -> None:
    bench.load("a.parquet", options={"compression": compression})
    codec = pq.ParquetFile(bench.root / "a.parquet").metadata.row_group(0).column(0).compression
    assert codec == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())


def test_a_compression_that_a_format_has_not_is_refused(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="parquet is not written with `compression: bz2`"):
        bench.load("a.parquet", options={"compression": "bz2"})
    assert not (bench.root / "a.parquet").exists()


@pytest.mark.parametrize(
    "name", ["a.csv.gz", "a.csv.zst", "a.csv.bz2", "a.jsonl.gz", "a.parquet", "a.avro", "a.arrow"]
)
def test_a_file_that_is_cut_short_is_refused(bench: Bench, name: str) -> None:
    """FAULTS 27: no partial load of a torn file, wherever it is cut."""
    rows = [{**ROWS[0], "id": number, "text": f"{number * 7919 % 100_003}"} for number in range(3_000)]
    bench.load(name, rows=rows)
    path = bench.root / name
    whole = path.read_bytes()
    for part in (0.5, 0.9, 1.0):
        path.write_bytes(whole[: int(len(whole) * part) - 3])
        with pytest.raises(DataQualityError, match=name):
            bench.rows(name)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"a,b\n1,2\n", "csv"),
        (b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "jsonl"),
        (b' [{"a": 1, "b": 2}]', "json"),
        (b'{\n "a": 1, "b": 2\n}', "json"),
        (gzip.compress(b"a,b\n1,2\n"), "csv"),
        (bz2.compress(b'{"a": 1, "b": 2}\n'), "jsonl"),
    ],
    ids=["csv", "jsonl", "json", "object", "gzip", "bz2"],
)
def test_a_nameless_file_is_known_by_its_content(bench: Bench, content: bytes, kind: str) -> None:
    """SRC-12: format detected from extension and content."""
    path = bench.put("upload", content)
    assert bench.rows("upload")[0] == {"a": 1, "b": 2}
    found = bench.files._place.find("upload")  # type: ignore[attr-defined]
    assert found is not None and SourceFile(bench.files._place, found, ReadOptions()).format == kind
    assert path.read_bytes() == content


def test_content_wins_over_a_name_that_lies_about_compression(bench: Bench) -> None:
    bench.put("a.csv", gzip.compress(b"a,b\n1,2\n"))
    bench.put("b.csv.gz", b"a,b\n1,2\n")
    assert bench.rows("a.csv") == bench.rows("b.csv.gz") == [{"a": 1, "b": 2}]


class TestJson:
    def test_records_lie_at_a_path_between_other_things(self, bench: Bench) -> None:
        document = {
            "meta": {"x": ['}"]', 1]},
            "data": {"items": [{"a": 1, "b": {"c": [1]}}, {"s": "x"}]},
            "z": [[]],
        }
        bench.put("a.json", json.dumps(document))
        found = bench.rows("a.json", data_path="data.items")
        assert found == [{"a": 1, "b": '{"c":[1]}', "s": None}, {"a": None, "b": None, "s": "x"}]

    def test_a_document_of_many_megabytes_streams_over_its_chunks(self, bench: Bench) -> None:
        """SRC-12: large JSON arrays in chunks; elements lie across their edges."""
        records = [{"n": number, "t": "é" * (number % 90) + '\\"]}'} for number in range(60_000)]
        bench.put("a.json", json.dumps({"rows": records, "after": records[:9]}, ensure_ascii=False))
        found = bench.table("a.json", data_path="rows")
        assert found.to_pylist() == records

    @pytest.mark.parametrize(
        "cut", ['{"r": [{"a": 1}, {"a"', '{"r": [{"a": 1}', '{"r": [{"a": 1}]', '{"r": [{"a": 12']
    )
    def test_a_document_that_stops_in_the_middle_is_torn(self, bench: Bench, cut: str) -> None:
        """FAULTS 27"""
        bench.put("a.json", cut)
        with pytest.raises(DataQualityError, match=r"a\.json' ends in the middle"):
            bench.rows("a.json", data_path="r")

    def test_a_path_that_leads_nowhere_names_the_missing_key(self, bench: Bench) -> None:
        bench.put("a.json", '{"data": {"items": []}}')
        with pytest.raises(DataQualityError, match="no 'itemz'"):
            bench.rows("a.json", data_path="data.itemz")

    def test_a_later_value_of_another_kind_names_record_and_column(self, bench: Bench) -> None:
        bench.put("a.jsonl", '{"a": 1}\n' * 3_000 + '{"a": "x\\u001b[31m"}\n')
        with pytest.raises(DataQualityError, match=r"record 3,001, column 'a': .*no integer") as caught:
            bench.rows("a.jsonl")
        assert "\x1b" not in str(caught.value)

    @pytest.mark.parametrize("record", ['{"a": "\\ud800"}', '{"a": ["\\ud800"]}', '{"a": {"\\udfff": 1}}'])
    @pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
    def test_half_a_character_is_told_by_its_place(self, bench: Bench, name: str, record: str) -> None:
        """JSON can write an unpaired surrogate, which no text has."""
        bench.put(name, record if name == "a.jsonl" else f"[{record}]")
        with pytest.raises(DataQualityError, match=rf"{name}', record 1, column 'a': .*half a character"):
            bench.rows(name)

    def test_nor_may_a_column_have_half_a_character(self, bench: Bench) -> None:
        bench.put("a.jsonl", '{"\\ud800": 1}\n')
        with pytest.raises(DataQualityError, match=r"record 1 has a column '\\ud800' with half a character"):
            bench.rows("a.jsonl")

    def test_a_key_that_comes_late_is_not_dropped(self, bench: Bench) -> None:
        bench.put("a.jsonl", '{"a": 1}\n' * 3_000 + '{"a": 1, "late": 2}\n')
        with pytest.raises(DataQualityError, match="'late'"):
            bench.rows("a.jsonl")
        assert bench.rows("a.jsonl", types={"late": "integer"})[-1] == {"a": 1, "late": 2}
        assert bench.rows("a.jsonl", columns=["a"])[-1] == {"a": 1}

    def test_digits_of_a_decimal_are_kept(self, bench: Bench) -> None:
        bench.put("a.jsonl", '{"d": 12345678901234567.89}\n')
        assert bench.rows("a.jsonl", types={"d": "decimal(20,2)"}) == [{"d": Decimal("12345678901234567.89")}]

    @pytest.mark.parametrize("line", ["{", "{'a': 1}", "nonsense", '{"a": 1'])
    def test_a_broken_line_is_named(self, bench: Bench, line: str) -> None:
        bench.put("a.jsonl", f'{{"a": 1}}\n{line}\n')
        with pytest.raises(DataQualityError, match=r"'a\.jsonl', line 2"):
            bench.rows("a.jsonl")

    def test_what_nests_too_deeply_is_refused(self, bench: Bench) -> None:
        bench.put("a.json", "[" * 200_000)
        with pytest.raises(DataQualityError):
            bench.rows("a.json")


class TestParquet:
    def test_only_wanted_columns_are_read(self, bench: Bench) -> None:
        pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"], "c": [1.0, 2.0]}), bench.root / "a.parquet")
        found = bench.table("a.parquet", columns=["c", "a"])
        assert found.to_pylist() == [{"c": 1.0, "a": 1}, {"c": 2.0, "a": 2}]

    def test_foreign_types_travel_as_their_kind(self, bench: Bench) -> None:
        values: dict[str, Any] = {
            "nano": pa.array([1_000], pa.timestamp("ns")),
            "berlin": pa.array([0], pa.timestamp("ms", tz="Europe/Berlin")),
            "word": pa.array(["x"]).dictionary_encode(),
            "nested": pa.array([{"a": [1]}]),
            "large": pa.array(["y"], pa.large_string()),
        }
        pq.write_table(pa.table(values), bench.root / "a.parquet")
        found = bench.table("a.parquet")
        assert found.column("nested").to_pylist() == ['{"a":[1]}']
        assert str(found.schema.field("nano").type) == "timestamp[us]"
        assert str(found.schema.field("berlin").type) == "timestamp[us, tz=UTC]"
        assert found.schema.field("word").type == found.schema.field("large").type == pa.string()

    def test_nanoseconds_are_never_rounded_silently(self, bench: Bench) -> None:
        pq.write_table(pa.table({"t": pa.array([1], pa.timestamp("ns"))}), bench.root / "a.parquet")
        with pytest.raises(DataQualityError, match=r"Column 't' of 'a\.parquet'"):
            bench.rows("a.parquet")


def test_a_binary_name_over_other_content_is_refused(bench: Bench) -> None:
    bench.put("a.parquet", "a,b\n1,2\n")
    with pytest.raises(DataQualityError, match="no parquet file, or a torn one"):
        bench.rows("a.parquet")
