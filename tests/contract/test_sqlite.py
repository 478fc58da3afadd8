"""SQLite: loads and reads as everywhere, and what only it has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.dataflow.streams import Batches
from engine.model.dataset import Strategy
from engine.model.errors import ConfigurationError, DataQualityError, ResourceExhaustion
from engine.model.workspace import Connection
from engine.ports.destination import Mode
from engine.ports.source import Selection, Window
from engine.rules.watermarks import written
from tests.contract.load_behaviour import LoadBehaviour
from tests.contract.load_kill import SEED, Kill, kills, named, prove
from tests.contract.load_rig import COLUMNS, LoadRig, order, rows
from tests.contract.read_behaviour import ReadBehaviour

PLACES = ("load.begun", "load.committed")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[LoadRig]:
    file = tmp_path / "base.db"

    def asked(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(file)) as link, link:
            return link.execute(query).fetchall()

    found = LoadRig(
        connection=Connection(id="base", type="sqlite", config={"path": "base.db"}), root=tmp_path, rows=asked
    )
    yield found
    found.close()


def read(rig: LoadRig, selection: Selection) -> pa.Table:
    with closing(rig.connector().read(selection)) as reading:
        return pa.Table.from_batches(list(reading), reading.schema)


class TestLoads(LoadBehaviour):
    """DST, TXN on SQLite."""

    def test_a_value_that_does_not_fit_is_never_bent(self, rig: LoadRig, link: Any) -> None:
        """TYP-04: as everywhere, but that SQLite's integers have one width."""
        link.create_target("narrow", pa.schema([("id", pa.int64()), ("d", pa.decimal128(6, 2))]))
        for given in ({"id": pa.array([1.5])}, {"d": pa.array([Decimal("1.005")])}):
            one = pa.RecordBatch.from_pydict(given)
            with pytest.raises(DataQualityError, match=f"column '{one.schema.names[0]}'"):
                link.load(Batches(one.schema, [one]), order("1", target="narrow"))
        assert rig.rows("SELECT count(*) FROM narrow") == [(0,)]


class TestReads(ReadBehaviour):
    """SRC, INC on SQLite."""


class TestKill:
    """FAULTS 1: kill -9 of a loading process at any point."""

    @pytest.mark.parametrize("kill", kills(SEED, 5, PLACES), ids=named(SEED))
    def test_a_killed_load_is_as_if_it_had_not_been(self, rig: LoadRig, kill: Kill) -> None:
        """INC-04, DST-06: kill -9, and the rows are there once and whole."""
        prove(rig, kill)

    @pytest.mark.soak
    @pytest.mark.parametrize("kill", kills(SEED + 1, 50, PLACES), ids=named(SEED + 1))
    def test_a_killed_load_fifty_times(self, rig: LoadRig, kill: Kill) -> None:
        prove(rig, kill)


class TestTypes:
    def test_columns_are_read_as_they_were_declared(self, rig: LoadRig) -> None:
        """TYP: by declared type."""
        rig.rows("CREATE TABLE v (a INT, b VARCHAR(9), c DECIMAL(6,2), d NUMBER, e DATETIME, f BOOL, g, h DATE)")
        rig.rows("INSERT INTO v VALUES (1, 12, 1.5, '2', '2024-01-01T00:00:00', 'true', 'x', '2024-02-29')")
        rig.rows("INSERT INTO v VALUES (NULL, 'b', 2, 3.25, 1704067200, 0, NULL, '2024-02-29 00:00:00')")
        assert read(rig, Selection(table="v")).to_pylist() == [
            {
                "a": 1, "b": "12", "c": Decimal("1.50"), "d": Decimal("2.000000000"), "e": datetime(2024, 1, 1),
                "f": True, "g": "x", "h": date(2024, 2, 29),
            },
            {
                "a": None, "b": "b", "c": Decimal("2.00"), "d": Decimal("3.250000000"), "e": datetime(2024, 1, 1),
                "f": False, "g": None, "h": date(2024, 2, 29),
            },
        ]  # fmt: skip

    @pytest.mark.parametrize("declared", ["INTEGER", "REAL", "DATE", "TIMESTAMP", "DECIMAL(4,2)", "BOOLEAN"])
    def test_a_value_that_is_not_what_was_declared_is_refused_by_name(self, rig: LoadRig, declared: str) -> None:
        rig.rows(f"CREATE TABLE v (odd {declared})")
        rig.rows("INSERT INTO v VALUES ('canary')")
        with pytest.raises(DataQualityError, match="column 'odd'") as caught:
            read(rig, Selection(table="v"))
        assert "canary" not in str(caught.value)

    def test_a_decimal_that_would_become_a_float_is_refused(self, rig: LoadRig) -> None:
        rig.rows("CREATE TABLE v (n DECIMAL(20,4))")
        for text, fits in (("1234567890.1234", True), ("1234567890123456.1234", False)):
            given = pa.table({"n": pa.array([Decimal(text)], pa.decimal128(20, 4))})
            stream = Batches(given.schema, given.to_batches())
            if fits:
                rig.connector().load(stream, order(text, target="v"))
                continue
            with pytest.raises(DataQualityError, match="DECIMAL_TEXT"):
                rig.connector().load(stream, order(text, target="v"))
        assert read(rig, Selection(table="v")).to_pylist() == [{"n": Decimal("1234567890.1234")}]

    def test_what_is_no_number_is_refused_and_infinity_is_kept(self, rig: LoadRig) -> None:
        """TYP-04: SQLite keeps NaN as null, without a word."""
        for mode in (Mode.APPEND, Mode.REPLACE):
            given = pa.table({"f": pa.array([float("inf"), None, -0.5])})
            rig.connector().load(Batches(given.schema, given.to_batches()), order(f"1{mode}", mode, target="v"))
            given = pa.table({"f": pa.array([1.0, float("nan")])})
            with pytest.raises(DataQualityError, match=r"'base', table 'v': column 'f' .*NaN.*null"):
                rig.connector().load(Batches(given.schema, given.to_batches()), order(f"2{mode}", mode, target="v"))
            assert rig.rows("SELECT f FROM v") == [(float("inf"),), (None,), (-0.5,)]
            rig.rows("DELETE FROM v")

    def test_times_of_any_spelling_are_compared_as_times(self, rig: LoadRig) -> None:
        """INC: text does not sort as time does."""
        rig.rows("CREATE TABLE e (id INTEGER PRIMARY KEY, updated_at TIMESTAMPTZ)")
        spelled = ["2024-01-01 00:00:00", "2024-01-01T02:00:00.5+02:00", "2024-01-01 00:00:01Z", "1704067202"]
        for at, text in enumerate(spelled):
            value = text if text.isdigit() else f"'{text}'"
            rig.rows(f"INSERT INTO e VALUES ({at}, {value})")
        after = written(datetime(2024, 1, 1, 0, 0, 0, 400_000, tzinfo=UTC))
        window = Window(strategy=Strategy.TIMESTAMP, column="updated_at", after=after, lookback_seconds=0)
        assert read(rig, Selection(table="e", window=window)).column("id").to_pylist() == [1, 2, 3]


class TestFiles:
    def test_only_a_load_makes_a_file(self, rig: LoadRig, tmp_path: Path) -> None:
        connector = rig.connector()
        assert connector.target_schema("t") is None and connector.ledger("x", "t") is None
        assert connector.watermark("s", "t") is None
        with pytest.raises(ConfigurationError, match="there is no file"):
            connector.discover()
        assert not (tmp_path / "base.db").exists()
        connector.load(rows((1, "a")), order("1"))
        assert (tmp_path / "base.db").exists()

    @pytest.mark.parametrize("journal", ["WAL", "DELETE"])
    def test_others_write_while_rows_arrive(self, rig: LoadRig, journal: str) -> None:
        """DST: the file is locked for one short transaction, not for as long as a source takes."""
        connector = rig.connector()
        connector.create_target("t", COLUMNS)
        rig.rows(f"PRAGMA journal_mode = {journal}")
        rig.rows("CREATE TABLE other (n)")

        def watched() -> Iterator[pa.RecordBatch]:
            for at in range(3):
                rig.rows(f"INSERT INTO other VALUES ({at})")
                yield from rows((at, "x"))

        for mode in (Mode.APPEND, Mode.REPLACE):
            assert connector.load(Batches(COLUMNS, watched()), order(str(mode), mode)).rows == 3
        assert rig.rows("SELECT count(*) FROM other") == [(6,)]

    def test_a_statement_that_is_wrong_is_not_tried_again(self, rig: LoadRig) -> None:
        """There is no network to a file."""
        twice = pa.table({"id": [1], "ID": [2]})
        with pytest.raises(ConfigurationError, match="table 't': duplicate column name: ID"):
            rig.connector().load(Batches(twice.schema, twice.to_batches()), order("1"))
        rig.rows("CREATE VIEW v AS SELECT 1 AS id, 'a' AS name")
        with pytest.raises(ConfigurationError, match="table 'v': cannot modify v because it is a view"):
            rig.connector().load(rows((1, "a")), order("2", target="v"))

    def test_a_file_that_stays_locked_is_worth_another_try(self, rig: LoadRig, tmp_path: Path) -> None:
        rig.connector().load(rows((1, "a")), order("1"))
        with closing(sqlite3.connect(tmp_path / "base.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(ResourceExhaustion, match="table 't': database is locked"):
                rig.connector(timeout_seconds=0.2).load(rows((2, "b")), order("2"))
        assert rig.table() == [(1, "a")]

    def test_a_file_that_is_none_of_sqlite(self, rig: LoadRig, tmp_path: Path) -> None:
        (tmp_path / "base.db").write_text("no database, whatever its name says " * 100)
        with pytest.raises(ConfigurationError, match="not a database"):
            rig.connector().load(rows((1, "a")), order("1"))

    def test_a_query_without_declared_types_is_looked_at(self, rig: LoadRig) -> None:
        found = read(rig, Selection(query="SELECT 1 AS a, 'x' AS b, 1.5 AS c, NULL AS d, x'00' AS e"))
        assert found.to_pylist() == [{"a": 1, "b": "x", "c": 1.5, "d": None, "e": b"\0"}]

    @pytest.fixture(autouse=True)
    def _a_file(self, request: pytest.FixtureRequest, rig: LoadRig) -> None:
        if "looked_at" in request.node.name:
            rig.rows("CREATE TABLE t (id)")
