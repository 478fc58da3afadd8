"""Watermarks, breakers, datasets, touches and edges: what the store keeps of data, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.model.breaker import Breaker, BreakerState
from engine.model.dataset import Column, DataKind, DatasetTouch, Direction, Strategy, TouchRecord, Watermark
from engine.model.errors import Conflict, Deposed, StoreUnusable
from engine.model.run import RunState
from engine.ports.store import Changes
from engine.stores import connect, provenance
from engine.stores.migrate import begin
from engine.stores.open import locate, open_writer, prepared
from tests.contract.store_records import T0, Rig, at, event, run, started, task, version
from tests.contract.test_store import HOSTILE

ID = Column(name="id", kind=DataKind.INTEGER, nullable=False)
NAME = Column(name="name", kind=DataKind.STRING)
PRICE = Column(name="price", kind=DataKind.DECIMAL, detail="decimal(10,2)")


def mark(**fields: Any) -> Watermark:
    base: dict[str, Any] = {
        "pipeline_id": "orders",
        "producer": "extract",
        "source": "shop:orders",
        "consumer": "load",
        "strategy": Strategy.TIMESTAMP,
        "value": {"type": "timestamp", "value": "2026-03-01T02:00:00.000001+00:00"},
        "created_at": T0,
        "updated_at": T0,
    }
    return Watermark(**(base | fields))


def touch(dataset: str, direction: Direction, n: int = 0, *columns: Column, **fields: Any) -> TouchRecord:
    own = {name: fields.pop(name) for name in ("uri", "rows", "bytes", "transformation", "parts") if name in fields}
    base: dict[str, Any] = {"profile": None, "pipeline_id": "orders", "run_id": f"r{n}", "task_id": "load"}
    record: dict[str, Any] = {**base, "map_index": None, "attempt": 1, "at": at(n)} | fields
    return TouchRecord(touch=DatasetTouch(direction=direction, dataset=dataset, columns=columns, **own), **record)


def reads(dataset: str, n: int = 0, *columns: Column, **fields: Any) -> TouchRecord:
    return touch(dataset, Direction.READ, n, *columns, **fields)


def writes(dataset: str, n: int = 0, *columns: Column, **fields: Any) -> TouchRecord:
    return touch(dataset, Direction.WRITE, n, *columns, **fields)


# -- watermarks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "value"),
    [
        (Strategy.TIMESTAMP, {"type": "timestamp", "value": "2026-03-01T02:00:00.000001+00:00"}),
        (Strategy.ID, {"type": "integer", "value": 2**62 + 1}),
        (Strategy.ID, {"type": "float", "value": 0.1}),
        (Strategy.CURSOR, {"type": "string", "value": HOSTILE.replace("\0", "")}),
        (Strategy.FILE, {"type": "json", "value": {"a.csv": [1, None, "é"]}}),
        (Strategy.CDC, {"type": "string", "value": "0/16B3748"}),
        (Strategy.TIMESTAMP, None),
    ],
)
def test_every_field_of_a_watermark_comes_back(rig: Rig, strategy: Strategy, value: Any) -> None:
    """INC-03: values round-trip by type; the key is profile, pipeline, producer, source and consumer."""
    store = rig.writer()
    full = mark(
        strategy=strategy, value=value, column="updated_at", fingerprint="f", resets=2, run_id="r1", profile="pg"
    )
    store.commit(Changes(watermarks=[full, mark()]), "1")
    assert store.watermarks("orders", "pg") == [full]
    assert store.watermarks("orders", None) == [mark()]
    assert store.watermarks("other", None) == []
    assert list(rig.queries().watermarks("pg")) == [full]
    assert list(rig.queries().watermarks("pg", source="shop:orders")) == [full]


def test_an_update_keeps_when_the_watermark_was_made(rig: Rig) -> None:
    """INC-03: created_at is kept on update; one source's watermark leaves another's alone."""
    store = rig.writer()
    other = mark(source="shop:customers")
    store.commit(Changes(watermarks=[mark(), other]), "1")
    store.commit(Changes(watermarks=[mark(value=None, run_id="r2", created_at=at(9), updated_at=at(9))]), "2")
    kept = mark(value=None, run_id="r2", created_at=T0, updated_at=at(9))
    assert store.watermarks("orders", None) == [other, kept]


def test_a_move_that_began_before_a_reset_is_passed_over(rig: Rig) -> None:
    store = rig.writer()
    reset = mark(value=None, resets=3)
    store.commit(Changes(watermarks=[reset]), "1")
    store.commit(Changes(watermarks=[mark(resets=2, updated_at=at(5))], events=[event()]), "2")
    assert store.watermarks("orders", None) == [reset]
    store.commit(Changes(watermarks=[mark(resets=3, updated_at=at(6))]), "3")
    assert store.watermarks("orders", None) == [mark(resets=3, updated_at=at(6))]


def test_a_watermark_moves_with_its_transaction_or_not_at_all(rig: Rig) -> None:
    """INC-04: never ahead of the outcome it stands for, never behind it."""
    store = rig.writer()
    one = task("a")
    started(store, one)
    stale = replace(one, row_version=7)
    broken = Changes(watermarks=[mark()], touches=[reads("raw"), writes("mart")], executions={"a": stale})
    with pytest.raises(Conflict):
        store.commit(broken, "2")
    assert store.watermarks("orders", None) == []
    queries = rig.queries()
    assert (list(queries.datasets(None)), list(queries.dataset_edges(None))) == ([], [])
    rig.writer(epoch=2, holder="second")
    with pytest.raises(Deposed):
        store.commit(Changes(watermarks=[mark()]), "3")
    assert list(queries.watermarks(None)) == []


def test_a_breaker_is_remembered_as_it_is(rig: Rig) -> None:
    """CBR-04: its state outlives the engine, per profile."""
    store = rig.writer()
    tripped = Breaker(
        connection="shop", state=BreakerState.OPEN, calls="..xx", successes=1, open_seconds=60.5, opened_at=T0,
        retry_at=at(60), reason=HOSTILE.replace("\0", ""), updated_at=T0,
    )  # fmt: skip
    other = Breaker(connection="shop", profile="pg", updated_at=at(0.5))
    store.commit(Changes(breakers={("shop", None): other, ("shop", "pg"): other}), "0")
    store.commit(Changes(breakers={("shop", None): tripped, ("shop", "pg"): other}), "1")
    assert store.breakers() == [tripped, other]
    assert list(rig.queries().breakers()) == [tripped, other]


# -- datasets ------------------------------------------------------------------------------------------------------


def test_touches_come_back_and_make_datasets_and_edges(rig: Rig) -> None:
    """LIN-01, LIN-02, LIN-03: names, places, sizes, columns, who and when, in the outcome's own transaction."""
    store = rig.writer()
    source = reads("shop:orders", 0, ID, NAME, uri="sqlite:///shop.db/orders", rows=3, parts=("a.csv", "b.csv"))
    target = writes("dwh:orders", 0, ID, NAME, rows=3, bytes=120, transformation="load:append")
    store.commit(Changes(touches=[source, target]), "1")
    queries = rig.queries()
    assert list(queries.touches(None, "shop:orders")) == [source]
    assert list(queries.touches_of_run("r0")) == [source, target]
    mart = queries.dataset(None, "dwh:orders")
    assert mart is not None
    assert (mart.columns, mart.rows, mart.bytes, mart.last_written) == ((ID, NAME), 3, 120, at(0))
    assert (mart.written_by, mart.schema_version, mart.last_read) == (("orders", "r0", "load"), 1, None)
    raw = queries.dataset(None, "shop:orders")
    assert raw is not None and (raw.uri, raw.last_read) == ("sqlite:///shop.db/orders", at(0))
    (edge,) = queries.dataset_edges(None)
    assert (edge.source, edge.target, edge.pipeline_id, edge.task_id) == (
        "shop:orders", "dwh:orders", "orders", "load",
    )  # fmt: skip
    assert (edge.transformation, edge.first_seen, edge.last_seen, edge.run_id) == ("load:append", T0, T0, "r0")
    assert queries.dataset("pg", "dwh:orders") is None and list(queries.datasets("pg")) == []


def test_an_edge_keeps_its_first_time_and_moves_its_last(rig: Rig) -> None:
    store = rig.writer()
    for n in range(3):
        store.commit(Changes(touches=[reads("a", n), reads("b", n), writes("c", n), writes("a", n)]), str(n))
    queries = rig.queries()
    assert [(each.source, each.target) for each in queries.dataset_edges(None)] == [
        ("a", "c"), ("b", "a"), ("b", "c"),
    ]  # fmt: skip
    assert {(each.first_seen, each.last_seen, each.run_id) for each in queries.dataset_edges(None)} == {
        (T0, at(2), "r2")
    }
    assert list(queries.dataset_edges(None, at=at(-1))) == []
    assert list(queries.touchers(None, ["c", "b"])) == [
        ("b", "read", "orders", "load"), ("c", "write", "orders", "load"),
    ]  # fmt: skip


def test_two_attempts_of_one_commit_do_not_mix(rig: Rig) -> None:
    """Edges are all reads by all writes of one attempt, not of one transaction."""
    store = rig.writer()
    one = [reads("a", 1, map_index=0), writes("b", 1, map_index=0)]
    two = [reads("c", 1, map_index=1), writes("d", 1, map_index=1)]
    store.commit(Changes(touches=[*one, *two]), "1")
    assert [(each.source, each.target) for each in rig.queries().dataset_edges(None)] == [("a", "b"), ("c", "d")]


def test_the_columns_of_a_dataset_have_a_history(rig: Rig) -> None:
    """LIN-03: schema changes, by whom and when. A narrower look is none."""
    store = rig.writer()

    def then(n: int, *columns: Column, **fields: Any) -> int:
        store.commit(Changes(touches=[writes("mart", n, *columns, **fields)]), str(n))
        found = rig.queries().dataset(None, "mart")
        assert found is not None
        return found.schema_version

    assert then(0, ID, NAME) == 1
    assert then(1, ID, NAME) == 1
    assert then(2, ID, task_id="other") == 1  # another task fills fewer columns
    assert then(3, ID, NAME, PRICE) == 2
    assert then(4) == 2  # nothing was said of columns
    assert then(5, ID, task_id="other") == 2
    assert then(6, ID, PRICE) == 3  # the same task found one gone
    store.commit(Changes(touches=[reads("mart", 7, ID)]), "7")  # what is written counts, not what is looked at
    history = rig.queries().dataset_versions(None, "mart")
    assert [(each.version, each.columns, each.run_id) for each in history] == [
        (3, (ID, PRICE), "r6"), (2, (ID, NAME, PRICE), "r3"), (1, (ID, NAME), "r0"),
    ]  # fmt: skip


def test_reads_say_what_a_dataset_is_that_nothing_here_writes(rig: Rig) -> None:
    store = rig.writer()
    for n, columns in enumerate([(ID, NAME), (ID, NAME, PRICE), (ID, NAME, PRICE)]):
        store.commit(Changes(touches=[reads("raw", n, *columns)]), str(n))
    found = rig.queries().dataset(None, "raw")
    assert found is not None and (found.schema_version, found.columns) == (2, (ID, NAME, PRICE))


def test_names_of_others_harm_nothing(rig: Rig) -> None:
    store = rig.writer()
    column = Column(name=HOSTILE + "\0\ud800", kind=DataKind.JSON)
    one = writes(HOSTILE + "\0\ud800", 0, column, uri=HOSTILE + "\0", transformation="\0")
    store.commit(Changes(touches=[one, reads("raw", 0)]), "1")
    (found, _) = rig.queries().datasets(None)
    assert found.name.startswith("'; DROP TABLE") and "\0" not in found.name
    assert rig.queries().touches(None, found.name)[0].touch.columns == found.columns
    store.commit(Changes(touches=[one]), "2")
    assert [each.schema_version for each in rig.queries().datasets(None)] == [1, 1]


def test_touches_of_a_dataset_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """LIN-07: the last so many of each dataset and direction."""
    monkeypatch.setattr(provenance, "TOUCHES_KEPT", 3)
    store = rig.writer()
    for n in range(6):
        store.commit(Changes(touches=[reads("raw", n), writes("mart", n), writes("side", 0)]), str(n))
    queries = rig.queries()
    assert [each.run_id for each in queries.touches(None, "mart")] == ["r5", "r4", "r3"]
    assert len(queries.touches(None, "raw", direction=Direction.READ)) == 3
    assert queries.touches(None, "raw", direction=Direction.WRITE) == []


# -- retention -----------------------------------------------------------------------------------------------------


def test_what_is_known_of_data_outlives_its_runs_and_ends_in_years(rig: Rig) -> None:
    """LIN-07: reads two years, writes five, changes of columns ten; watermarks stay."""
    moment = [T0]
    rig.now = lambda: moment[0]
    store = rig.writer()
    ended = run("r0", state=RunState.SUCCESS, completed_at=T0)
    touches = [reads("raw", 0, ID), writes("mart", 0, ID)]
    store.commit(Changes(versions=[version()], new_runs=[ended], touches=touches, watermarks=[mark()]), "1")
    queries = rig.queries()

    def after(days: int) -> tuple[int, int, int, int]:
        moment[0] = T0 + timedelta(days=days)
        store.prune(before=moment[0] - timedelta(days=90), keep_runs=10, limit=10)
        raw, mart = queries.touches(None, "raw"), queries.touches(None, "mart")
        return len(raw), len(mart), len(queries.dataset_edges(None)), len(queries.datasets(None))

    assert after(100) == (1, 1, 1, 2)
    assert queries.runs()[0] == []
    assert after(731) == (0, 1, 1, 2)
    assert after(1827) == (0, 0, 0, 2)
    assert after(3653) == (0, 0, 0, 0)
    assert store.watermarks("orders", None) == [mark()]
    store.commit(Changes(touches=touches), "2")  # numbers and hashes go on
    assert len(queries.touches(None, "mart")) == 1


def test_datasets_and_versions_are_bounded_in_number(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.stores import pruning

    monkeypatch.setattr(pruning, "DATASETS_KEPT", 2)
    monkeypatch.setattr(pruning, "VERSIONS_KEPT", 2)
    monkeypatch.setattr(pruning, "_COLUMN_SETS", 0)
    store = rig.writer()
    for n in range(4):
        columns = [replace(ID, name=f"c{n}")]
        store.commit(Changes(touches=[writes(f"day{n}", n), writes("mart", n, *columns)]), str(n))
    store.prune(before=T0, keep_runs=1, limit=1)
    queries = rig.queries()
    assert [each.name for each in queries.datasets(None)] == ["day3", "mart"]
    assert [each.version for each in queries.dataset_versions(None, "mart")] == [4, 3]
    mart = queries.dataset(None, "mart")
    assert mart is not None and mart.columns[0].name == "c3"


# -- from the first revision ---------------------------------------------------------------------------------------


@pytest.fixture
def old(rig: Rig) -> Rig:
    """A state as the program before this one left it, with a run in it."""
    from alembic import command
    from alembic.config import Config

    location = locate(rig.settings)
    if location.url is not None:
        engine = connect.postgres_writer(location.url)
    else:
        engine = connect.sqlite_writer(prepared(rig.settings, location))
    config = Config()
    config.set_main_option("script_location", str(Path(connect.__file__).parent / "migrations"))
    with engine.connect() as connection:
        begin(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.commit()
    engine.dispose()
    rig.sql(
        "INSERT INTO pipeline_versions VALUES ('orders', 1, 'h1', '{\"id\":\"orders\",\"tasks\":[]}', NULL, 0)",
        "INSERT INTO pipeline_runs (run_id, pipeline_id, version, triggered_by, triggered_at, logical_date,"
        " data_interval_start, data_interval_end, profile, state, priority, row_version)"
        " VALUES ('r1', 'orders', 1, 'ana', 5, 5, 5, 5, '', 'SUCCESS', 0, 0)",
        "UPDATE leadership SET event_seq = 41",
    )
    return rig


def test_a_state_of_the_first_revision_is_brought_up_with_what_is_in_it(old: Rig) -> None:
    """DEP-03: readers refuse the old one in words, an engine migrates it, nothing is lost."""
    with pytest.raises(StoreUnusable, match="older Penstock"):
        old.queries().runs()
    store = open_writer(old.settings)
    old.opened.append(store)
    store.take_over(1, "first", T0)
    assert store.commit(Changes(events=[event()], watermarks=[mark()], touches=[writes("mart")]), "1") == 42
    queries = old.queries()
    assert queries.resolve_run("last").run_id == "r1"
    assert [each.name for each in queries.datasets(None)] == ["mart"]
    assert store.watermarks("orders", None) == [mark()]
