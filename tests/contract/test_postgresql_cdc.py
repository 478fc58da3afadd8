"""Changes of a PostgreSQL table, read from the log of a real server (INC-02, INC-08)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.connectors.registry import Connectors
from engine.dataflow.streams import Batches
from engine.model.dataset import Strategy
from engine.model.errors import ConfigurationError, NetworkError
from engine.model.workspace import Connection
from engine.ports.destination import Mode, Order
from engine.ports.source import Selection, Window
from engine.rules.watermarks import newer, read
from tests.contract.logical_server import server
from tests.contract.wire_proxy import proxy

OWN = ("_op", "_deleted", "id", "name")


@pytest.fixture(scope="module")
def logical() -> Iterator[str]:
    with server() as url:
        yield url


class Rig:
    """One database on the server."""

    def __init__(self, url: str, root: Path) -> None:
        self.link = psycopg.connect(url, autocommit=True)
        self.root = root
        self.config = {"url": url}
        self._opened: list[Any] = []

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for each in statements:
            cursor = self.link.execute(each.encode())
            found = cursor.fetchall() if cursor.description else []
        return found

    def connector(self, **config: Any) -> Any:
        opened = Connectors(self.root).open(
            Connection(id="base", type="postgresql", config={**self.config, **config})
        )
        self._opened.append(opened)
        return opened

    def taken(self, after: Any = None, table: str = "t", **options: Any) -> tuple[list[tuple[Any, ...]], Any]:
        """The changes since a watermark, and the new one."""
        window = Window(strategy=Strategy.CDC, after=after)
        columns = options.pop("columns", ())
        selection = Selection(table=table, window=window, options=options, columns=columns)
        with closing(self.connector().read(selection)) as reading:
            rows = [row for batch in reading for row in batch.to_pylist()]
            return [tuple(row.get(name) for name in OWN) for row in rows], reading.seen().value

    def close(self) -> None:
        for each in self._opened:
            each.close()
        self.link.close()


@pytest.fixture
def rig(logical: str, tmp_path: Path) -> Iterator[Rig]:
    name = f"cdc_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(logical, autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name}".encode())
        found = Rig(logical.rsplit("/", 1)[0] + f"/{name}", tmp_path)
        found.run(
            "CREATE TABLE t (id bigint PRIMARY KEY, name text)", "INSERT INTO t VALUES (1, 'one'), (2, 'two')"
        )
        yield found
        found.close()
        link.execute(
            b"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s", [name]
        )
        link.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_the_table_first_then_what_has_changed(rig: Rig) -> None:
    """INC-08: inserts, updates and deletes, with the log's place as watermark."""
    rows, first = rig.taken()
    assert sorted(rows, key=str) == [("insert", False, 1, "one"), ("insert", False, 2, "two")]
    rig.run(
        "INSERT INTO t VALUES (3, NULL), (4, '')",
        "UPDATE t SET name = 'zwei ☃ ''\"\\' WHERE id = 2",
        "DELETE FROM t WHERE id = 1",
        "UPDATE t SET id = 30 WHERE id = 3",
    )
    rows, second = rig.taken(first)
    assert rows == [
        ("insert", False, 3, None),
        ("insert", False, 4, ""),
        ("update", False, 2, "zwei ☃ '\"\\"),
        ("delete", True, 1, None),
        ("delete", True, 3, None),
        ("update", False, 30, None),
    ]
    assert newer(second, first) and rig.taken(second)[0] == []


def test_a_repeated_read_repeats_and_a_later_one_does_not(rig: Rig) -> None:
    """INC-04, INC-08: the slot moves with the committed watermark; duplicates are known after a recovery."""
    _, first = rig.taken()
    rig.run("INSERT INTO t VALUES (3, 'a')")
    rows, second = rig.taken(first)
    assert rig.taken(first) == (rows, rig.taken(first)[1]) and rows == [("insert", False, 3, "a")]
    rig.run("INSERT INTO t VALUES (4, 'b')")
    assert rig.taken(second)[0] == [("insert", False, 4, "b")]
    with pytest.raises(ConfigurationError, match=r"moved on by another reader.*watermarks reset"):
        rig.taken(first)


def test_transactions_come_whole_in_the_order_of_their_commits(rig: Rig) -> None:
    _, first = rig.taken()
    with psycopg.connect(rig.config["url"]) as early:
        early.execute("INSERT INTO t VALUES (10, 'begun first')")
        rig.run("INSERT INTO t VALUES (11, 'committed first')")
        rows, second = rig.taken(first)
        assert rows == [("insert", False, 11, "committed first")]
        early.commit()
    with psycopg.connect(rig.config["url"]) as lost:
        lost.execute("INSERT INTO t VALUES (12, 'never')")
        lost.rollback()
    assert rig.taken(second)[0] == [("insert", False, 10, "begun first")]


def test_a_read_is_bounded_and_goes_on(rig: Rig) -> None:
    _, mark = rig.taken()
    for at in range(5):
        rig.run(f"INSERT INTO t SELECT n, 'x' FROM generate_series({100 + at * 10}, {109 + at * 10}) AS n")
    found: list[Any] = []
    for _ in range(10):
        rows, mark = rig.taken(mark, max_changes=15)
        found += [row[2] for row in rows]
        if not rows:
            break
    assert found == list(range(100, 150))


def test_merged_changes_make_the_target_like_the_source(rig: Rig) -> None:
    """DST, INC: merge with `_deleted`, through kills of the reader and repeated reads."""
    target = Connectors(rig.root).open(Connection(id="copy", type="sqlite", config={"path": "copy.db"}))
    mark: Any = None
    for turn in range(6):
        window = Window(strategy=Strategy.CDC, after=mark)
        with closing(rig.connector().read(Selection(table="t", window=window))) as reading:
            order = Order(token=f"{turn}", target="t", mode=Mode.MERGE, keys=("id",), delete_when="_deleted")
            target.load(Batches(reading.schema, iter(reading)), order)
            if turn % 2 == 0:  # every other watermark is lost: those changes come again
                mark = reading.seen().value or mark
        rig.run(
            f"INSERT INTO t SELECT n, 'new' FROM generate_series({1000 * turn + 10}, {1000 * turn + 60}) AS n",
            f"UPDATE t SET name = 'turn {turn}' WHERE id % 7 = {turn}",
            f"DELETE FROM t WHERE id % 5 = {turn % 5}",
            f"UPDATE t SET id = id + 500000 WHERE id % 11 = {turn}",
        )
    window = Window(strategy=Strategy.CDC, after=mark)
    with closing(rig.connector().read(Selection(table="t", window=window))) as reading:
        order = Order(token="last", target="t", mode=Mode.MERGE, keys=("id",), delete_when="_deleted")
        target.load(Batches(reading.schema, iter(reading)), order)
    with closing(target.read(Selection(table="t", columns=("id", "name")))) as reading:
        copied = sorted((row["id"], row["name"]) for batch in reading for row in batch.to_pylist())
    target.close()
    assert copied == rig.run("SELECT id, name FROM t ORDER BY id")


@pytest.mark.parametrize("adbc", [True, False])
def test_every_type_is_the_same_first_and_later(rig: Rig, adbc: bool) -> None:
    """TYP: what the table says and what the log says."""
    rig.run(
        "CREATE TABLE v (id int PRIMARY KEY, a numeric(10,2), b timestamptz, c timestamp, d bytea, e boolean, "
        "f jsonb, g int[], h char(5), i uuid, j date, k float8, l money)"
    )
    row = (
        "1.50, '2024-01-01 12:00+02', '2024-01-01', '\\x00ff', true, '{\"a\": 1}', '{1,2}', 'x', "
        "'00000000-0000-0000-0000-000000000001', '2024-02-29', 0.1, 12.5::numeric::money"
    )
    found = []
    mark: Any = None
    for number in (1, 2):
        rig.run(f"INSERT INTO v VALUES ({number}, {row})")
        window = Window(strategy=Strategy.CDC, after=mark)
        selection = Selection(table="v", window=window, options={"adbc": adbc})
        with closing(rig.connector().read(selection)) as reading:
            assert reading.schema.equals(rig.connector().schema_of(selection))
            found += [
                {name: value for name, value in row.items() if name[0] != "_" and name != "id"}
                for batch in reading
                for row in batch.to_pylist()
            ]
            mark = reading.seen().value
    assert found[0] == found[1] and found[0]["a"] == Decimal("1.50") and found[0]["h"] == "x"


def test_large_values_that_stayed_need_the_whole_row_in_the_log(rig: Rig) -> None:
    large = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 2000) AS n)"
    rig.run("CREATE TABLE w (id int PRIMARY KEY, name text, note int)", f"INSERT INTO w SELECT 1, {large}")
    _, mark = rig.taken(table="w")
    rig.run("UPDATE w SET note = 1")
    with pytest.raises(ConfigurationError, match="REPLICA IDENTITY FULL"):
        rig.taken(mark, table="w")
    assert rig.taken(mark, table="w", columns=("id", "note"))[0] == [("update", False, 1, None)]
    rig.run("ALTER TABLE w REPLICA IDENTITY FULL")
    _, mark = rig.taken(table="w")  # after a reset
    rig.run("UPDATE w SET note = 2", "DELETE FROM w")
    updated, deleted = rig.taken(mark, table="w")[0]
    assert len(updated[3]) == 64_000 and deleted[:3] == ("delete", True, 1) and deleted[3] == updated[3]


def test_a_truncated_table_is_told(rig: Rig) -> None:
    _, mark = rig.taken()
    rig.run("TRUNCATE t", "INSERT INTO t VALUES (9, 'x')")
    with pytest.raises(ConfigurationError, match=r"truncated.*watermarks reset"):
        rig.taken(mark)
    assert rig.taken()[0] == [("insert", False, 9, "x")]


def test_a_slot_that_is_gone_is_told(rig: Rig) -> None:
    _, mark = rig.taken(slot="mine", publication="ours")
    assert rig.run("SELECT pubname FROM pg_publication") == [("ours",)]
    rig.run("SELECT pg_drop_replication_slot('mine')")
    with pytest.raises(ConfigurationError, match=r"slot 'mine' is gone.*watermarks reset"):
        rig.taken(mark, slot="mine", publication="ours")
    rig.run("CREATE TABLE u (id int PRIMARY KEY)")
    with pytest.raises(ConfigurationError, match="publication 'ours' leaves out table 'u'"):
        rig.taken(table="u", publication="ours")


def test_the_log_kept_for_a_slot_is_told_and_let_go(rig: Rig) -> None:
    """Health: lag and retained log; what other tables write does not pile up."""
    _, mark = rig.taken(slot="watched_" + uuid.uuid4().hex[:8])
    name = rig.run("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")[0][0]
    rig.run("CREATE TABLE other AS SELECT n FROM generate_series(1, 100000) AS n")
    before = rig.connector().lag(name)
    assert before.behind_bytes > 5_000_000 and before.retained_bytes >= before.behind_bytes and not before.active
    rows, mark = rig.taken(mark, slot=name)
    rig.taken(mark, slot=name)
    assert rows == [] and rig.connector().lag(name).behind_bytes < 1_000_000
    assert rig.connector().lag("nobody") is None


def test_a_read_that_is_cut_loses_nothing(rig: Rig) -> None:
    """FAULTS 12; invariant A."""
    _, mark = rig.taken()
    rig.run("INSERT INTO t SELECT n, repeat('x', 300) FROM generate_series(100, 20000) AS n")
    port = int(rig.config["url"].rsplit(":", 1)[1].split("/")[0])
    window = Window(strategy=Strategy.CDC, after=mark)
    with proxy("127.0.0.1", port, downward=1_000_000) as cut:
        through = rig.connector(host="127.0.0.1", port=cut.port, sslmode="disable", gssencmode="disable")
        with closing(through.read(Selection(table="t", window=window))) as reading, pytest.raises(NetworkError):
            sum(batch.num_rows for batch in reading)
    with closing(rig.connector().read(Selection(table="t", window=window))) as reading:
        assert sum(batch.num_rows for batch in reading) == 19_901
        next_mark = reading.seen().value
    assert read(next_mark) > read(mark)


def test_a_server_without_a_logical_log_is_told_with_the_remedy(postgres_url: str, tmp_path: Path) -> None:
    found = Rig(postgres_url, tmp_path)
    try:
        if found.run("SHOW wal_level") == [("logical",)]:
            pytest.skip("this server's log is logical")
        found.run("CREATE TABLE t (id int PRIMARY KEY)")
        with pytest.raises(ConfigurationError, match="ALTER SYSTEM SET wal_level = logical and restart"):
            found.taken()
    finally:
        found.close()
