"""What an attempt says of data reaches the engine, whatever else it says or does not say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.model.dataset import DatasetTouch, Direction, Strategy
from tests.runtime.attempt_bench import Bench

LOAD = """
from engine.model.dataset import DatasetTouch, Direction, Strategy, WatermarkMove


def touch(ctx):
    ctx.touch(DatasetTouch(direction=Direction.WRITE, dataset="dwh:orders", rows=3))


def move(ctx):
    ctx.move(WatermarkMove(producer="extract", source="shop:orders", column="id", strategy=Strategy.ID,
                           value={"type": "integer", "value": 3}))


def both(ctx):
    touch(ctx)
    move(ctx)
    ctx.metric("rows", 3)
    return {"rows": 3}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    found.module("loading", LOAD)
    yield found
    found.close()


@pytest.mark.parametrize(("function", "touches", "moves"), [("touch", 1, 0), ("move", 0, 1), ("both", 1, 1)])
def test_what_was_read_and_written_is_part_of_the_outcome(
    bench: Bench, function: str, touches: int, moves: int
) -> None:
    """LIN-01, INC-04."""
    outcome = bench.end(bench.python(f"loading:{function}")).outcome
    assert outcome.result == "success"
    written = DatasetTouch(direction=Direction.WRITE, dataset="dwh:orders", rows=3)
    assert outcome.touches == (written,) * touches
    assert [(each.producer, each.strategy) for each in outcome.moves] == [("extract", Strategy.ID)] * moves
