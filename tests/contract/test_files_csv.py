"""CSV as it is found: guesses that lose nothing, cells that do not fit, quotes that do not close."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.connectors.files.compression import Plain
from engine.connectors.files.formats.csv_blocks import blocks, boundary
from engine.connectors.files.formats.csv_sink import CsvSink
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports.source import Selection
from tests.contract.files_bench import ROWS, TYPES, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class TestGuessing:
    @pytest.mark.parametrize(
        ("cells", "type"),
        [
            (["1", "-20"], "int64"),
            (["1.5", "2"], "double"),
            (["00123", "4"], "string"),
            (["12345678901234567890", "1"], "string"),
            (["0.1234567890123456789", "1"], "string"),
            (["true", "false"], "bool"),
            (["2024-02-29", "0001-01-01"], "date32[day]"),
            (["2024-02-29 10:00:00", "2024-02-29T10:00:00.123456"], "timestamp[us]"),
            (["9999-02-28 10:00:00.5", "0001-02-28 10:00:00"], "timestamp[us]"),
            (["2024-02-29T10:00:00Z", "2024-02-29 10:00:00+02:00"], "timestamp[us, tz=UTC]"),
            (["2024-02-29T10:00:00Z", "2024-02-29 10:00:00"], "string"),
            (["2024-02-29T10:00:00.123456789", "2024-02-29T10:00:00"], "string"),
            (["03/04/2024", "05/06/2024"], "string"),
            (["12:30", "12:31"], "string"),
            (["", ""], "string"),
        ],
    )
    def test_a_guess_keeps_what_the_text_says(self, bench: Bench, cells: list[str], type: str) -> None:
        """C-32: slash dates stay text without a format; zoned instants are UTC, wall clocks stay wall clocks."""
        bench.put("a.csv", "k,v\n" + "".join(f"x,{cell}\n" for cell in cells))
        assert str(bench.table("a.csv").schema.field("v").type) == type

    def test_an_offset_is_converted_to_the_same_instant(self, bench: Bench) -> None:
        bench.put("a.csv", "k,v\nx,2024-02-29 10:00:00+02:00\n")
        assert bench.rows("a.csv")[0]["v"] == dt.datetime(2024, 2, 29, 8, tzinfo=dt.UTC)

    def test_a_format_reads_slash_dates(self, bench: Bench) -> None:
        """TYP-03"""
        bench.put("a.csv", "d,t\n03/04/2024,03/04/2024 10:11\n,\n")
        types = {"d": "date(%d/%m/%Y)", "t": "timestamp(%m/%d/%Y %H:%M)"}
        assert bench.rows("a.csv", types=types) == [
            {"d": dt.date(2024, 4, 3), "t": dt.datetime(2024, 3, 4, 10, 11)},
            {"d": None, "t": None},
        ]

    def test_told_booleans_take_the_word_list(self, bench: Bench) -> None:
        """TYP-03, C-30"""
        bench.put("a.csv", "k,b\n" + "".join(f"x,{word}\n" for word in ("yes", "NO", "1", "f", "On", "")))
        found = [row["b"] for row in bench.rows("a.csv", types={"b": "boolean"})]
        assert found == [True, False, True, False, True, None]


class TestCellsThatDoNotFit:
    def test_a_late_one_names_file_row_column_and_value(self, bench: Bench) -> None:
        """Never silently a string: the first blocks said integer."""
        lines = "".join(f"{number},{number}\n" for number in range(300_000))
        bench.put("a.csv", f"id,n\n{lines}300001,\x1b]0;x\x07{'y' * 500}\n")
        told = r"Connection 'inbox': 'a\.csv', row 300,001, column 'n': .* no integer"
        with pytest.raises(DataQualityError, match=told) as caught:
            bench.rows("a.csv")
        assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 400

    @pytest.mark.parametrize(
        ("cell", "type"),
        [
            ("x", "integer"),
            ("1.005", "decimal(5,2)"),
            ("2024-13-01", "date"),
            ("maybe", "boolean"),
            ("?", "binary"),
        ],
    )
    def test_a_told_kind_is_kept_to(self, bench: Bench, cell: str, type: str) -> None:
        bench.put("a.csv", f"k,v\nx,\ny,{cell}\n")
        with pytest.raises(DataQualityError, match="column 'v'"):
            bench.rows("a.csv", types={"v": type})

    def test_one_that_a_format_cannot_read_names_its_row(self, bench: Bench) -> None:
        bench.put("a.csv", "k,v\nx,03/04/2024\ny,2024-04-03\n")
        with pytest.raises(DataQualityError, match=r"row 2, column 'v': '2024-04-03' is no date of the form"):
            bench.rows("a.csv", types={"v": "date(%d/%m/%Y)"})

    def test_a_row_of_another_length_is_named(self, bench: Bench) -> None:
        bench.put("a.csv", "a,b\n1,2\n1,2,3\n")
        with pytest.raises(DataQualityError, match=r"'a\.csv', row 2: expected 2 columns, got 3"):
            bench.rows("a.csv")

    def test_bytes_that_are_no_utf8_ask_for_the_encoding(self, bench: Bench) -> None:
        bench.put("a.csv", "a,b\n1,café\n".encode("latin-1"))
        with pytest.raises(DataQualityError, match="`encoding`"):
            bench.rows("a.csv")
        assert bench.rows("a.csv", encoding="latin-1") == [{"a": 1, "b": "café"}]


class TestShapes:
    def test_marks_line_ends_and_delimiters(self, bench: Bench) -> None:
        bench.put("bom.csv", b"\xef\xbb\xbfa,b\r\n1,2\r\n")
        bench.put("mac.csv", "a,b\r1,2\r")
        bench.put("semi.csv", "a;b\n1;2\n")
        bench.put("wide.csv", "a,b\n1,2\n".encode("utf-16"))
        assert bench.rows("bom.csv") == bench.rows("mac.csv") == [{"a": 1, "b": 2}]
        assert (
            bench.rows("semi.csv", delimiter=";") == bench.rows("wide.csv", encoding="utf-16") == [{"a": 1, "b": 2}]
        )

    def test_without_a_header_names_are_given_or_made(self, bench: Bench) -> None:
        bench.put("a.csv", "1,x\n2,y\n")
        assert bench.rows("a.csv", header=False)[1] == {"column_1": 2, "column_2": "y"}
        assert bench.rows("a.csv", header=False, names=["id", "v"])[0] == {"id": 1, "v": "x"}

    def test_the_last_line_needs_no_end_but_a_quote_does(self, bench: Bench) -> None:
        """FAULTS 27"""
        bench.put("a.csv", "a,b\n1,abc")
        assert bench.rows("a.csv") == [{"a": 1, "b": "abc"}]
        bench.put("a.csv", 'a,b\n1,"abc')
        with pytest.raises(DataQualityError, match="ends inside a quoted cell"):
            bench.rows("a.csv")

    def test_a_quoted_cell_may_have_many_lines(self, bench: Bench) -> None:
        text = "line\n" * 400_000  # larger than the sample, as large as a block
        bench.put("a.csv", f'a,b\n1,"{text}"\n2,x\n')
        assert bench.rows("a.csv") == [{"a": 1, "b": text}, {"a": 2, "b": "x"}]

    def test_null_is_an_empty_cell_and_the_empty_string_a_quoted_one(self, bench: Bench) -> None:
        """TYP-05"""
        bench.put("a.csv", 'a,b\n,""\nNA,NA\n')
        assert bench.rows("a.csv") == [{"a": None, "b": ""}, {"a": "NA", "b": "NA"}]
        assert bench.rows("a.csv", null_values=["NA", ""])[1] == {"a": None, "b": None}

    def test_one_column_keeps_its_empty_lines(self, bench: Bench) -> None:
        bench.put("a.csv", "a\nx\n\ny\n")
        assert bench.rows("a.csv") == [{"a": "x"}, {"a": None}, {"a": "y"}]

    def test_an_empty_file_has_no_columns_and_a_header_alone_no_rows(self, bench: Bench) -> None:
        bench.put("empty.csv", "")
        bench.put("head.csv", "a,b\n")
        with pytest.raises(DataQualityError, match=r"'empty\.csv' is empty"):
            bench.rows("empty.csv")
        assert bench.table("head.csv").schema.names == ["a", "b"] and bench.rows("head.csv") == []

    def test_two_columns_of_one_name_are_refused(self, bench: Bench) -> None:
        bench.put("a.csv", "a,a\n1,2\n")
        with pytest.raises(DataQualityError, match="two columns named 'a'"):
            bench.rows("a.csv")

    def test_options_that_files_do_not_know_are_named(self, bench: Bench) -> None:
        bench.put("a.csv", "a,b\n1,2\n")
        with pytest.raises(ConfigurationError, match="`pagination` has no meaning"):
            bench.rows("a.csv", pagination={"type": "none"})
        with pytest.raises(ConfigurationError, match="did you mean 'string'"):
            bench.rows("a.csv", types={"a": "strng"})
        with pytest.raises(ConfigurationError, match=r"no column 'aa'.*did you mean 'a'"):
            bench.rows("a.csv", columns=["aa"])


_CELLS = st.one_of(
    st.none(),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(["", '"', "a,b", "\n", " ", "\\."]),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(_CELLS, _CELLS), min_size=1, max_size=12))
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str | None, str | None]]
) -> None:
    """TYP-05: CSV empty and missing stay apart, whatever the text."""
    bench = Bench(tmp_path_factory.mktemp("csv"))
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    out = io.BytesIO()
    sink = CsvSink(out, schema, delimiter=",", header=True)
    given_rows = [{"a": a, "b": b} for a, b in rows]
    sink.write(pa.RecordBatch.from_pylist(given_rows, schema=schema))
    bench.put("a.csv", out.getvalue())
    assert bench.rows("a.csv", types={"a": "string", "b": "string"}) == given_rows
    read = list(csv.reader(io.StringIO(out.getvalue().decode(), newline="")))
    assert read[1:] == [[a or "", b or ""] for a, b in rows]  # and by any other reader of CSV


@given(st.lists(st.lists(st.text('ab,"\n', max_size=5), min_size=2, max_size=3), min_size=1, max_size=8), st.data())
def test_a_boundary_never_lies_inside_a_record(records: list[list[str]], data: st.DataObject) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(records)
    whole = out.getvalue().encode()
    ends = {0}
    for count in range(1, len(records) + 1):
        part = io.StringIO()
        csv.writer(part, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(records[:count])
        ends.add(len(part.getvalue().encode()))
    held = whole[: data.draw(st.integers(0, len(whole)))]
    assert boundary(held, b'"') == max(end for end in ends if end <= len(held))


def test_decimals_are_written_without_exponents(bench: Bench) -> None:
    schema = pa.schema([("a", pa.decimal128(38, 9)), ("b", pa.string())])
    out = io.BytesIO()
    CsvSink(out, schema, delimiter=",", header=False).write(
        pa.RecordBatch.from_pylist(
            [{"a": Decimal("0"), "b": "x"}, {"a": Decimal("0.000000001"), "b": None}], schema=schema
        )
    )
    assert out.getvalue() == b"0.000000000,x\n0.000000001,\n"


def test_what_is_written_is_read_by_postgresql_as_it_was(bench: Bench, postgres_url: str) -> None:
    """TYP-05: a dump and its way back through COPY: nulls and empty strings, decimals, times, JSON, line ends."""
    rows = [
        {**row, "text": (row["text"] or "").replace("\x00", "") if row["text"] else row["text"]} for row in ROWS
    ]
    bench.load("dump.csv", rows=rows)
    reading = bench.files.read(Selection(path="dump.csv"))
    text = reading.raw()
    assert text is not None
    with psycopg.connect(postgres_url) as link:
        link.execute(
            "CREATE TABLE t (id bigint, text text, number float8, price numeric(20,2), yes boolean, day date, "
            "at timestamptz, clock timestamp, doc json, raw text)"
        )
        with link.cursor().copy("COPY t FROM STDIN (FORMAT csv)") as copy:
            for block in text.blocks:
                copy.write(block)
        link.execute("SET TIME ZONE 'UTC'")
        columns = "id, text, number, price, yes, day, at, clock, doc::text, decode(raw, 'base64')"
        found = link.execute(f"SELECT {columns} FROM t").fetchall()
    assert [dict(zip(TYPES, row, strict=True)) for row in found] == rows
    reading.close()


class Unseekable(io.BytesIO):
    """As a stream from far away."""

    def seekable(self) -> bool:
        return False


@given(
    rows=st.lists(st.lists(st.text('a"\n\r,é', max_size=12), min_size=2, max_size=3), max_size=30),
    size=st.integers(4, 120),
    mark=st.booleans(),
)
def test_blocks_are_the_text_in_whole_records_wherever_it_comes_from(
    rows: list[list[str]], size: int, mark: bool
) -> None:
    """What is behind a block's last record is read again, or kept where the file cannot go back."""
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(rows)
    text = out.getvalue().encode()
    given_bytes = b"\xef\xbb\xbf" * mark + text
    ways = [
        (io.BytesIO(given_bytes), None),
        (Unseekable(given_bytes), None),
        (io.BytesIO(gzip.compress(given_bytes)), "gzip"),
    ]
    for file, compression in ways:
        plain = Plain(file, compression, "a.csv", 1 << 20)
        made = [bytes(block) for block in blocks(plain, '"', "utf-8", "a.csv", size)]
        assert b"".join(made) == text
        assert all(block.count(b'"') % 2 == 0 and block.endswith(b"\n") for block in made)
        assert plain.count == len(given_bytes)
