"""PostgreSQL: loads and reads as everywhere, what only it has, and networks that fail."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.dataflow.kinds import kind_of
from engine.dataflow.streams import Batches
from engine.model.dataset import DataKind
from engine.model.errors import ConfigurationError, DataQualityError, NetworkError, TimeoutFailure
from engine.ports.destination import Mode
from engine.ports.source import Selection
from tests.contract.load_behaviour import LoadBehaviour
from tests.contract.load_kill import SEED, Kill, kills, named, prove
from tests.contract.load_rig import COLUMNS, LoadRig, order, rows, seal
from tests.contract.pg_rig import pg_rig
from tests.contract.read_behaviour import ReadBehaviour
from tests.contract.wire_proxy import proxy

PLACES = ("load.begun", "load.committed")
BOTH = pytest.mark.parametrize("adbc", [True, False], ids=["adbc", "copy"])


@pytest.fixture
def rig(tmp_path: Path, postgres_url: str) -> Iterator[LoadRig]:
    with pg_rig(tmp_path, postgres_url) as found:
        yield found


def read(rig: LoadRig, selection: Selection, adbc: bool = True) -> pa.Table:
    given = replace(selection, options={"adbc": adbc, **selection.options})
    with closing(rig.connector().read(given)) as reading:
        return pa.Table.from_batches(list(reading), reading.schema)


class TestLoads(LoadBehaviour):
    """DST, TXN on PostgreSQL."""

    nul = ""  # refused, see below


class TestReads(ReadBehaviour):
    """SRC, INC on PostgreSQL."""


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
    @BOTH
    def test_both_ways_of_reading_say_the_same(self, rig: LoadRig, adbc: bool) -> None:
        """TYP-02, SRC: by COPY or by ADBC."""
        rig.rows(
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN small AS numeric(5,1); "
            "CREATE TABLE v (a int2, b int4, c oid, d real, e numeric, f numeric(50,3), g small, h money, i uuid, "
            "j mood, k int[], l interval, m time, n inet, o jsonb, p char(5), q timestamp, r bytea, s int4range)"
        )
        rig.rows(
            "INSERT INTO v VALUES (-1, 2, 4000000000, 0.5, 1.123456789, "
            "12345678901234567890123456789012345678.125, 1.5, 12.34, "
            "'00000000-0000-0000-0000-000000000001', 'ok', '{1,NULL}', '1 day 2 hours', '10:30', "
            "'10.0.0.1', '{\"a\": [1]}', 'x', '2024-01-01 00:00:00.000001', '\\x00ff', '[1,3)')"
        )
        rig.rows("INSERT INTO v DEFAULT VALUES")
        found = read(rig, Selection(table="v"), adbc)
        first, empty = found.to_pylist()
        assert set(empty.values()) == {None}
        assert first == {
            "a": -1, "b": 2, "c": 4_000_000_000, "d": 0.5, "e": Decimal("1.123456789"),
            "f": Decimal("12345678901234567890123456789012345678.125"), "g": Decimal("1.5"), "h": Decimal("12.34"),
            "i": "00000000-0000-0000-0000-000000000001", "j": "ok", "k": "[1,null]", "l": "P1DT2H", "m": "10:30:00",
            "n": "10.0.0.1/32", "o": '{"a": [1]}', "p": "x", "q": datetime(2024, 1, 1, 0, 0, 0, 1),
            "r": b"\x00\xff", "s": "[1,3)",
        }  # fmt: skip
        assert kind_of(found.schema.field("k")) is kind_of(found.schema.field("o")) is DataKind.JSON

    @BOTH
    @pytest.mark.parametrize(
        "value", ["'infinity'::timestamptz", "'-infinity'::date", "'NaN'::numeric", "1.1234567891::numeric",
                  "'0044-03-15 BC'::date", "'infinity'::timestamp"],
    )  # fmt: skip
    def test_what_arrow_cannot_carry_is_refused_by_name(self, rig: LoadRig, value: str, adbc: bool) -> None:
        """TYP: never bent silently."""
        with pytest.raises(DataQualityError, match="column 'odd'"):
            read(rig, Selection(query=f"SELECT {value} AS odd"), adbc)

    def test_a_target_of_any_types_takes_what_fits(self, rig: LoadRig) -> None:
        rig.rows(
            "CREATE TABLE w (id uuid, at timestamptz, n numeric(6,2), tags json, "
            "made int GENERATED ALWAYS AS (1) STORED)"
        )
        given = pa.table(
            {
                "id": ["00000000-0000-0000-0000-000000000001"],
                "at": pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
                "n": pa.array([Decimal("1.5")], pa.decimal128(20, 6)),
                "tags": pa.array([[1, 2]]),
            }
        )
        rig.connector().load(Batches(given.schema, given.to_batches()), order("1", target="w"))
        assert rig.rows("SELECT n::text, tags::text, made FROM w") == [("1.50", "[1, 2]", 1)]
        bad = given.set_column(0, "id", pa.array(["canary-value"]))
        with pytest.raises(DataQualityError, match="line 1, column id") as caught:
            rig.connector().load(Batches(bad.schema, bad.to_batches()), order("2", target="w"))
        assert "canary-value" not in str(caught.value)

    def test_a_nul_character_is_refused(self, rig: LoadRig) -> None:
        with pytest.raises(DataQualityError, match="0x00"):
            rig.connector().load(rows((1, "a\0b")), order("1"))


class TestTables:
    def test_schemas_views_and_spellings(self, rig: LoadRig) -> None:
        """SRC: discovery; near spelling."""
        rig.rows(
            "CREATE SCHEMA mart; CREATE TABLE mart.orders (id int); CREATE VIEW v AS SELECT 1 AS n; "
            'CREATE TABLE "a.b" (x int)'
        )
        connector = rig.connector()
        assert list(connector.discover()) == ["mart.orders", "a.b", "v"]
        assert list(connector.discover("mart.*")) == ["mart.orders"]
        assert read(rig, Selection(table="mart.ORDERS")).num_rows == 0
        assert read(rig, Selection(table="a.b")).schema.names == ["x"]
        assert read(rig, Selection(table="v")).to_pylist() == [{"n": 1}]
        with pytest.raises(ConfigurationError, match=r"no table 'mart.order'; did you mean 'mart.orders'\?"):
            read(rig, Selection(table="mart.order"))

    def test_a_connection_may_name_its_schema(self, rig: LoadRig) -> None:
        rig.rows('CREATE SCHEMA "my mart\\"')
        connector = rig.connector(schema="my mart\\", adbc=False)
        connector.load(rows((1, "a")), order("1"))
        with closing(connector.read(Selection(table="t"))) as reading:
            assert sum(batch.num_rows for batch in reading) == 1
        assert rig.rows("SELECT schemaname FROM pg_tables WHERE tablename = 't'") == [("my mart\\",)]

    @BOTH
    def test_a_read_may_be_bounded_in_time(self, rig: LoadRig, adbc: bool) -> None:
        slow = Selection(query="SELECT 1 AS one, pg_sleep(30)::text AS s", options={"timeout_seconds": 0.2})
        with pytest.raises(TimeoutFailure, match="statement timeout"):
            read(rig, slow, adbc)

    def test_a_backslash_ends_no_string(self, rig: LoadRig) -> None:
        """FAULTS 38: a value is bound where the server sees a value, and nowhere else."""
        query = r"SELECT '\' AS a, ':n' AS b, E'\':n' AS c, $$:n$$ AS d, $x$':n'$x$ AS e, :n AS f"
        (found,) = read(rig, Selection(query=query, parameters={"n": "' || 1 || '"})).to_pylist()
        assert list(found.values()) == ["\\", ":n", "':n", ":n", "':n'", "' || 1 || '"]

    def test_a_replaced_target_keeps_what_it_is(self, rig: LoadRig) -> None:
        """DST: indexes, grants and references stay."""
        rig.rows(
            "CREATE TABLE t (id bigint PRIMARY KEY, name text DEFAULT 'none', own serial); "
            "GRANT SELECT ON t TO PUBLIC"
        )
        rig.rows("CREATE TABLE child (t bigint REFERENCES t); INSERT INTO t VALUES (1, 'a')")
        rig.connector().load(rows((1, "b"), (2, "c")), order("1", Mode.REPLACE))
        assert rig.table() == [(1, "b"), (2, "c")]
        assert rig.rows("SELECT has_table_privilege('public', 't', 'SELECT'), count(own) FROM t") == [(True, 2)]
        rig.rows("INSERT INTO child VALUES (2)")
        with pytest.raises(DataQualityError, match="foreign key"):
            rig.connector().load(rows((1, "b")), order("2", Mode.REPLACE))
        assert rig.table() == [(1, "b"), (2, "c")]

    @pytest.mark.parametrize("mode", list(Mode))
    def test_a_column_that_counts_by_itself_takes_what_it_is_given(self, rig: LoadRig, mode: Mode) -> None:
        rig.rows("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)")
        schema = COLUMNS.append(pa.field("gone", pa.bool_())) if mode is Mode.MERGE else COLUMNS
        given = [(7, "a", False)[: len(schema)], (9, "b", False)[: len(schema)]]
        rig.connector().load(rows(*given, schema=schema), order("1", mode))
        assert rig.table() == [(7, "a"), (9, "b")]

    def test_a_name_that_the_server_would_cut_is_refused(self, rig: LoadRig) -> None:
        """Two long names that begin alike are one table to the server, and a replace would empty the other's."""
        common = "é" * 31 + "x"  # 63 bytes: the longest there is
        connector = rig.connector()
        connector.load(rows((1, "a")), order("1", target=common))
        for mode in (Mode.APPEND, Mode.REPLACE):
            with pytest.raises(ConfigurationError, match=r"name 'é+x_b' is too long: PostgreSQL keeps 63 bytes"):
                connector.load(rows((2, "b")), order(f"2{mode}", mode, target=f"{common}_b"))
        with pytest.raises(ConfigurationError, match=r"no table 'é+x_b'; did you mean 'é+x'\?"):
            read(rig, Selection(table=f"{common}_b"))
        assert rig.rows(f'SELECT id, name FROM "{common}"') == [(1, "a")]
        wide = pa.schema([(f"{common}_c", pa.int64())])
        with pytest.raises(ConfigurationError, match=r"column's name 'é+x_c' is too long.*`columns`"):
            connector.load(rows((1,), schema=wide), order("3"))

    def test_readers_are_not_kept_waiting_by_a_load(self, rig: LoadRig) -> None:
        """DST: others read while rows arrive, in every mode."""
        connector = rig.connector()
        connector.create_target("t", COLUMNS, keys=("id",))
        seen = []

        def watched() -> Iterator[pa.RecordBatch]:
            for at in range(3):
                seen.append(rig.rows("SET lock_timeout = 5000; SELECT count(*) FROM t"))
                yield from rows((at, "x"))

        for mode in (Mode.APPEND, Mode.REPLACE, Mode.UPSERT):
            connector.load(Batches(COLUMNS, watched()), order(str(mode), mode))
        assert len(seen) == 9

    def test_old_loads_are_forgotten_but_for_the_newest_of_a_scope(self, rig: LoadRig) -> None:
        connector = rig.connector()
        for n in range(4):
            connector.load(rows((n, "x")), order(str(n), scope="a" if n % 2 else "b", seal=seal(n)))
        rig.rows("UPDATE _penstock_loads SET loaded_at = now() - interval '100 days'")
        connector.load(rows((9, "x")), order("9", scope="a", seal=seal(9)))
        assert rig.rows("SELECT token FROM _penstock_loads ORDER BY seq") == [("2",), ("9",)]

    def test_two_attempts_at_once_load_once(self, rig: LoadRig) -> None:
        """Invariant B, without either having died."""
        first, second = rig.connector(), rig.connector()
        first.create_target("t", COLUMNS)

        def slow() -> Iterator[pa.RecordBatch]:
            yield from rows((1, "a"))
            second.load(rows((1, "a")), order("same", seal=seal(2)))

        told = first.load(Batches(COLUMNS, slow()), order("same", seal=seal(1)))
        assert told.already and told.seal == seal(2)() and rig.table() == [(1, "a")]

    def test_stages_of_yesterday_are_swept(self, rig: LoadRig) -> None:
        connector = rig.connector()
        connector.create_target("t", COLUMNS)
        staged = connector.stage(rows((1, "a")), order("lost"))
        name = str(staged["stage"])
        day = int(name.rsplit("_", 1)[1])
        rig.rows(f'ALTER TABLE "{name}" RENAME TO "{name.removesuffix(str(day))}{day - 3}"')
        connector.discard(connector.stage(rows((2, "b")), order("next")))
        assert rig.rows("SELECT tablename FROM pg_tables WHERE tablename LIKE '\\_penstock\\_stage%'") == []


class TestNetworks:
    """FAULTS 12, 13, 14."""

    MANY = tuple((n, f"row {n} " + "x" * 50) for n in range(2_000))

    def through(self, rig: LoadRig, port: int, **more: Any) -> Any:
        return rig.connector(host="127.0.0.1", port=port, gssencmode="disable", sslmode="disable", **more)

    def server(self, rig: LoadRig) -> tuple[str, int]:
        return str(rig.connection.config["host"]), int(rig.connection.config["port"])

    @pytest.mark.parametrize("share", [random.Random(SEED).random() for _ in range(3)])
    @pytest.mark.parametrize("mode", [Mode.APPEND, Mode.UPSERT])
    def test_a_connection_cut_in_the_middle_of_copy(self, rig: LoadRig, mode: Mode, share: float) -> None:
        """FAULTS 12: invariants B and C."""
        whole = rig.connector()
        whole.create_target("t", COLUMNS, keys=("id",))
        whole.load(rows((-1, "before")), order("before", scope="s", seal=seal(1)))
        with proxy(*self.server(rig), reset_after=4_000 + int(share * 100_000)) as cut:
            with pytest.raises(NetworkError, match="'base', table 't'"):
                self.through(rig, cut.port).load(
                    rows(*self.MANY, size=100), order("1", mode, scope="s", seal=seal(2))
                )
            assert cut.struck.is_set()
        assert rig.table() == [(-1, "before")] and whole.watermark("s", "t") == seal(1)()
        assert not whole.load(rows(*self.MANY, size=100), order("1", mode, scope="s", seal=seal(2))).already
        assert len(rig.table()) == 2_001 and whole.watermark("s", "t") == seal(2)()

    def test_a_server_that_stops_reading_is_given_up(self, rig: LoadRig) -> None:
        """FAULTS 13: black-holed socket; a load does not wait for ever."""
        rig.connector().create_target("t", COLUMNS)
        wide = tuple((n, "x" * 20_000) for n in range(2_000))  # more than the sockets' buffers hold
        with proxy(*self.server(rig), stall_after=20_000) as hole:
            connector = self.through(rig, hole.port, silence_seconds=3)
            with pytest.raises(TimeoutFailure, match="said nothing for too long"):
                connector.load(rows(*wide, size=100), order("1"))
        assert rig.table() == []

    def test_a_commit_whose_answer_is_lost_is_not_done_again(self, rig: LoadRig) -> None:
        """FAULTS 14: invariant B, by looking in the ledger."""
        whole = rig.connector()
        whole.load(rows((0, "before")), order("0"))  # the ledger is there
        with proxy(*self.server(rig), swallow=b"COMMIT") as mute, pytest.raises(NetworkError):
            self.through(rig, mute.port).load(rows((1, "a")), order("1", scope="s", seal=seal(5)))
        assert rig.table() == [(0, "before"), (1, "a")]
        again = whole.load(rows((1, "a")), order("1", scope="s", seal=seal(6)))
        assert again.already and again.seal == seal(5)() == whole.watermark("s", "t")
        assert rig.table() == [(0, "before"), (1, "a")]

    @BOTH
    def test_a_read_that_is_cut_is_a_network_error(self, rig: LoadRig, adbc: bool) -> None:
        rig.rows("CREATE TABLE big AS SELECT n AS id, repeat('x', 200) AS name FROM generate_series(1, 50000) AS n")
        with proxy(*self.server(rig), downward=2_000_000) as cut:
            connector = self.through(rig, cut.port)
            reading = connector.read(Selection(table="big", options={"adbc": adbc}))
            with closing(reading), pytest.raises(NetworkError, match="'base', table 'big'"):
                sum(batch.num_rows for batch in reading)

    @BOTH
    def test_a_server_that_sends_no_more_is_given_up(self, rig: LoadRig, adbc: bool) -> None:
        """FAULTS 13: a read does not wait for ever."""
        rig.rows(
            "CREATE TABLE big AS SELECT n AS id, repeat('x', 200) AS name FROM generate_series(1, 100000) AS n"
        )
        with proxy(*self.server(rig), mute_after=9_000_000) as hole:
            connector = self.through(rig, hole.port, silence_seconds=3)
            reading = connector.read(Selection(table="big", options={"adbc": adbc}))
            with closing(reading), pytest.raises(TimeoutFailure, match="said nothing for too long"):
                sum(batch.num_rows for batch in reading)
            assert hole.struck.is_set()

    def test_a_connection_that_has_died_is_noticed(self, rig: LoadRig) -> None:
        """CON: a pooled connection is asked before it is lent again."""
        connector = rig.connector()
        connector.create_target("t", COLUMNS)
        gone = rig.rows(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'penstock' "
            "AND datname = current_database()"
        )
        assert gone == [(True,)]
        assert connector.load(rows((1, "a")), order("1")).rows == 1

    def test_connections_are_shared_and_bounded(self, rig: LoadRig, monkeypatch: pytest.MonkeyPatch) -> None:
        from engine.connectors.databases import pool
        from engine.model.errors import ResourceExhaustion

        monkeypatch.setattr(pool, "PATIENCE", 0.05)
        one, two = rig.connector(pool_size=2), rig.connector(pool_size=2)
        one.create_target("t", COLUMNS)
        assert two.load(rows((1, "a")), order("1")).rows == 1
        mine = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'penstock' "
            "AND datname = current_database()"
        )
        assert rig.rows(mine) == [(1,)]
        opened = [each.read(Selection(table="t", options={"adbc": False})) for each in (one, two)]
        with pytest.raises(ResourceExhaustion, match="all 2 connections"):
            one.target_schema("t")
        for each in opened:
            each.close()
        assert one.target_schema("t") is not None

    @BOTH
    def test_a_read_leaves_no_descriptor_open(self, rig: LoadRig, adbc: bool) -> None:
        rig.connector().load(rows((1, "a")), order("1"))
        read(rig, Selection(table="t"), adbc)  # what is imported and kept is there
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            read(rig, Selection(table="t"), adbc)
        assert len(os.listdir("/proc/self/fd")) <= before

    def test_a_load_reads_and_writes_one_database(self, rig: LoadRig) -> None:
        connector = rig.connector()
        connector.load(rows((1, "a"), (2, "b")), order("1"))
        with closing(connector.read(Selection(table="t"))) as reading:
            assert connector.load(reading, order("2", target="u")).rows == 2
        assert rig.table("u") == rig.table("t")


def test_a_table_that_was_never_analysed_is_before_rows_are_looked_up_in_it(rig: LoadRig) -> None:
    """PRF: the server took a table of 300 columns for one of a single row, and an upsert of minutes came of it."""
    wide = pa.RecordBatch.from_pydict({"id": list(range(50)), **{f"c{at}": ["x"] * 50 for at in range(300)}})
    rig.connector().load(Batches(wide.schema, [wide]), order("1"))
    known = "SELECT reltuples::int FROM pg_class WHERE oid = 't'::regclass"
    assert rig.rows(known) != [(50,)]
    rig.connector().load(Batches(wide.schema, [wide]), order("2", Mode.UPSERT))
    assert rig.rows(known) == [(50,)] == rig.rows("SELECT count(*) FROM t")


def test_dates_before_christ_and_other_small_print() -> None:
    """The bounds that ADBC's numbers are held against are the years 1 to 9999."""
    from engine.connectors.databases import pg_copy

    assert ((date.min - date(1970, 1, 1)).days, (date.max - date(1970, 1, 1)).days) == pg_copy.DAYS
    low, high = pg_copy.MICROSECONDS
    assert low == (date.min - date(1970, 1, 1)).days * 86_400_000_000
    assert high == ((date.max - date(1970, 1, 1)).days + 1) * 86_400_000_000 - 1
