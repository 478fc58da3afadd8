"""PostgreSQL takes a file's own text where it reads it as we would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.dataflow.kinds import field
from engine.model.dataset import DataKind
from engine.model.errors import DataQualityError
from engine.ports.destination import Mode
from engine.ports.stream import RawText
from tests.contract.load_rig import COLUMNS, LoadRig, order, seal
from tests.contract.pg_rig import pg_rig


@pytest.fixture
def rig(tmp_path: Path, postgres_url: str) -> Iterator[LoadRig]:
    with pg_rig(tmp_path, postgres_url) as found:
        yield found


class TestText:
    """load_raw: a file's own bytes."""

    def text(self, data: bytes, **more: Any) -> RawText:
        return RawText(**{"blocks": iter([data[:7], data[7:]]), "columns": ("id", "name"), **more})

    def test_delimited_text_goes_in_as_it_is(self, rig: LoadRig) -> None:
        connector = rig.connector()
        connector.create_target("t", COLUMNS)
        loaded = connector.load_raw(self.text(b'1;"it;s"\n2;\n3;""\n', delimiter=";"), order("1", seal=seal(1)))
        assert loaded.rows == 3 and rig.table() == [(1, "it;s"), (2, None), (3, "")]
        again = connector.load_raw(self.text(b"4,x\n"), order("1"))
        assert again.already and again.rows == 3 and len(rig.table()) == 3

    def test_nothing_is_taken_where_it_cannot_be_done(self, rig: LoadRig) -> None:
        connector = rig.connector()
        given = self.text(b"1,a\n")
        assert connector.load_raw(given, order("1")) is None  # no target yet
        connector.create_target("t", COLUMNS)
        assert connector.load_raw(replace(given, columns=("id", "nope")), order("1")) is None
        assert connector.load_raw(replace(given, encoding="latin-1"), order("1")) is None
        assert connector.load_raw(given, order("1", Mode.REPLACE)) is None
        assert connector.load_raw(given, order("1")).rows == 1

    @pytest.mark.parametrize(
        ("given", "declared", "cell"),
        [
            (field("v", DataKind.STRING), "timestamptz", b"03/04/2024"),
            (field("v", DataKind.STRING), "timestamp", b"now"),
            (field("v", DataKind.STRING), "date", b"infinity"),
            (field("v", DataKind.TIMESTAMP), "timestamp", b"2024-01-01T10:00+02:00"),
            (field("v", DataKind.TIMESTAMP, type=pa.timestamp("us")), "timestamptz", b"2024-01-01T10:00"),
            (field("v", DataKind.STRING), "bytea", b"AP8="),
            (field("v", DataKind.INTEGER), "boolean", b"1"),
        ],
    )
    def test_cells_that_the_server_reads_in_its_own_way_are_looked_at(
        self, rig: LoadRig, given: pa.Field, declared: str, cell: bytes
    ) -> None:
        """TYP-04: it would take `now` for a time, 03/04 for a day of March, and drop an offset."""
        rig.rows(f"CREATE TABLE t (id int, v {declared})")
        schema = pa.schema([field("id", DataKind.INTEGER), given])
        told = {"columns": ("id", "v"), "schema": schema}
        assert rig.connector().load_raw(self.text(b"1," + cell + b"\n", **told), order("1")) is None
        assert rig.rows("SELECT * FROM t") == []

    def test_cells_that_mean_the_same_to_the_server_are_not(self, rig: LoadRig) -> None:
        rig.rows(
            "CREATE TABLE t (a int, b numeric, c float8, d boolean, e date, f timestamptz, g timestamp, h text)"
        )
        wall = pa.timestamp("us")
        kinds = [DataKind.INTEGER, DataKind.FLOAT, DataKind.FLOAT, DataKind.BOOLEAN, DataKind.DATE]
        fields = [field(name, kind) for name, kind in zip("abcde", kinds, strict=True)]
        fields += [
            field("f", DataKind.TIMESTAMP),
            field("g", DataKind.TIMESTAMP, type=wall),
            field("h", DataKind.DATE),
        ]
        data = b"1,1.5,2,true,2024-01-01,2024-01-01T00:00Z,2024-01-01T00:00,2024-01-01\n"
        text = self.text(data, columns=tuple("abcdefgh"), schema=pa.schema(fields))
        loaded = rig.connector().load_raw(text, order("1"))
        assert loaded is not None and loaded.rows == 1

    def test_a_bad_row_is_found_by_its_line_and_loads_nothing(self, rig: LoadRig) -> None:
        connector = rig.connector()
        connector.create_target("t", COLUMNS)
        with pytest.raises(DataQualityError, match="line 2, column id") as caught:
            connector.load_raw(self.text(b"1,a\ncanary,b\n"), order("1"))
        assert "canary" not in str(caught.value) and rig.table() == []

    def test_blocks_that_fail_load_nothing(self, rig: LoadRig) -> None:
        connector = rig.connector()
        connector.create_target("t", COLUMNS)

        def blocks() -> Iterator[bytes]:
            yield b"1,a\n"
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            connector.load_raw(RawText(blocks=blocks(), columns=("id", "name")), order("1"))
        assert rig.table() == [] and connector.ledger("1", "t") is None
