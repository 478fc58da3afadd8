"""What only MySQL and MariaDB have: RENAME, engines, bent values, a server that asks for files, their own types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pytest

from engine.connectors.databases.mysql_bulk import FEWEST, FIRST, MOST, Bulk, Pace
from engine.connectors.databases.mysql_catalog import Catalog
from engine.connectors.databases.mysql_ledger import mark, marked
from engine.connectors.databases.mysql_link import opened as open_link
from engine.connectors.registry import Connectors
from engine.dataflow.kinds import kind_of
from engine.dataflow.streams import Batches
from engine.model.errors import (
    ConfigurationError,
    DataQualityError,
    NetworkError,
    PermissionFailure,
    ResourceExhaustion,
)
from engine.model.workspace import Connection
from engine.ports.destination import Mode
from engine.ports.source import Selection
from tests.contract.load_rig import LoadRig, order, rows
from tests.contract.mysql_rig import HOST, PORT, database

SECRET = "hunter2-canary"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[LoadRig]:
    with database() as (name, cursor):

        def look(query: str) -> list[tuple[Any, ...]]:
            cursor.execute(query)
            return list(cursor.fetchall())

        config = {"host": HOST, "port": PORT, "user": "root", "database": name}
        found = LoadRig(connection=Connection(id="own", type="mariadb", config=config), root=tmp_path, rows=look)
        yield found
        found.close()


def test_a_replaced_table_keeps_its_definition(rig: LoadRig) -> None:
    """DST-06: indexes, defaults, comment; and the mark that repairs the ledger."""
    rig.rows("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(9) DEFAULT 'd', KEY n (name)) COMMENT 'of mine'")
    for token in ("one", "two"):
        rig.connector().load(rows((1, token)), order(token, Mode.REPLACE))
    ((_, made),) = rig.rows("SHOW CREATE TABLE t")
    assert "KEY `n` (`name`)" in made and "DEFAULT 'd'" in made
    assert f"COMMENT='of mine {mark('two')}'" in made and mark("one") not in made
    assert marked("x" * 2048, "t").endswith(mark("t")) and len(marked("x" * 2048, "t")) == 2048


def test_a_ledger_that_missed_the_rename_is_repaired_from_the_comment(rig: LoadRig) -> None:
    """The process died between the RENAME and the word of it; any later load says so first."""
    rig.connector().load(rows((1, "a")), order("one", Mode.REPLACE, scope="s", seal=lambda: {"n": 1}))
    rig.rows("UPDATE _penstock_loads SET published = 0")
    fresh = rig.connector()
    assert fresh.ledger("one", "t").seal == {"n": 1} == fresh.watermark("s", "t")
    fresh.load(rows((2, "b")), order("two"))
    assert rig.rows("SELECT token, published FROM _penstock_loads ORDER BY seq") == [("one", 1), ("two", 1)]


def test_a_replacement_that_was_never_renamed_does_not_count(rig: LoadRig) -> None:
    rig.connector().load(rows((1, "a")), order("one", Mode.REPLACE))
    rig.rows("INSERT INTO _penstock_loads (token, target, scope, mode, loaded_rows, seal, published) "
             "VALUES ('dead', 't', 's', 'replace', 9, '{}', 0)")  # fmt: skip
    fresh = rig.connector()
    assert fresh.ledger("dead", "t") is None and fresh.watermark("s", "t") is None
    fresh.load(rows((2, "b")), order("two", Mode.REPLACE))
    assert rig.rows("SELECT token FROM _penstock_loads ORDER BY seq") == [("one",), ("two",)]


def test_a_table_that_others_refer_to_is_replaced_in_a_transaction(rig: LoadRig) -> None:
    """A rename would leave the foreign key with the old table."""
    rig.rows("CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)")
    rig.rows("CREATE TABLE child (t BIGINT, FOREIGN KEY (t) REFERENCES t (id))")
    rig.connector().load(rows((1, "a"), (2, "b")), order("one", Mode.REPLACE))
    rig.rows("INSERT INTO child VALUES (2)")
    with pytest.raises(DataQualityError, match="foreign key constraint"):
        rig.connector().load(rows((1, "x")), order("two", Mode.REPLACE))
    assert rig.table() == [(1, "a"), (2, "b")]
    assert rig.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = database() "
                    "AND table_name LIKE '\\_penstock\\_stage%'") == []  # fmt: skip


def test_one_process_at_a_time_replaces_a_table(rig: LoadRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.connectors.databases.mysql_replace.LOCK_SECONDS", 0)
    first, second = rig.connector(), rig.connector()

    def meanwhile() -> Iterator[pa.RecordBatch]:
        with pytest.raises(ResourceExhaustion, match="another load replaces it"):
            second.load(rows((9, "z")), order("two", Mode.REPLACE))
        yield from rows((1, "a"))

    given = Batches(rows().schema, meanwhile())
    assert first.load(given, order("one", Mode.REPLACE)).rows == 1
    assert rig.table() == [(1, "a")]


def test_a_table_that_cannot_roll_back_is_refused(rig: LoadRig) -> None:
    rig.rows("CREATE TABLE t (id INT, name TEXT) ENGINE=MyISAM")
    with pytest.raises(ConfigurationError, match="ENGINE=InnoDB"):
        rig.connector().load(rows((1, "a")), order("one"))


def test_a_second_unique_key_overwrites_no_other_row(rig: LoadRig) -> None:
    """ON DUPLICATE KEY UPDATE would take the row with the same name for the one that was meant."""
    rig.rows("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(9) UNIQUE)")
    rig.rows("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    with pytest.raises(DataQualityError):
        rig.connector().load(rows((3, "a")), order("one", Mode.UPSERT))
    assert rig.connector().load(rows((2, "c"), (3, "b")), order("two", Mode.UPSERT)).rows == 2
    assert rig.table() == [(1, "a"), (2, "c"), (3, "b")]


def test_rows_find_theirs_by_a_key_that_nothing_indexes(rig: LoadRig) -> None:
    """DST-04: by texts longer than an index takes, alike at their beginning; all rows with that key."""
    same = "x" * 150
    rig.rows("CREATE TABLE t (a LONGTEXT, b VARCHAR(200), v VARCHAR(9)) COLLATE utf8mb4_bin")
    rig.rows(f"INSERT INTO t VALUES ('{same}1', 'k', 'old'), ('{same}1', 'k', 'old'), ('{same}2', 'k', 'old')")

    def given(*found: tuple[str, str, bool]) -> Batches:
        columns = {name: [one[at] for one in found] for at, name in ((0, "a"), (1, "v"), (2, "gone"))}
        batch = pa.RecordBatch.from_pydict({**columns, "b": ["k"] * len(found)})
        return Batches(batch.schema, [batch])

    changed = given((same + "1", "first", False), (same + "3", "new", False), (same + "1", "last", False))
    keyed = {"keys": ("a", "b"), "delete_when": "gone"}
    assert rig.connector().load(changed, order("1", Mode.MERGE, **keyed)).rows == 3
    look = "SELECT right(a, 1), v FROM t ORDER BY a, v"
    assert rig.rows(look) == [("1", "last"), ("1", "last"), ("2", "old"), ("3", "new")]

    rig.connector().load(given((same + "1", "", True), (same + "4", "", True)), order("2", Mode.MERGE, **keyed))
    assert rig.rows(look) == [("2", "old"), ("3", "new")]


@pytest.mark.parametrize("mode", [Mode.REPLACE, Mode.UPSERT])
def test_of_two_attempts_at_once_one_publishes(rig: LoadRig, monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    """INC-04, TXN-03: and the other leaves alone what the first has kept for the way back."""
    before = [(1, "one"), (2, "two")]
    rig.connector().load(rows(*before), order("before", Mode.UPSERT))
    written, more = Event(), Event()
    plainly = Catalog.run

    def sealing() -> Mapping[str, Any]:
        written.set()
        assert more.wait(60)
        return {}

    def looking(catalog: Catalog, statement: str, values: Sequence[Any] = ()) -> int:
        if written.is_set() and "_penstock_before" in statement and statement.startswith(("DELETE", "DROP")):
            more.set()  # the second has found nothing in the ledger
        return plainly(catalog, statement, values)

    one = order("1", mode)
    staged = rig.connector().stage(rows((2, "deux"), (3, "c")), one)
    monkeypatch.setattr(Catalog, "run", looking)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(rig.connector().publish, staged, order("1", mode, seal=sealing))
        assert written.wait(60)
        second = pool.submit(rig.connector().publish, staged, one)
        assert [first.result().already, second.result().already] == [False, True]
    rig.connector().undo(staged, one)
    assert rig.rows("SELECT id, name FROM t ORDER BY id") == before


class TestWithoutLoadData:
    """A server that does not allow LOAD DATA LOCAL takes INSERT of many rows."""

    @pytest.fixture(autouse=True)
    def _forbidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Bulk, "_asked", lambda self: (False, 4096))

    def test_rows_are_inserted_in_packets(self, rig: LoadRig) -> None:
        given = [(at, f"it's \\ {at}\n\0 é 😀" if at % 3 else None) for at in range(500)]
        assert rig.connector().load(rows(*given, size=90), order("one")).rows == 500
        assert rig.table() == given

    def test_what_does_not_fit_fails_the_load(self, rig: LoadRig) -> None:
        rig.rows("CREATE TABLE t (id BIGINT, name VARCHAR(3))")
        with pytest.raises(DataQualityError, match="name"):
            rig.connector().load(rows((1, "abc"), (2, "abcd")), order("one"))
        assert rig.table() == []


def test_inserts_grow_and_shrink_with_the_time_they_take() -> None:
    """DST-03, DST-08: between 5,000 and 25,000 rows."""
    pace = Pace()
    assert pace.rows == FIRST
    for _ in range(9):
        pace.took(0.01)
    assert pace.rows == MOST == 25_000
    for _ in range(9):
        pace.took(9.0)
    assert pace.rows == FEWEST == 5_000


def test_a_server_that_asks_for_a_file_gets_none(rig: LoadRig, tmp_path: Path) -> None:
    """Only what is being loaded is sent, whatever name the server asks for; at no other time anything."""
    (tmp_path / "secret").write_text("1\tsecret\n")
    rig.rows("CREATE TABLE t (id INT, name TEXT)")
    link = open_link(rig.connection.id, rig.connection.config)
    assert link.feed(f"LOAD DATA LOCAL INFILE '{tmp_path}/secret' INTO TABLE t", [b"2\tmine\n"]) == (1, 0)
    with pytest.raises(RuntimeError, match="local_infile"):
        link.query(f"LOAD DATA LOCAL INFILE '{tmp_path}/secret' INTO TABLE t")
    link.hang_up()
    assert rig.table() == [(2, "mine")]


def test_types_of_its_own(rig: LoadRig) -> None:
    """TYP-01: by a documented rule (docs/data-types.md)."""
    rig.rows(
        "CREATE TABLE t (flag TINYINT(1), tiny TINYINT, big BIGINT UNSIGNED, d DECIMAL(65,30), f FLOAT, y YEAR, "
        "span TIME(3), e ENUM('x', 'y'), s SET('p', 'q'), bit1 BIT(1), bit9 BIT(9), j JSON, at TIMESTAMP(6) NULL, "
        "wall DATETIME(6), raw VARBINARY(9))"
    )
    rig.rows(
        "INSERT INTO t VALUES (1, -5, 18446744073709551615, -1.000000000000000000000000000001, 1.1, 2024, "
        "'-838:59:59.5', 'x', 'p,q', b'1', b'100000001', '[1]', '2024-06-01 12:00:00.000001', "
        "'2024-06-01 12:00:00', 'ab')"
    )
    opened = rig.connector().read(Selection(table="t"))
    (row,) = [row for batch in opened for row in batch.to_pylist()]
    opened.close()
    kinds = [kind_of(each).value for each in opened.schema]
    assert kinds == [
        *("boolean", "integer", "integer", "decimal", "float", "integer", "string", "string", "string", "boolean"),
        *("integer", "json", "timestamp", "timestamp", "binary"),
    ]
    assert (row["flag"], row["tiny"], row["big"], row["y"]) == (True, -5, 2**64 - 1, 2024)
    assert row["d"] == Decimal("-1.000000000000000000000000000001") and row["f"] == pytest.approx(1.1)
    assert row["f"].hex() == "0x1.19999a0000000p+0", "not the six digits that the server writes"
    assert (row["span"], row["e"], row["s"], row["bit1"], row["bit9"]) == ("-838:59:59.500", "x", "p,q", True, 257)
    assert row["at"].tzinfo is not None and row["wall"].tzinfo is None


@pytest.mark.parametrize("column", ["day", "moment"])
def test_a_zero_date_is_no_date(rig: LoadRig, column: str) -> None:
    rig.rows("CREATE TABLE t (day DATE, moment DATETIME)")
    rig.rows("SET sql_mode = ''")
    rig.rows("INSERT INTO t VALUES ('2024-00-00', '0000-00-00 00:00:00')")
    with pytest.raises(DataQualityError, match=f"'{column}'.*zero date.*NULLIF"):
        list(rig.connector().read(Selection(table="t", columns=(column,))))


def test_a_password_is_never_told(rig: LoadRig) -> None:
    """FAULTS 42."""
    for config in ({"user": "nobody", "password": SECRET}, {"url": f"mysql://nobody:{SECRET}@{HOST}:{PORT}/mysql"}):
        with pytest.raises(PermissionFailure, match=r"'base'.*Check user and password") as caught:
            rig.connector(**config).test()
        assert SECRET not in str(caught.value) and SECRET not in repr(caught.value.__cause__)


def test_a_server_that_is_not_there_is_worth_another_try(rig: LoadRig) -> None:
    with pytest.raises(NetworkError, match="Check host and port"):
        rig.connector(port=1).test()
    for wrong, said in (({"port": "x"}, "`port`"), ({"database": ""}, "needs a `database`")):
        with pytest.raises(ConfigurationError, match=said):
            rig.connector(**wrong).test()


def test_a_connection_that_is_cut_is_worth_another_try(rig: LoadRig) -> None:
    """FAULTS 12: nothing is left of the load, and the next attempt does it."""
    rig.rows("CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)")
    connector = rig.connector()

    def cut() -> Iterator[pa.RecordBatch]:
        yield from rows((1, "a"))
        for (number,) in rig.rows("SELECT id FROM information_schema.processlist WHERE info LIKE 'LOAD DATA%'"):
            rig.rows(f"KILL {number}")
        for at in range(2, 20_000):
            yield from rows((at, "x" * 1000))

    with pytest.raises(NetworkError, match="'base', table 't'"):
        connector.load(Batches(rows().schema, cut()), order("one"))
    assert rig.table() == []
    assert rig.connector().load(rows((1, "a")), order("one")).rows == 1


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    for name in [each for each in sys.modules if each.startswith(("pymysql", "engine.connectors.databases.mysql"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'penstock\[mysql\]'"):
        Connectors(tmp_path).open(Connection(id="own", type="mysql", config={"database": "x"}))
