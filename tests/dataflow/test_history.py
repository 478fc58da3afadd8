"""Historical loading: chunk by chunk, each once, beside the regular watermark (INC-09)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.model.dataset import Strategy, Watermark
from engine.model.errors import ConfigurationError
from engine.tasks.history import chunks
from engine.tasks.writing import check_writing
from tests.dataflow.work import Work

DAYS = 40
NOW = datetime(2026, 3, 1, tzinfo=UTC)
REGULAR = Watermark(
    pipeline_id="orders",
    producer="task",
    source="shop:orders",
    consumer="task",
    column="at",
    strategy=Strategy.TIMESTAMP,
    value={"type": "datetime", "value": "2026-02-05T00:00:00"},
    created_at=NOW,
    updated_at=NOW,
)


def made(root: Path, backfill: Mapping[str, Any], mode: str = "append", **more: Any) -> Work:
    source = root / "shop.duckdb"
    if not source.exists():
        with duckdb.connect(str(source)) as shop:
            shop.execute(
                "CREATE TABLE orders AS SELECT i AS id, TIMESTAMP '2026-01-01' + to_days(CAST(i AS INTEGER)) AS at "
                f"FROM range({DAYS}) t(i)"
            )
    return Work(
        root=root,
        type="load",
        config={
            "source": {
                "connection": "shop",
                "table": "orders",
                "incremental": {"column": "at", "strategy": "timestamp", "backfill": dict(backfill)},
            },
            "connection": "dwh",
            "target": "orders",
            "mode": mode,
            **({"keys": ["id"]} if mode == "upsert" else {}),
        },
        connections={
            "shop": {"type": "duckdb", "path": str(source)},
            "dwh": {"type": "duckdb", "path": str(root / "dwh.duckdb")},
        },
        **more,
    )


def ids(root: Path) -> list[int]:
    with duckdb.connect(str(root / "dwh.duckdb")) as warehouse:
        return [row[0] for row in warehouse.execute("SELECT id FROM orders ORDER BY id").fetchall()]


def test_it_goes_up_to_a_watermark_that_is_a_day(tmp_path: Path) -> None:
    """INC-09: of a column that is a date, so that the two ends of the stretch are of different kinds."""
    work = made(tmp_path, {"from": "2026-01-31", "chunk": "2d"})
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as shop:
        shop.execute('ALTER TABLE orders ALTER "at" TYPE DATE')
    day = replace(REGULAR, value={"type": "date", "value": "2026-02-05"})
    outcome, _ = replace(work, watermarks=(day,)).attempt()
    assert ids(tmp_path) == [30, 31, 32, 33, 34, 35]
    assert outcome.moves == ()


def test_a_stretch_may_reach_into_the_future(tmp_path: Path) -> None:
    """A chunk is loaded once, so nothing in it is left for later."""
    work = made(tmp_path, {"from": "2026-01-31", "to": "2999-01-01", "chunk": "4000w"})
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as shop:
        shop.execute("INSERT INTO orders VALUES (1000, TIMESTAMP '2998-01-01')")
    work.attempt()
    assert ids(tmp_path) == [*range(30, DAYS), 1000]


def test_a_stretch_is_loaded_in_chunks_and_its_ends_belong_to_it(tmp_path: Path) -> None:
    outcome, _ = made(tmp_path, {"from": "2026-01-03", "to": "2026-01-20", "chunk": "5d"}).attempt()
    assert ids(tmp_path) == list(range(2, 20))
    assert outcome.outputs["rows"] == 18
    assert outcome.moves == ()


def test_without_an_end_it_goes_up_to_where_regular_loads_are_and_leaves_them_there(tmp_path: Path) -> None:
    work = made(tmp_path, {"from": "2026-01-31", "chunk": "2d"}, watermarks=(REGULAR,))
    outcome, _ = work.attempt()
    assert ids(tmp_path) == [30, 31, 32, 33, 34, 35]
    assert outcome.moves == ()
    with pytest.raises(ConfigurationError, match="needs `to`"):
        made(tmp_path, {"from": "2026-01-31", "chunk": "2d"}).attempt()


@pytest.mark.parametrize("killed_at", ["load.chunk:1", "load.chunk:3", "load.written:2", "load.sealed:2"])
def test_a_kill_between_or_within_chunks_loses_none_and_doubles_none(tmp_path: Path, killed_at: str) -> None:
    """A, B: the temporary watermark in the ledger says where to go on."""
    work = made(tmp_path, {"from": "2026-01-01", "to": "2026-02-09", "chunk": "7d"})
    assert work.killed(killed_at)
    work.attempt(2)
    assert ids(tmp_path) == list(range(DAYS))


def test_another_run_of_the_same_stretch_adds_nothing_and_a_longer_one_only_the_rest(tmp_path: Path) -> None:
    first = made(tmp_path, {"from": "2026-01-01", "to": "2026-01-10", "chunk": "5d"})
    first.attempt()
    outcome, _ = replace(first, run="run2").attempt()
    assert (outcome.outputs["rows"], ids(tmp_path)) == (0, list(range(10)))
    made(tmp_path, {"from": "2026-01-01", "to": "2026-01-20", "chunk": "5d"}, run="run3").attempt()
    assert ids(tmp_path) == list(range(20))


def test_ids_are_chunked_by_number(tmp_path: Path) -> None:
    work = made(tmp_path, {"from": 5, "to": 25, "chunk": 10}, mode="upsert")
    source = {
        **work.config["source"],
        "incremental": {"column": "id", "backfill": {"from": 5, "to": 25, "chunk": 10}},
    }
    replace(work, config={**work.config, "source": source}).attempt()
    assert ids(tmp_path) == list(range(5, 26))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"from": "soon", "to": "2026-01-02", "chunk": "1d"}, "neither a number nor a date"),
        ({"from": "2026-01-02", "to": "2026-01-01", "chunk": "1d"}, "after `from`"),
        ({"from": "2026-01-01", "to": "2026-01-02", "chunk": "often"}, "a span"),
        ({"from": "2026-01-01", "to": "2026-01-02", "chunk": "0d"}, "a span"),
        ({"from": 1, "to": 9, "chunk": "1d"}, "how many ids"),
        ({"from": "1900-01-01", "to": "2026-01-02", "chunk": "1s"}, "more than 10,000 chunks"),
    ],
)
def test_a_stretch_that_cannot_be_is_refused_with_what_it_should_be(
    tmp_path: Path, given: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        made(tmp_path, given).attempt()


def test_chunks_touch_and_never_overlap() -> None:
    found = list(chunks({"type": "integer", "value": 1}, {"type": "integer", "value": 10}, 4))
    assert [(each.after["value"], each.upto["value"]) for each in found] == [(0, 4), (4, 8), (8, 10)]


def test_history_goes_into_one_target() -> None:
    target = {"connection": "dwh", "target": "t"}
    source = {"connection": "shop", "table": "t", "incremental": {"backfill": {"from": 1, "chunk": 5}}}
    (problem,) = check_writing({"source": source, "targets": [target, {**target, "target": "u"}]})
    assert "one target" in problem.message


@pytest.mark.parametrize(
    ("key", "value"), [("timezone", "Mars/Phobos"), ("timezone", "Europe"), ("chunk", "1 month")]
)
def test_what_is_no_zone_and_no_span_is_told_before_a_run(tmp_path: Path, key: str, value: str) -> None:
    """VAL-08; what comes out of a template is looked at when the task runs."""
    work = made(tmp_path, {"from": "2026-01-31", "to": "2026-02-05", "chunk": "2d"})

    def asked(given: str) -> dict[str, Any]:
        config = json.loads(json.dumps(work.config))
        incremental = config["source"]["incremental"]
        (incremental["backfill"] if key == "chunk" else incremental)[key] = given
        return dict(config)

    (problem,) = check_writing(asked(value))
    place = "source.incremental.backfill.chunk" if key == "chunk" else "source.incremental.timezone"
    assert (problem.path, value in problem.message) == (place, True)
    assert check_writing(asked("{{ given }}")) == []
    with pytest.raises(ConfigurationError, match="time zone" if key == "timezone" else "span"):
        replace(work, config=asked(value)).attempt()
