"""What every source promises (engine.ports.source), proven on each system of tests/contract/data_rigs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.dataflow.kinds import kind_of
from engine.model.dataset import DataKind, Direction, Strategy
from engine.model.errors import ConfigurationError, TaskFailure
from engine.ports.source import Selection, Source, Window
from engine.rules.watermarks import read, written
from tests.contract.data_rigs import NAMES
from tests.contract.data_rigs.base import KINDS, PASSWORD, ROWS, DataRig, plain

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOSTILE = 'we"ird; DROP TABLE x; -- `é [t]'


@pytest.fixture(params=NAMES)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DataRig]:
    with import_module(f"tests.contract.data_rigs.{request.param}").open_rig(request, tmp_path) as opened:
        yield opened


@pytest.fixture
def source(rig: DataRig) -> Source:
    found = rig.connector()
    assert isinstance(found, Source)
    return found


@pytest.fixture
def windowed(rig: DataRig) -> DataRig:
    if not rig.windows:
        pytest.skip("this kind of system has no columns to read by")
    return rig


@pytest.fixture
def sql(rig: DataRig) -> DataRig:
    if not rig.queries:
        pytest.skip("this kind of system takes no SQL")
    return rig


def rows_of(source: Source, selection: Selection) -> list[dict[str, Any]]:
    with closing(source.read(selection)) as reading:
        return [row for batch in reading for row in batch.to_pylist()]


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


class TestKinds:
    def test_every_kind_is_read_as_it_lies_there(self, rig: DataRig, source: Source) -> None:
        """TYP-01, TYP-02: nine kinds with nulls, decimals, zones and unicode intact."""
        name = rig.name()
        rig.seed_kinds(name)
        found = rows_of(source, Selection(table=name))
        by_id = {row["id"]: plain(row) for row in found}
        assert by_id == {row["id"]: plain(row) for row in ROWS}

    def test_the_schema_is_told_before_the_rows(self, rig: DataRig, source: Source) -> None:
        """SRC-03: schema discovery."""
        name = rig.name()
        rig.seed_kinds(name)
        told = source.schema_of(Selection(table=name))
        assert {one.name: kind_of(one) for one in told} == {one.name: kind_of(one) for one in KINDS}
        assert (told.field("seen").type.tz, told.field("wall").type.tz) == ("UTC", None)
        assert (told.field("amount").type.precision, told.field("amount").type.scale) == (20, 4)
        with closing(source.read(Selection(table=name))) as reading:
            assert reading.schema.equals(told)
            assert all(batch.schema.equals(told) for batch in reading)

    def test_only_the_wanted_columns_come_in_the_wanted_order(self, rig: DataRig, source: Source) -> None:
        name = rig.name()
        rig.seed_kinds(name)
        found = rows_of(source, Selection(table=name, columns=("name", "id")))
        assert list(found[0]) == ["name", "id"]

    def test_no_rows_are_a_schema_all_the_same(self, rig: DataRig, source: Source) -> None:
        name = rig.name()
        rig.seed_events(name, [(1, None, "x")])
        with closing(source.read(Selection(table=name, columns=("id",)))) as reading:
            assert reading.schema.names == ["id"]


class TestFaults:
    def test_a_table_that_is_not_there_is_named_with_the_nearest(self, rig: DataRig, source: Source) -> None:
        if not rig.strict:
            pytest.skip("what stands in for this kind of system makes what is asked for")
        name = rig.name()
        rig.seed_events(name, [(1, NOON, "x")])
        with pytest.raises(ConfigurationError) as caught:
            rows_of(source, Selection(table=name + "x"))
        assert "'shop'" in str(caught.value)
        assert not rig.lists or f"'{name}'" in str(caught.value)

    def test_a_column_that_is_not_there_is_named_with_the_nearest(self, rig: DataRig, source: Source) -> None:
        name = rig.name()
        rig.seed_kinds(name)
        with pytest.raises(ConfigurationError, match=r"'amuont'.*'amount'"):
            rows_of(source, Selection(table=name, columns=("amuont",)))

    def test_a_wrong_query_is_the_definitions_fault(self, sql: DataRig, source: Source) -> None:
        with pytest.raises(ConfigurationError, match="'shop'"):
            rows_of(source, Selection(query="SELECT nothing FROM nowhere_at_all"))

    def test_a_query_cannot_write(self, sql: DataRig, source: Source) -> None:
        """SRC: reading never changes what is read."""
        name = sql.name()
        sql.seed_events(name, [(1, NOON, "x")])
        with pytest.raises(TaskFailure):
            rows_of(source, Selection(query=f"DELETE FROM {sql.quoted(name)}"))
        assert sql.count(name) == 1


class TestQueries:
    def test_values_are_bound(self, sql: DataRig, source: Source) -> None:
        """FAULTS 38: injection by value."""
        name = sql.name()
        sql.seed_events(name, [(1, NOON, "it's"), (2, NOON, "' OR 1=1 --"), (3, NOON, "10:30 %s")])
        query = f"SELECT id FROM {sql.quoted(name)} WHERE note = :note AND note <> '10:30 :note'"
        for value, ids in (("it's", [1]), ("' OR 1=1 --", [2]), ("' OR '1'='1", []), ("10:30 %s", [3])):
            found = rows_of(source, Selection(query=query, parameters={"note": value}))
            assert [row["id"] for row in found] == ids

    def test_a_query_is_read_incrementally_too(self, sql: DataRig, source: Source) -> None:
        name = sql.name()
        sql.seed_events(name, [(n, at(n), f"n{n}") for n in range(1, 6)])
        window = Window(strategy=Strategy.ID, column="id", after=written(2))
        query = f"SELECT id, note FROM {sql.quoted(name)} WHERE note <> :not;"
        found = rows_of(source, Selection(query=query, parameters={"not": "n4"}, window=window))
        assert sorted(row["id"] for row in found) == [3, 5]

    def test_hostile_names_are_only_names(self, sql: DataRig, source: Source) -> None:
        """FAULTS 38: injection by identifier."""
        sql.seed_events(HOSTILE, [(1, NOON, "x")])
        assert len(rows_of(source, Selection(table=HOSTILE))) == 1
        with pytest.raises(ConfigurationError):
            rows_of(source, Selection(table=f"x; DROP TABLE {sql.quoted(HOSTILE)}"))
        assert sql.count(HOSTILE) == 1


class TestWindows:
    def taken(self, rig: DataRig, name: str, **window: Any) -> tuple[list[int], Any]:
        source = rig.connector()
        with closing(source.read(Selection(table=name, window=Window(**window)))) as reading:
            ids = sorted(row["id"] for batch in reading for row in batch.to_pylist())
            return ids, reading.seen()

    def seeded(self, rig: DataRig) -> str:
        name = rig.name()
        rig.seed_events(name, [(n, at(n), f"n{n}") for n in range(10)] + [(90, None, "without")])
        return name

    def test_the_first_read_takes_everything_and_says_how_far_it_came(self, windowed: DataRig) -> None:
        """INC-02, INC-03."""
        name = self.seeded(windowed)
        ids, seen = self.taken(windowed, name, strategy=Strategy.TIMESTAMP, column="updated_at")
        assert ids == list(range(10))
        assert (seen.strategy, seen.column, read(seen.value)) == (Strategy.TIMESTAMP, "updated_at", at(9))

    def test_what_is_newer_is_read_and_a_little_further_back(self, windowed: DataRig) -> None:
        """INC-05: lookback; what is equal is not lost."""
        name = self.seeded(windowed)
        given = {"strategy": Strategy.TIMESTAMP, "column": "updated_at", "after": written(at(7))}
        assert self.taken(windowed, name, **given)[0] == [2, 3, 4, 5, 6, 7, 8, 9]
        assert self.taken(windowed, name, **given, lookback_seconds=60)[0] == [6, 7, 8, 9]
        assert self.taken(windowed, name, **given, lookback_seconds=0)[0] == [8, 9]

    def test_nothing_new_moves_nothing(self, windowed: DataRig) -> None:
        name = self.seeded(windowed)
        given = {"strategy": Strategy.TIMESTAMP, "column": "updated_at", "after": written(at(9))}
        ids, seen = self.taken(windowed, name, **given)
        assert ids == [4, 5, 6, 7, 8, 9] and seen.value is None

    def test_rows_without_a_value_are_read_where_it_is_asked(self, windowed: DataRig) -> None:
        """INC-06: null policy."""
        name = self.seeded(windowed)
        given = {"strategy": Strategy.TIMESTAMP, "column": "updated_at", "after": written(at(9))}
        given["lookback_seconds"] = 0.0
        assert self.taken(windowed, name, **given, nulls="include")[0] == [90]
        assert self.taken(windowed, name, **given, nulls="exclude")[0] == []
        assert (
            90 in self.taken(windowed, name, strategy=Strategy.TIMESTAMP, column="updated_at", nulls="include")[0]
        )

    def test_a_chunk_stops_where_it_is_told(self, windowed: DataRig) -> None:
        """INC-09: chunked loading."""
        name = self.seeded(windowed)
        given = {"strategy": Strategy.TIMESTAMP, "column": "updated_at", "lookback_seconds": 0.0}
        ids, seen = self.taken(windowed, name, **given, after=written(at(1)), upto=written(at(4)))
        assert ids == [2, 3, 4] and read(seen.value) == at(4)

    def test_times_in_the_future_do_not_carry_the_watermark_away(self, windowed: DataRig) -> None:
        """INC: never beyond the source's own clock."""
        name = self.seeded(windowed)
        windowed.seed_events(name, [(50, datetime.now(UTC) + timedelta(days=400), "too early")])
        ids, seen = self.taken(windowed, name, strategy=Strategy.TIMESTAMP, column="updated_at")
        assert 50 in ids and read(seen.value) == at(9)

    def test_ids_are_read_beyond_the_last(self, windowed: DataRig) -> None:
        name = self.seeded(windowed)
        ids, seen = self.taken(windowed, name, strategy=Strategy.ID, column="id", after=written(6))
        assert ids == [7, 8, 9, 90] and read(seen.value) == 90

    def test_microseconds_count(self, windowed: DataRig) -> None:
        name = windowed.name()
        moments = [NOON + timedelta(microseconds=n) for n in (1, 2, 3)]
        windowed.seed_events(name, [(n, moment, "x") for n, moment in enumerate(moments)])
        given = {"strategy": Strategy.TIMESTAMP, "column": "updated_at", "lookback_seconds": 0.0}
        ids, seen = self.taken(windowed, name, **given, after=written(moments[0]))
        assert ids == [1, 2] and read(seen.value) == moments[2]

    def test_the_best_way_is_chosen_by_looking(self, windowed: DataRig) -> None:
        """SRC-07, INC-02: detected, overridable."""
        name = self.seeded(windowed)
        found = windowed.connector().candidates(Selection(table=name))
        assert [(each.strategy, each.column) for each in found[:2]] == [
            (Strategy.TIMESTAMP, "updated_at"),
            (Strategy.ID, "id"),
        ]
        assert all(each.reason for each in found)
        assert self.taken(windowed, name)[1].column == "updated_at"

    def test_a_column_that_is_gone_asks_for_a_reset(self, windowed: DataRig) -> None:
        """INC-10: the columns' fingerprint."""
        name = self.seeded(windowed)
        given = {"after": written(at(3)), "fingerprint": "0123456789abcdef"}
        with pytest.raises(ConfigurationError, match="watermarks reset"):
            self.taken(windowed, name, strategy=Strategy.TIMESTAMP, column="changed_on", **given)
        with pytest.raises(ConfigurationError, match="watermarks reset"):
            self.taken(windowed, name, strategy=Strategy.ID, column="id", **given)
        _, seen = self.taken(windowed, name, strategy=Strategy.TIMESTAMP, column="updated_at", **given)
        assert len(seen.fingerprint) == 16

    def test_the_newest_can_be_asked_for(self, windowed: DataRig) -> None:
        name = self.seeded(windowed)
        source = windowed.connector()
        if not windowed.lists:
            pytest.skip("this kind of system says nothing of what it has but the rows themselves")
        window = Window(strategy=Strategy.TIMESTAMP, column="updated_at")
        assert read(source.newest(Selection(table=name, window=window))) == at(9)
        window = Window(strategy=Strategy.ID, column="id")
        assert read(source.newest(Selection(table=name, window=window))) == 90


class TestBounds:
    def test_many_rows_come_in_batches_of_bounded_size(self, rig: DataRig, source: Source) -> None:
        """EXE-13: streams, not lists."""
        name = rig.name()
        rig.seed_events(name, [(n, at(n), f"note {n}") for n in range(rig.many)])
        most = rig.many // 5
        with closing(source.read(Selection(table=name, options={"batch_rows": most}))) as reading:
            sizes = [batch.num_rows for batch in reading]
            assert sum(sizes) == rig.many and max(sizes) <= 8_192 and len(sizes) >= 3

    def test_a_read_may_end_early(self, rig: DataRig, source: Source) -> None:
        name = rig.name()
        rig.seed_events(name, [(n, at(n), f"note {n}") for n in range(rig.many)])
        reading = source.read(Selection(table=name, options={"batch_rows": rig.many // 20}))
        assert next(iter(reading)).num_rows
        reading.close()
        reading.close()
        assert len(rows_of(source, Selection(table=name))) == rig.many

    def test_wide_rows_come_in_small_batches(self, rig: DataRig, source: Source) -> None:
        if not rig.roomy:
            pytest.skip("what stands in for this kind of system keeps a few megabytes only")
        name = rig.name()
        rig.seed_events(name, [(n, NOON, "x" * 200_000) for n in range(200)])  # 40 MB
        with closing(source.read(Selection(table=name))) as reading:
            sizes = [batch.nbytes for batch in reading]
        assert sum(sizes) > 40_000_000 and max(sizes) < 20_000_000

    def test_what_was_read_is_told_without_a_login(self, rig: DataRig, source: Source) -> None:
        """LIN-01; FAULTS 42."""
        name = rig.name()
        rig.seed_kinds(name)
        with closing(source.read(Selection(table=name))) as reading:
            count = sum(batch.num_rows for batch in reading)
            (touch,) = reading.touches()
        assert touch.direction is Direction.READ and touch.rows in (count, None)
        assert name in touch.uri and PASSWORD not in touch.uri and "@" not in touch.uri and "?" not in touch.uri
        assert {column.kind for column in touch.columns} == set(DataKind)

    def test_tables_are_found(self, rig: DataRig, source: Source) -> None:
        if not rig.lists:
            pytest.skip("this kind of system says nothing of what it has but the rows themselves")
        names = [rig.name() for _ in range(3)]
        for each in names:
            rig.seed_events(each, [(1, NOON, "x")])
        there = source.discover()
        assert all(
            any(each.rsplit(".", 1)[-1].startswith(name) or name in each for each in there) for name in names
        )
        assert len(source.discover(limit=2)) == 2
        assert len(source.discover(f"*{names[0]}*")) == 1

    def test_it_says_who_answered(self, rig: DataRig, source: Source) -> None:
        rig.seed_events(rig.name(), [(1, NOON, "x")])
        assert source.test().endswith(".") and PASSWORD not in source.test()


def test_decimals_are_not_floats(rig: DataRig, source: Source) -> None:
    name = rig.name()
    rig.seed_kinds(name)
    with closing(source.read(Selection(table=name))) as reading:
        table = pa.Table.from_batches(list(reading), reading.schema)
    assert Decimal("-9999999999999999.9999") in table.column("amount").to_pylist()
