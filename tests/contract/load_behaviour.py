"""What a load does in any database that merges by key and rolls back; each of them runs these tests on its rig."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from engine.dataflow.kinds import INSTANT
from engine.dataflow.streams import Batches
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports.destination import Destination, Mode
from engine.ports.source import Selection, Source
from tests.contract.load_rig import COLUMNS, FLAGGED, LoadRig, batch, order, rows, seal

BEFORE = [(1, "one"), (2, "two")]
HOSTILE = 'x`"; DROP TABLE t; --'


class LoadBehaviour:
    """Tests that need a fixture `rig`."""

    nul = "\0"  # where texts can hold it

    @pytest.fixture
    def link(self, rig: LoadRig) -> Any:
        """A connector on a database whose table t has the two rows of BEFORE."""
        connector = rig.connector()
        connector.create_target("t", COLUMNS, keys=("id",))
        connector.load(rows(*BEFORE), order("before", scope="s", seal=seal(1)))
        return connector

    def test_it_is_source_and_destination(self, rig: LoadRig) -> None:
        """SRC-03, DST-01: the methods of both."""
        assert isinstance(rig.connector(), Source) and isinstance(rig.connector(), Destination)

    def test_a_missing_target_is_made(self, rig: LoadRig) -> None:
        """DST-01: a missing target is created from the schema, with the keys as its primary key."""
        loaded = rig.connector().load(rows((1, "a"), (2, None)), order("1", Mode.UPSERT, "made"))
        assert loaded.created and loaded.rows == 2
        assert rig.table("made") == [(1, "a"), (2, None)]

    def test_columns_that_are_new_are_added_once(self, rig: LoadRig, link: Any) -> None:
        """FAULTS 28: `on_drift: add`; empty in the rows that are there."""
        new = [pa.field("log", pa.string(), nullable=False), pa.field("born", pa.date32())]
        for _ in range(2):
            link.add_columns("t", new)
        assert [each.name for each in link.target_schema("t")] == ["id", "name", "log", "born"]
        given = pa.RecordBatch.from_pydict({"id": [3], "name": ["c"], "log": ["x"]})
        link.load(Batches(given.schema, [given]), order("more"))
        assert rig.rows("SELECT id, log FROM t ORDER BY id") == [(1, None), (2, None), (3, "x")]

    def test_a_target_that_may_not_be_made_is_named(self, rig: LoadRig, link: Any) -> None:
        with pytest.raises(ConfigurationError, match="no table 'tt'; did you mean 't'"):
            link.load(rows((1, "a")), order("1", target="tt", create=False))

    @pytest.mark.parametrize(
        ("mode", "given", "after"),
        [
            (Mode.APPEND, [(3, "three")], [*BEFORE, (3, "three")]),
            (Mode.REPLACE, [(3, "three"), (1, "uno")], [(1, "uno"), (3, "three")]),
            (Mode.REPLACE, [], []),
            (Mode.UPSERT, [(2, "deux"), (3, "x"), (3, "trois")], [(1, "one"), (2, "deux"), (3, "trois")]),
            (Mode.UPSERT, [(2, None)], [(1, "one"), (2, None)]),
        ],
    )
    def test_each_mode(self, rig: LoadRig, link: Any, mode: Mode, given: list[Any], after: list[Any]) -> None:
        """DST-02, DST-04: append, replace, upsert; of rows with one key the last wins."""
        loaded = link.load(rows(*given), order("1", mode))
        assert (loaded.rows, loaded.created, loaded.already) == (len(given), False, False)
        assert rig.table() == after

    def test_merge_deletes_what_is_flagged(self, rig: LoadRig, link: Any) -> None:
        given = rows((1, "gone", True), (2, "deux", None), (3, "three", False), (4, "never", True), schema=FLAGGED)
        assert link.load(given, order("1", Mode.MERGE)).rows == 4
        assert rig.table() == [(2, "deux"), (3, "three")]

    @pytest.mark.parametrize("mode", list(Mode))
    def test_a_token_is_loaded_once(self, rig: LoadRig, link: Any, mode: Mode) -> None:
        """INC-04: the seal commits with the rows, and what the ledger says of it stays."""
        schema = FLAGGED if mode is Mode.MERGE else COLUMNS
        given = [(7, "seven", False)[: len(schema)]]
        first = link.load(rows(*given, schema=schema), order("1", mode, scope="s", seal=seal(7)))
        after = rig.table()
        again = link.load(rows(*given, schema=schema), order("1", mode, scope="s", seal=seal(8)))
        assert again.already and again.rows == first.rows == 1
        assert again.seal == first.seal == seal(7)() == link.watermark("s", "t")
        assert rig.table() == after
        assert link.ledger("1", "t") == again and link.ledger("2", "t") is None
        assert link.watermark("another scope", "t") is None

    @pytest.mark.parametrize("mode", list(Mode))
    def test_a_stream_that_breaks_leaves_the_target_as_it_was(self, rig: LoadRig, link: Any, mode: Mode) -> None:
        schema = FLAGGED if mode is Mode.MERGE else COLUMNS

        def breaking() -> Iterator[pa.RecordBatch]:
            yield batch([(5, "five", False)[: len(schema)]], schema)
            raise DataQualityError("the source has broken")

        with pytest.raises(DataQualityError, match="the source has broken"):
            link.load(Batches(schema, breaking()), order("1", mode))
        assert rig.table() == BEFORE
        assert link.ledger("1", "t") is None
        assert link.load(rows((5, "five", False)[: len(schema)], schema=schema), order("1", mode)).rows == 1

    def test_a_second_row_with_a_key_is_told_without_its_value(self, rig: LoadRig, link: Any) -> None:
        said = r"Connection 'base', table 't'.*([Dd]uplicate|UNIQUE)"
        with pytest.raises(DataQualityError, match=said) as caught:
            link.load(rows((4711, "a"), (1, "again")), order("1"))
        assert "again" not in str(caught.value) and "'1'" not in str(caught.value)
        assert rig.table() == BEFORE

    def test_a_row_without_a_key_is_refused(self, rig: LoadRig, link: Any) -> None:
        with pytest.raises(DataQualityError, match=r"'?id'?"):
            link.load(rows((3, "x"), (None, "y")), order("1", Mode.UPSERT))
        assert rig.table() == BEFORE

    def test_a_column_that_the_target_lacks_is_named(self, rig: LoadRig, link: Any) -> None:
        schema = pa.schema([("id", pa.int64()), ("nmae", pa.string())])
        with pytest.raises(ConfigurationError, match="no column 'nmae'; did you mean 'name'"):
            link.load(rows((3, "x"), schema=schema), order("1"))

    def test_a_value_that_does_not_fit_is_never_bent(self, rig: LoadRig, link: Any) -> None:
        """TYP-04: narrowing is refused, by column and without the value."""
        link.create_target("narrow", pa.schema([("id", pa.int16()), ("d", pa.decimal128(6, 2))]))
        for given in ({"id": pa.array([70_000])}, {"id": pa.array([1.5])}, {"d": pa.array([Decimal("1.005")])}):
            one = pa.RecordBatch.from_pydict(given)
            with pytest.raises(DataQualityError, match=f"column '{one.schema.names[0]}'"):
                link.load(Batches(one.schema, [one]), order("1", target="narrow"))
        assert rig.rows("SELECT count(*) FROM narrow") == [(0,)]

    @pytest.mark.parametrize("name", ["order", "with space", "Größe", HOSTILE, "a'b", "100%s"])
    def test_any_name_is_quoted(self, rig: LoadRig, link: Any, name: str) -> None:
        """FAULTS 38: SQL injection by identifier."""
        schema = pa.schema([("id", pa.int64()), (name, pa.string())])
        for mode in (Mode.APPEND, Mode.UPSERT, Mode.REPLACE):
            assert link.load(rows((1, "x"), schema=schema), order(f"{mode}", mode, name, keys=("id",))).rows == 1
            link.load(rows((1, "y"), schema=schema), order(f"{mode} 2", Mode.UPSERT, name, keys=("id",)))
        opened = link.read(Selection(table=name, columns=(name,)))
        assert [each.to_pylist() for each in opened] == [[{name: "y"}]]
        opened.close()
        assert rig.table() == BEFORE

    def test_values_come_back_as_they_went(self, rig: LoadRig, link: Any) -> None:
        """TYP-01, TYP-02, TYP-05: nine kinds with nulls, decimals, zones and unicode intact."""
        one = everything(self.nul)
        link.load(Batches(one.schema, [one]), order("1", target="every"))
        opened = link.read(Selection(table="every"))
        found = pa.Table.from_batches(list(opened), opened.schema)
        opened.close()
        assert found.schema.names == one.schema.names
        for name in one.schema.names:
            assert found[name].combine_chunks().to_pylist() == one.column(name).to_pylist(), name
        assert [each.type for each in found.schema] == [each.type for each in one.schema]
        assert found.schema.field("j").metadata == {b"penstock.kind": b"json"}

    @pytest.mark.parametrize("mode", list(Mode))
    def test_what_was_published_is_taken_back(self, rig: LoadRig, link: Any, mode: Mode) -> None:
        """TXN-03: a compensation is idempotent and leaves what others wrote since."""
        schema = FLAGGED if mode is Mode.MERGE else COLUMNS
        given = [row[: len(schema)] for row in ((2, "deux", True), (30, "thirty", False), (31, "x", None))]
        given = given[1:] if mode is Mode.APPEND else given
        one = order("1", mode, scope="s", seal=seal(9))
        staged = link.stage(rows(*given, schema=schema), one)
        assert rig.table() == BEFORE and link.ledger("1", "t") is None
        assert link.publish(staged, one).rows == len(given)
        assert rig.table() != BEFORE
        assert link.publish(staged, one).already
        link.load(rows((90, "others")), order("others"))
        for _ in range(2):
            link.undo(staged, one)
            assert rig.table() == [*BEFORE, (90, "others")]
        assert link.ledger("1", "t") is None and link.watermark("s", "t") == seal(1)()
        for _ in range(2):
            link.discard(staged)
        assert link.discover() == ["t"]

    def test_equal_rows_are_taken_back_as_often_as_they_came(self, rig: LoadRig, link: Any) -> None:
        link.create_target("log", COLUMNS)
        link.load(rows((1, "a"), (1, "a"), (2, None)), order("first", target="log"))
        one = order("1", target="log")
        staged = link.stage(rows((1, "a"), (2, None), (2, None)), one)
        link.publish(staged, one)
        assert rig.rows("SELECT count(*) FROM log") == [(6,)]
        link.undo(staged, one)
        link.discard(staged)
        assert rig.table("log") == [(1, "a"), (1, "a"), (2, None)]

    def test_a_target_made_for_a_load_that_is_taken_back_goes_too(self, rig: LoadRig, link: Any) -> None:
        one = order("1", target="made")
        staged = link.stage(rows((1, "a")), one)
        assert link.publish(staged, one).created
        link.undo(staged, one)
        link.discard(staged)
        assert link.discover() == ["t"]


def everything(nul: str) -> pa.RecordBatch:
    """A row of each kind's edges, a row of ordinary values, a row of nulls."""
    instant = datetime.datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=datetime.UTC)
    schema = pa.schema(
        [
            ("s", pa.string()),
            ("i", pa.int64()),
            ("f", pa.float64()),
            ("d", pa.decimal128(38, 9)),
            ("b", pa.bool_()),
            ("day", pa.date32()),
            ("at", INSTANT),
            ("wall", pa.timestamp("us")),
            pa.field("j", pa.string(), metadata={b"penstock.kind": b"json"}),
            ("x", pa.binary()),
        ]
    )
    rows = [
        (
            "",
            -(2**63),
            1e300,
            Decimal("-12345678901234567890123456789.123456789"),
            False,
            datetime.date(1000, 1, 1),
        ),
        (f"a\tb\n\\N'\"\r{nul} ☃ 😀", 2**63 - 1, 0.1, Decimal("0.000000001"), True, datetime.date(9999, 12, 31)),
        (None,) * 6,
    ]
    more = [
        (instant, datetime.datetime(1000, 1, 1), '{"a": [1, "ü"]}', b""),
        (instant.replace(year=2037, day=1), datetime.datetime(2024, 3, 31, 2, 30), "[]", b"\x00\xff\\'\n"),
        (None,) * 4,
    ]
    return pa.RecordBatch.from_pylist(
        [dict(zip(schema.names, (*one, *two), strict=True)) for one, two in zip(rows, more, strict=True)],
        schema=schema,
    )
