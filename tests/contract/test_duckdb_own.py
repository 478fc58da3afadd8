"""What only DuckDB has: one writer per file, types of its own, bounds, names that look like files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from engine.connectors.databases import duckdb_session
from engine.connectors.registry import Connectors
from engine.dataflow.kinds import kind_of
from engine.dataflow.streams import Batches
from engine.model.errors import ConfigurationError, DataQualityError, ResourceExhaustion, TimeoutFailure
from engine.model.workspace import Connection
from engine.ports.destination import Mode, Order
from engine.ports.source import Selection

HOLD = "import duckdb, sys; l = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with duckdb.connect(tmp_path / "own.duckdb") as link:
        link.execute("CREATE TABLE t AS SELECT 1 AS id, 'a' AS name")
    return tmp_path / "own.duckdb"


@pytest.fixture
def link(file: Path) -> Iterator[Any]:
    opened = open_at(file)
    yield opened
    opened.close()


def open_at(file: Path, **config: Any) -> Any:
    return Connectors(file.parent).open(Connection(id="own", type="duckdb", config={"path": file.name, **config}))


@contextmanager
def held_by_another(file: Path) -> Iterator[int]:
    """Another process has the file open to write; its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        yield process.pid
        process.communicate()


def test_a_file_that_another_process_writes_is_worth_another_try(file: Path, link: Any) -> None:
    """Named with the process and a remedy; all is well when that one is through."""
    with held_by_another(file) as pid:
        for attempt in (link.test, lambda: link.target_schema("t")):
            with pytest.raises(ResourceExhaustion, match=rf"'own'.*by process {pid}.*pool with a single slot"):
                attempt()
    assert "1 table(s)" in link.test()


def test_who_reads_or_writes_rows_waits_for_its_turn(
    file: Path, link: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs that load into one file do so one after the other; a look does not wait."""
    there = pa.schema([("id", pa.int32()), ("name", pa.string())])
    ways: list[Callable[[], bool]] = [
        lambda: link.load(Batches(there, []), Order(token="1", target="t")).rows == 0,
        lambda: link.ledger("2", "t") is None,
        lambda: sum(each.num_rows for each in link.read(Selection(table="t"))) == 1,
    ]
    for way in ways:
        link.close()
        with ExitStack() as held:
            held.enter_context(held_by_another(file))
            monkeypatch.setattr(f"{duckdb_session.__name__}.time.sleep", lambda _: held.close())
            assert way()


def test_a_turn_that_does_not_come_is_given_up(file: Path) -> None:
    impatient = open_at(file, timeout_seconds=0.3)
    with held_by_another(file) as pid, pytest.raises(ResourceExhaustion, match=f"by process {pid}"):
        impatient.load(Batches(pa.schema([("id", pa.int32())]), []), Order(token="1", target="t"))


def test_many_may_look_at_once(file: Path, link: Any) -> None:
    link.scalar("SELECT 1", {})
    code = f"import duckdb; print(duckdb.connect({str(file)!r}, read_only=True).execute('FROM t').fetchall())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[(1, 'a')]\n"


def test_a_file_is_read_and_written_in_one_task(file: Path, link: Any) -> None:
    """A load from one table of a file into another: the look makes way for the writer."""
    other = open_at(file)
    opened = link.read(Selection(table="t"))
    assert other.load(opened, Order(token="1", target="copy", mode=Mode.REPLACE)).rows == 1
    opened.close()
    assert link.scalar("SELECT count(*) FROM copy", {}) == 1
    other.close()


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "not.duckdb").write_text("id,name\n" * 1000)
    for name, said in (("gone.duckdb", "there is no file"), ("not.duckdb", "not a valid DuckDB database file")):
        with pytest.raises(ConfigurationError, match=said):
            open_at(tmp_path / name).scalar("SELECT 1", {})
    assert not (tmp_path / "gone.duckdb").exists()
    with pytest.raises(ConfigurationError, match="needs a `path`"):
        open_at(tmp_path / ":memory:")


def test_types_that_others_lack_become_text_or_json(file: Path, link: Any) -> None:
    """TYP-01: by a documented rule (docs/data-types.md)."""
    query = (
        "SELECT uuid 'c0ffee00-0000-4000-8000-000000000001' AS u, INTERVAL 3 DAY AS i, '101'::BIT AS b, "
        "TIME '12:30:00' AS t, 'x'::ENUM('x', 'y') AS e, [1, 2] AS l, {'a': 1} AS s, MAP {'k': 1} AS m, "
        "170141183460469231731::HUGEINT AS h, '{\"z\": 1}'::JSON AS j, DATE '2024-01-01' AS d"
    )
    opened = link.read(Selection(query=query))
    (row,) = [row for batch in opened for row in batch.to_pylist()]
    assert {name: kind_of(opened.schema.field(name)).value for name in "uilsmhj"} == {
        "u": "string", "i": "string", "l": "json", "s": "json", "m": "json", "h": "decimal", "j": "json",
    }  # fmt: skip
    assert (row["u"], row["i"], row["b"], row["t"], row["e"]) == (
        "c0ffee00-0000-4000-8000-000000000001", "3 days", "101", "12:30:00", "x",
    )  # fmt: skip
    assert (row["l"], row["s"], row["m"], row["h"]) == (
        "[1,2]",
        '{"a":1}',
        '{"k":1}',
        Decimal(170141183460469231731),
    )


def test_what_no_kind_carries_is_refused_by_name(link: Any) -> None:
    with pytest.raises(DataQualityError, match=r"Column 'n'.*UNION"):
        link.read(Selection(query="SELECT union_value(k := 1) AS n"))
    with pytest.raises(DataQualityError, match=r"DECIMAL\(38,0\)"):
        list(link.read(Selection(query="SELECT 123456789012345678901234567890123456789::HUGEINT AS h")))


def test_an_error_in_the_middle_of_a_read_is_the_datas(link: Any) -> None:
    query = "SELECT CASE WHEN range = 50000 THEN CAST('secret' || range AS INT) ELSE 1 END AS n FROM range(100000)"
    with pytest.raises(DataQualityError, match="'own', query: Conversion Error") as caught:
        list(link.read(Selection(query=query)))
    assert "secret" not in str(caught.value)


def test_a_table_name_that_is_a_file_reads_no_file(file: Path, link: Any) -> None:
    """FAULTS 38, 39: DuckDB would take it for a file to read."""
    (file.parent / "people.csv").write_text("id\n1\n")
    with pytest.raises(ConfigurationError, match=r"no table '.*people.csv'"):
        link.read(Selection(table=str(file.parent / "people.csv")))


def test_a_query_sees_no_variable_of_this_program_and_fetches_no_extension(link: Any) -> None:
    rows = [1]
    for query in ("SELECT * FROM rows", "SELECT * FROM read_csv('https://127.0.0.1:1/x.csv')"):
        with pytest.raises(ConfigurationError):
            list(link.read(Selection(query=query)))
    assert rows == [1]


def test_an_endless_query_is_stopped(file: Path) -> None:
    opened = open_at(file, timeout_seconds=0.2)
    with pytest.raises(TimeoutFailure):
        opened.scalar("SELECT count(*) FROM range(100000000000) a, range(1000) b WHERE a.range % 7 = b.range", {})
    opened.close()


def test_memory_is_bounded_and_the_remedy_named(file: Path) -> None:
    opened = open_at(file, memory_mb=20, threads=1)
    with pytest.raises(ResourceExhaustion, match="Raise `memory_mb`"):
        opened.scalar("SELECT length(string_agg(repeat('x', 1000), '')) FROM range(1000000)", {})
    opened.close()
    for bad in ({"memory_mb": 0}, {"threads": "many"}):
        with pytest.raises(ConfigurationError, match="whole number"):
            open_at(file, **bad).scalar("SELECT 1", {})


def test_nested_rows_are_written_as_json(link: Any, file: Path) -> None:
    one = pa.RecordBatch.from_pydict({"id": [1, 2], "tags": [["a", "ü"], None]})
    link.load(Batches(one.schema, [one]), Order(token="1", target="nested"))
    assert link.scalar("SELECT tags->>1 FROM nested WHERE id = 1", {}) == "ü"


def test_what_a_killed_load_staged_is_swept_after_a_day(
    file: Path, link: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pa.RecordBatch.from_pydict({"id": [1], "name": ["x"]})

    def staged(token: str) -> str:
        return str(link.stage(Batches(one.schema, [one]), Order(token=token, target="t"))["stage"])

    def there() -> set[str]:
        link.close()
        with duckdb.connect(file) as look:
            return {row[0] for row in look.execute("SELECT table_name FROM duckdb_tables()").fetchall()}

    left, young = staged("left"), staged("young")
    assert {left, young} <= there()
    monkeypatch.setattr("engine.connectors.databases.duckdb_saga.KEPT_SECONDS", -1.0)
    last = staged("last")
    assert there() == {"t", last}


def batches(ids: range, **more: Any) -> Iterator[pa.RecordBatch]:
    for begin in range(ids.start, ids.stop, 20_000):
        some = range(begin, min(begin + 20_000, ids.stop))
        names = [f"customer number {each}" for each in some]
        yield pa.RecordBatch.from_pydict({"id": list(some), "name": names, **{k: f(some) for k, f in more.items()}})


def test_a_merge_into_a_large_table_with_a_key_has_memory_for_its_index(tmp_path: Path) -> None:
    """PRF: DuckDB holds an index whole, so that a load needs more memory there than one that only streams."""
    opened = open_at(tmp_path / "large.duckdb")
    plain = pa.schema([("id", pa.int64()), ("name", pa.string())])
    opened.create_target("t", plain, ["id"])
    opened.load(Batches(plain, batches(range(1_000_000))), Order(token="1", target="t"))
    opened.close()  # as the next attempt finds it
    rows = batches(range(850_000, 1_150_000), gone=lambda some: [each % 10 == 0 for each in some])
    order = Order(token="2", target="t", mode=Mode.MERGE, keys=["id"], delete_when="gone")
    assert opened.load(Batches(plain.append(pa.field("gone", pa.bool_())), rows), order).rows == 300_000
    assert opened.scalar("SELECT count(*) FROM t", {}) == 1_150_000 - 30_000
    opened.close()


def test_memory_that_a_connection_sets_is_all_there_is(tmp_path: Path) -> None:
    for config, said in (({}, "91.5 MiB"), ({"memory_mb": 128}, "122.0 MiB")):
        opened = open_at(tmp_path / f"{len(config)}.duckdb", **config)
        one = pa.RecordBatch.from_pydict({"id": [1]})
        opened.load(Batches(one.schema, [one]), Order(token="1", target="plain"))
        assert opened.scalar("SELECT current_setting('memory_limit')", {}) == said
        opened.load(Batches(one.schema, [one]), Order(token="2", target="keyed", keys=["id"], mode=Mode.UPSERT))
        wide = opened.scalar("SELECT current_setting('memory_limit')", {})
        assert wide == (said if config else "305.1 MiB")
        opened.close()


def test_a_wide_table_has_memory_for_its_columns(tmp_path: Path) -> None:
    """PRF: DuckDB holds a block or two of each column, and a wide row took more than the limit of a narrow one."""
    opened = open_at(tmp_path / "wide.duckdb")
    numbers = pc.cast(pc.multiply(pa.array(range(22_000)), 7919), pa.string())
    names = [f"c{at}" for at in range(300)]
    rows = pa.table([pc.binary_join_element_wise(numbers, name, "x") for name in names], names)
    loaded = opened.load(Batches(rows.schema, rows.to_batches(max_chunksize=1000)), Order(token="1", target="t"))
    assert loaded.rows == opened.scalar("SELECT count(DISTINCT c299) FROM t", {}) == 22_000
    opened.close()


def test_a_file_that_claims_columns_without_end_gets_no_memory_without_end(tmp_path: Path) -> None:
    opened = open_at(tmp_path / "wide.duckdb")
    rows = pa.table([pa.array([1])] * 2500, [f"c{at}" for at in range(2500)])
    assert opened.load(Batches(rows.schema, rows.to_batches()), Order(token="1", target="t")).rows == 1
    assert opened.scalar("SELECT current_setting('memory_limit')", {}) == "1.9 GiB"
    opened.close()


def test_two_threads_write_where_rows_may_be_in_any_order(tmp_path: Path) -> None:
    """PRF: every row is there once, and of two with one key the last still counts."""
    opened = open_at(tmp_path / "any.duckdb", row_order="any")
    plain = pa.schema([("id", pa.int64()), ("name", pa.string())])
    assert opened.load(Batches(plain, batches(range(400_000))), Order(token="1", target="t")).rows == 400_000
    assert opened.scalar("SELECT count(DISTINCT id) || ' of ' || count(*) FROM t", {}) == "400000 of 400000"
    settings = "SELECT current_setting('threads') || ' ' || current_setting('preserve_insertion_order')"
    assert opened.scalar(settings, {}) == "2 false"

    twice = (range(60_000), range(60_000))
    again = (each for part in twice for each in batches(part, turn=list))
    numbered = [each.set_column(2, "turn", pa.array([n] * each.num_rows)) for n, each in enumerate(again)]
    order = Order(token="2", target="keyed", mode=Mode.UPSERT, keys=["id"])
    opened.load(Batches(numbered[0].schema, numbered), order)
    assert opened.scalar("SELECT count(*) || ' ' || min(turn) FROM keyed", {}) == "60000 3"
    opened.close()
    with pytest.raises(ConfigurationError, match="`row_order` is kept or any"):
        open_at(tmp_path / "any.duckdb", row_order="desc").scalar("SELECT 1", {})
