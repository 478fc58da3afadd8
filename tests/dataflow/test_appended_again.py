"""Incremental appends, run after run: no row twice, whichever way it travels (INC-01, INC-05)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.model.dataset import Watermark, WatermarkMove
from tests.dataflow.work import Work

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WAYS = ("fused", "staged", "several", "by extract")
TARGETS = {"fused": 1, "staged": 1, "several": 2, "by extract": 1}


class Flow:
    """A table of times, appended to another one by one run after the other."""

    def __init__(self, root: Path, way: str) -> None:
        self._root, self._way, self._runs = root, way, 0
        self._marks: tuple[Watermark, ...] = ()
        self.shop("CREATE TABLE orders (id INTEGER, moved TIMESTAMP)")

    def shop(self, statement: str) -> None:
        with duckdb.connect(str(self._root / "shop.duckdb")) as shop:
            shop.execute(statement)

    def run(self) -> None:
        self._runs += 1
        incremental: dict[str, Any] = {"column": "moved"}
        if self._way == "by extract":
            incremental["commit"] = "extract"
        source = {"connection": "shop", "table": "orders", "incremental": incremental}
        upstream: Mapping[str, Any] = {}
        config: dict[str, Any] = {"mode": "append", "connection": "dwh", "target": "t0", "source": source}
        if self._way in ("staged", "by extract"):
            extract = self._work("extract", "read", source)
            outcome, _ = extract.attempt()
            self._move(outcome.moves, "read" if self._way == "by extract" else "load")
            upstream, config = {"read": outcome.outputs}, {**config, "source": "read"}
        elif self._way == "several":
            both = [{"connection": "dwh", "target": f"t{at}"} for at in range(2)]
            config = {"mode": "append", "source": source, "targets": both}
        outcome, _ = replace(self._work("load", "load", config), upstream=upstream).attempt()
        self._move(outcome.moves, "load")

    def ids(self) -> list[list[int]]:
        """Of each target."""
        with duckdb.connect(str(self._root / "dwh.duckdb")) as dwh:
            return [
                [row[0] for row in dwh.execute(f"SELECT id FROM t{at} ORDER BY id").fetchall()]
                for at in range(TARGETS[self._way])
            ]

    def _work(self, kind: str, task: str, config: Mapping[str, Any]) -> Work:
        (self._root / f"{self._runs}{task}").mkdir()
        (self._root / "staging").mkdir(exist_ok=True)
        (self._root / f"{self._runs}{task}" / "staging").symlink_to(self._root / "staging")
        return Work(
            root=self._root / f"{self._runs}{task}",  # a checkpoint of its own
            type=kind,
            task=task,
            run=f"run{self._runs}",
            config=config,
            connections={
                "shop": {"type": "duckdb", "path": str(self._root / "shop.duckdb")},
                "dwh": {"type": "duckdb", "path": str(self._root / "dwh.duckdb")},
            },
            watermarks=self._marks,
        )

    def _move(self, moves: tuple[WatermarkMove, ...], consumer: str) -> None:
        for move in moves:
            self._marks = (
                Watermark(
                    pipeline_id="flow",
                    producer=move.producer,
                    source=move.source,
                    consumer=consumer,
                    strategy=move.strategy,
                    column=move.column,
                    value=move.value,
                    fingerprint=move.fingerprint,
                    created_at=NOW,
                    updated_at=NOW,
                ),
            )


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_finds_nothing_new_appends_nothing(way: str, tmp_path: Path) -> None:
    """The lookback reads the newest rows again; they are there."""
    flow = Flow(tmp_path, way)
    flow.shop("INSERT INTO orders VALUES (1, '2026-01-01 10:00'), (2, '2026-01-01 10:01')")
    for _ in range(3):
        flow.run()
    assert flow.ids() == [[1, 2]] * TARGETS[way]
    flow.shop("INSERT INTO orders VALUES (3, '2026-01-01 10:02')")
    flow.run()
    flow.run()
    assert flow.ids() == [[1, 2, 3]] * TARGETS[way]


@pytest.mark.parametrize("way", WAYS)
def test_a_row_of_the_future_is_appended_once_when_its_time_has_come(way: str, tmp_path: Path) -> None:
    """The watermark does not go beyond the source's clock, so that such a row is read by every run until then."""
    flow = Flow(tmp_path, way)
    flow.shop("INSERT INTO orders VALUES (1, '2026-01-01'), (2, '2999-01-01')")
    flow.run()
    flow.run()
    assert flow.ids() == [[1]] * TARGETS[way]
    flow.shop("UPDATE orders SET moved = '2026-01-02' WHERE id = 2")  # as if that day were today
    flow.run()
    flow.run()
    assert flow.ids() == [[1, 2]] * TARGETS[way]
