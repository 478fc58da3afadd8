"""What a touch makes of a dataset, and what touches say was made from what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.model.dataset import Column, DataKind, Dataset, DatasetTouch, Direction, TouchRecord
from engine.rules.datasets import after_touch, drifted, edges_of

T0 = datetime(2026, 3, 1, tzinfo=UTC)
A, B = Column(name="a", kind=DataKind.INTEGER), Column(name="b", kind=DataKind.STRING)
B_WIDER = Column(name="b", kind=DataKind.JSON)
READ, WRITE = Direction.READ, Direction.WRITE


def record(direction: Direction, *columns: Column, dataset: str = "d", n: int = 0, **fields: Any) -> TouchRecord:
    touch = DatasetTouch(direction=direction, dataset=dataset, columns=columns, rows=n)
    base: dict[str, Any] = {"profile": None, "pipeline_id": "p", "run_id": "r", "task_id": "t", "map_index": None}
    return TouchRecord(touch=touch, **(base | {"attempt": 1, "at": T0 + timedelta(seconds=n)} | fields))


def known(*columns: Column, written: bool = True) -> Dataset:
    return Dataset(name="d", columns=columns, created_at=T0, last_written=T0 if written else None)


def test_a_write_tells_size_and_writer_a_read_only_its_time() -> None:
    one = after_touch(None, record(WRITE, A, n=5), None)
    assert (one.rows, one.last_written, one.written_by, one.last_read) == (
        5,
        T0 + timedelta(seconds=5),
        ("p", "r", "t"),
        None,
    )
    two = after_touch(one, record(READ, n=9), None)
    assert (two.rows, two.last_written, two.last_read) == (5, one.last_written, T0 + timedelta(seconds=9))


def test_other_columns_are_a_new_version_and_a_narrower_look_is_none() -> None:
    assert drifted(known(A), record(WRITE, A, B), None)
    assert drifted(known(A, B), record(WRITE, A, B_WIDER), None)
    assert not drifted(known(A, B), record(WRITE, A), None)  # another task, which fills fewer
    assert drifted(known(A, B), record(WRITE, A), (A, B))  # the same task, which had found more
    assert not drifted(known(A, B), record(WRITE, A), (A,))  # the same task, as always
    assert not drifted(known(A, B), record(READ, A, B_WIDER), None)  # what is written counts
    assert drifted(known(A, B, written=False), record(READ, A, B_WIDER), None)
    assert not drifted(known(A), record(WRITE), None)


@given(st.lists(st.sampled_from([(), (A,), (A, B), (B,), (A, B_WIDER)]), max_size=12))
def test_versions_rise_by_one_and_only_with_the_columns(looks: list[tuple[Column, ...]]) -> None:
    dataset: Dataset | None = None
    previous: tuple[Column, ...] | None = None
    for n, columns in enumerate(looks):
        before = dataset
        dataset = after_touch(before, record(WRITE, *columns, n=n), previous)
        previous = columns or previous
        if before is not None and before.columns:
            changed = dataset.columns != before.columns
            assert dataset.schema_version == before.schema_version + changed
        assert dataset.schema_version >= 1
        assert columns in ((), dataset.columns)  # one task alone: the newest look is what is known


def test_a_type_is_told_as_exactly_as_it_is_known() -> None:
    wall = Column(name="at", kind=DataKind.TIMESTAMP, detail="without time zone")
    price = Column(name="p", kind=DataKind.DECIMAL, detail="decimal(10,2)")
    assert [each.type_name for each in (A, wall, price)] == [
        "integer", "timestamp without time zone", "decimal(10,2)",
    ]  # fmt: skip


def test_edges_are_reads_by_writes_of_each_attempt_alone() -> None:
    records = [
        record(READ, dataset="a"), record(READ, dataset="b"),
        record(WRITE, dataset="c"), record(WRITE, dataset="a"),
        record(READ, dataset="x", map_index=1), record(WRITE, dataset="y", map_index=1),
        record(READ, dataset="alone", attempt=2),
    ]  # fmt: skip
    assert sorted((each.source, each.target) for each in edges_of(records)) == [
        ("a", "c"), ("b", "a"), ("b", "c"), ("x", "y"),
    ]  # fmt: skip
