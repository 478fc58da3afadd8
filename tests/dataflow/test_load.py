"""`load`: once per token, watermark with the rows, one target (EXE-13, INC-04, DST-02; FAULTS 2, 14, 28, 29)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.dataflow.staging import StagedDataset
from engine.model.dataset import Direction, Strategy, Watermark
from engine.model.errors import DataQualityError, NetworkError
from engine.rules.datasets import bounded
from tests.dataflow.pages import Pages
from tests.dataflow.targets import KINDS, Target, target
from tests.dataflow.work import Work

NOW = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    made = Pages(tmp_path / "pages")
    made.add(45)
    return made


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    return target(request.param, tmp_path, request)


def fused(root: Path, shop: Target, *, source: Mapping[str, Any] | None = None, **more: Any) -> Work:
    """A load that reads its source itself."""
    return Work(
        root=root,
        type="load",
        task="load",
        config={
            "connection": "shop",
            "target": "rows",
            "source": {"connection": "pages", "table": "rows", **(source or {})},
            **more,
        },
        connections={"pages": {"type": "pages", "folder": "pages"}, "shop": shop.connection},
    )


def staged(root: Path, shop: Target, extract: Mapping[str, Any] | None = None, **more: Any) -> Work:
    """A load of what an extract has staged."""
    above = Work(
        root=root / "above",
        type="extract",
        task="extract",
        config={"connection": "pages", "table": "rows", **(extract or {})},
        connections={"pages": {"type": "pages", "folder": str(root / "pages")}},
    )
    above.root.mkdir(exist_ok=True)
    outputs = above.attempt()[0].outputs
    (root / "staging").mkdir(exist_ok=True)
    (above.root / "staging" / "run1").rename(root / "staging" / "run1")
    work = fused(root, shop, **more)
    config = {key: value for key, value in work.config.items() if key != "source"}
    return replace(work, config=config, upstream={"extract": outputs})


@pytest.mark.parametrize("way", [fused, staged])
def test_rows_arrive_with_their_lineage(way: Any, tmp_path: Path, pages: Pages, shop: Target) -> None:
    """LIN-01: reads and writes are recorded by themselves, staged or not."""
    outcome, _ = way(tmp_path, shop).attempt()
    assert shop.ids() == list(range(1, 46))
    assert (outcome.outputs["rows"], outcome.outputs["already"]) == (45, False)
    seen = [(each.direction, each.dataset, each.rows, len(each.columns)) for each in outcome.touches]
    assert seen == [(Direction.READ, "pages:rows", 45, 3), (Direction.WRITE, "shop:rows", 45, 3)]
    assert outcome.touches[1].transformation == "load:append"
    assert shop.left_behind() == []


@pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
def test_killed_after_the_commit_it_is_reported_and_not_loaded_again(
    mode: str, tmp_path: Path, pages: Pages, shop: Target
) -> None:
    """FAULTS 2, B: one committed effect per load token, and what is reported is what was committed."""
    more = {"mode": mode, **({"keys": ["id"]} if mode == "upsert" else {})}
    work = fused(tmp_path, shop, source={"incremental": True}, **more)
    assert work.killed("load.published")
    assert shop.ids() == list(range(1, 46))
    asked = pages.asked()
    pages.add(5)  # newer rows, which are the next run's
    outcome, _ = work.attempt(2)
    assert outcome.outputs == {"rows": 45, "already": True}
    assert shop.ids() == list(range(1, 46))
    assert [each.value for each in outcome.moves] == [{"type": "integer", "value": 145}]
    assert [(each.dataset, each.rows) for each in outcome.touches] == [("pages:rows", 45), ("shop:rows", 45)]
    assert pages.asked() == asked  # the source is not even asked


def test_a_success_that_is_run_again_appends_again(tmp_path: Path, pages: Pages, shop: Target) -> None:
    """DESIGN 6: the generation is part of the token."""
    work = fused(tmp_path, shop)
    work.attempt()
    outputs = replace(work, generation=1).attempt()[0].outputs
    assert (outputs["rows"], outputs["already"]) == (45, False)
    assert len(shop.ids()) == 90


def test_a_load_that_fails_leaves_the_target_as_it_was(tmp_path: Path, pages: Pages, shop: Target) -> None:
    """DST-02: committed only after all batches; FAULTS 29: the first row that does not fit is named."""
    shop.ask("CREATE TABLE rows (id BIGINT, seq SMALLINT, name INTEGER)")
    shop.ask("INSERT INTO rows VALUES (-1, 1, 1)")
    with pytest.raises(DataQualityError, match="shop:rows: row 1, column 'name': 'row 1' is no whole number"):
        fused(tmp_path, shop).attempt()
    pages.tell(fail_at=3)
    with pytest.raises(NetworkError):
        fused(tmp_path, shop, columns={"id": "id"}).attempt()
    assert shop.ids() == [-1]
    assert shop.left_behind() == []


def test_a_source_that_can_be_taken_up_is_staged_in_the_loads_own_attempt(
    tmp_path: Path, pages: Pages, shop: Target
) -> None:
    """SRC-11: another attempt of the load fetches nothing twice."""
    pages.tell(resumable=True, fail_at=3)
    work = fused(tmp_path, shop)
    with pytest.raises(NetworkError):
        work.attempt()
    pages.tell(fail_at=None)
    assert work.attempt(2)[0].outputs["rows"] == 45
    assert pages.asked() == [0, 1, 2, 3, 3, 4, 5]
    assert shop.ids() == list(range(1, 46))


def test_messages_are_confirmed_after_the_commit(tmp_path: Path, pages: Pages, shop: Target) -> None:
    pages.tell(wants_confirmation=True)
    work = fused(tmp_path, shop)
    assert work.killed("load.published")
    assert pages.confirmed() == []
    shop.ask("DROP TABLE rows")
    shop.ask("DROP TABLE _penstock_loads")
    work.attempt(2)
    assert pages.confirmed() == [45]


def test_an_append_drops_rows_that_the_ledger_already_has(tmp_path: Path, pages: Pages, shop: Target) -> None:
    """INC-04: the ledger's watermark counts more than the engine's, which may have been restored from a copy."""
    work = fused(tmp_path, shop, source={"incremental": True})
    work.attempt()
    pages.add(5)
    forgotten = replace(work, run="run2", watermarks=())  # the engine remembers nothing
    assert forgotten.attempt()[0].outputs["rows"] == 5
    assert shop.ids() == list(range(1, 51))


@pytest.mark.parametrize("way", [fused, staged])
def test_the_next_run_reads_what_is_new(way: Any, tmp_path: Path, pages: Pages, shop: Target) -> None:
    """INC-01."""
    given = {"source": {"incremental": True}} if way is fused else {"extract": {"incremental": True}}
    outcome, _ = way(tmp_path, shop, **given).attempt()
    move = outcome.moves[0]
    assert move.producer == ("load" if way is fused else "extract")
    mark = Watermark(
        pipeline_id="flow",
        producer=move.producer,
        source=move.source,
        consumer="load",
        strategy=Strategy.ID,
        column=move.column,
        value=move.value,
        created_at=NOW,
        updated_at=NOW,
    )
    pages.add(5)
    work = replace(fused(tmp_path, shop, source={"incremental": True}), run="run2", watermarks=(mark,))
    assert work.attempt()[0].outputs["rows"] == 5
    assert shop.ids() == list(range(1, 51))


def test_the_consumer_that_is_furthest_behind_decides(tmp_path: Path, pages: Pages, shop: Target) -> None:
    """INC-03: two loads of one extract; what one of them misses is read again, and the other drops it."""

    def mark(consumer: str, value: int) -> Watermark:
        return Watermark(
            pipeline_id="flow",
            producer="load",
            source="pages:rows",
            consumer=consumer,
            strategy=Strategy.ID,
            column="seq",
            value={"type": "integer", "value": value},
            created_at=NOW,
            updated_at=NOW,
        )

    work = fused(tmp_path, shop, source={"incremental": True})
    behind = replace(work, watermarks=(mark("one", 140), mark("other", 120)))
    assert behind.attempt()[0].outputs["rows"] == 25


def mark(source: str, value: int | None) -> Watermark:
    written = None if value is None else {"type": "integer", "value": value}
    key: dict[str, Any] = {"pipeline_id": "flow", "producer": "load", "source": source, "consumer": "load"}
    return Watermark(**key, strategy=Strategy.ID, column="seq", value=written, created_at=NOW, updated_at=NOW)


def test_after_a_reset_a_read_begins_where_the_first_one_did(tmp_path: Path, pages: Pages, shop: Target) -> None:
    """INC-10: `initial`, where the source declares one."""
    reset = (mark("pages:rows", None),)
    work = fused(tmp_path, shop, mode="replace", source={"incremental": {"initial": 120}})
    assert replace(work, watermarks=reset).attempt()[0].outputs["rows"] == 25
    plain = fused(tmp_path, shop, mode="replace", source={"incremental": True})
    assert replace(plain, run="run2", watermarks=reset).attempt()[0].outputs["rows"] == 45


def test_items_that_read_one_source_have_a_watermark_each(tmp_path: Path, pages: Pages, shop: Target) -> None:
    """INC-03, INC-04: also in the target's ledger: what one item has loaded is no reason to leave out another's."""
    work = fused(tmp_path, shop, source={"incremental": True})
    north = replace(work, map_index=0, item={"region": "north", "at": 1})
    (move,) = north.attempt()[0].moves
    assert move.source == 'pages:rows[{"at": 1, "region": "north"}]'
    pages.add(5)
    marks = (replace(mark(move.source, move.value["value"]), strategy=move.strategy),)
    moved = replace(north, run="run2", map_index=3, watermarks=marks)  # another place among the items
    assert moved.attempt()[0].outputs["rows"] == 5
    south = replace(work, run="run2", map_index=0, item="south", watermarks=marks)
    outcome, _ = south.attempt()
    assert outcome.outputs["rows"] == 50
    assert [each.source for each in outcome.moves] == ["pages:rows[south]"]


def test_a_source_with_a_very_long_name_finds_its_watermark(tmp_path: Path, pages: Pages, shop: Target) -> None:
    """The engine keeps names of 800 bytes at most; a longer one ends in its hash, there and here."""
    work = fused(tmp_path, shop, source={"incremental": True, "dataset": "é" * 900})
    (move,) = work.attempt()[0].moves
    assert len(move.source.encode()) <= 800 and move.source == bounded(move.source)
    pages.add(5)
    marks = (mark(bounded("é" * 900), move.value["value"]),)
    assert replace(work, run="run2", watermarks=marks).attempt()[0].outputs["rows"] == 5


def test_a_file_that_goes_as_it_is_leaves_a_sample_too(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = target("postgresql", tmp_path, request)
    shop.ask("CREATE TABLE rows (id BIGINT, name TEXT)")
    (tmp_path / "rows.csv").write_text('id,name\n1,"a\nb"\n2,\n')
    work = Work(
        root=tmp_path,
        type="load",
        config={"source": {"connection": "files", "path": "rows.csv"}, "connection": "shop", "target": "rows"},
        connections={"files": {"type": "file", "path": "."}, "shop": shop.connection},
    )
    sample = StagedDataset(work.attempt()[0].outputs["sample"], tmp_path / "staging")
    rows = [row for batch in sample for row in batch.to_pylist()]
    assert rows == [{"id": 1, "name": "a\nb"}, {"id": 2, "name": None}]
    assert sample.manifest["total"] == 2 and shop.ids() == [1, 2]


def test_nothing_new_is_a_success_that_moves_nothing(tmp_path: Path, pages: Pages, shop: Target) -> None:
    pages.add(0)
    work = fused(tmp_path, shop, source={"incremental": {"initial": 1_000}})
    outcome, _ = work.attempt()
    assert outcome.outputs["rows"] == 0
    assert outcome.moves == ()
