"""Rows between Python tasks and the rest: ctx.dataset, ctx.stage, and both in a unit test of user code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.dataflow import handing
from engine.dataflow.staging import StagedDataset
from engine.dataflow.streams import Batches
from engine.model.errors import ConfigurationError, DataQualityError, LogicError
from engine.sdk import Context, run_task
from tests.dataflow.pages import Pages
from tests.dataflow.work import Work

TABLE = pa.table({"id": [1, 2, 3], "name": ["a", None, "c"]})


def staged(data: Any, folder: Path) -> StagedDataset:
    return StagedDataset(handing.stage(data, folder / "run", folder), folder)


def rows() -> Iterator[dict[str, Any]]:
    for number in range(25_000):
        yield {"id": number, "half": number / 2}


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.to_batches()[0],
        TABLE.to_reader(),
        Batches(TABLE.schema, TABLE.to_batches()),
        TABLE.to_batches(max_chunksize=2),
        TABLE.to_pylist(),
    ],
    ids=["table", "batch", "reader", "stream", "batches", "mappings"],
)
def test_whatever_holds_rows_is_staged(data: Any, tmp_path: Path) -> None:
    found = staged(data, tmp_path)
    assert pa.Table.from_batches(list(found), found.schema).to_pylist() == TABLE.to_pylist()
    assert found.rows == 3


def test_mappings_are_taken_as_they_come(tmp_path: Path) -> None:
    found = staged(rows(), tmp_path)
    assert found.rows == 25_000
    assert found.schema == pa.schema([("id", pa.int64()), ("half", pa.float64())])
    assert max(batch.num_rows for batch in found) <= handing.ROWS


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        ({"id": 1}, LogicError, "for a single row, give a list of one"),
        ("id", LogicError, "not str"),
        (5, LogicError, "not int"),
        ([], LogicError, "There are no rows"),
        ([1, 2], LogicError, "A row is a mapping"),
        ([{"id": 1}, {"id": "x"}], DataQualityError, "rows 1 to 2 do not go together"),
        (
            [*({"id": n} for n in range(10_001)), {"id": 1, "new": 2}],
            DataQualityError,
            "Column 'new' comes up after",
        ),
    ],
)
def test_what_holds_none_is_refused_by_name(data: Any, kind: type[Exception], said: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=said):
        handing.stage(data, tmp_path / "run", tmp_path)


def test_a_python_task_sees_the_rows_of_a_task_above_and_hands_on_its_own(tmp_path: Path) -> None:
    """Contract: dataset(task) is an Arrow stream."""
    Pages(tmp_path / "pages").add(25)
    config = {"connection": "pages", "table": "rows"}
    connections = {"pages": {"type": "pages", "folder": "pages"}}
    outputs = Work(root=tmp_path, type="extract", config=config, connections=connections).attempt()[0].outputs
    _, ctx = Work(
        root=tmp_path,
        type="extract",
        config=config,
        connections=connections,
        task="double",
        upstream={"extract": outputs, "shell": {"lines": 3}},
    ).attempt()
    stream = ctx.dataset("extract")
    assert stream.schema.names == ["id", "seq", "name"]
    ctx.stage({"id": 2 * number} for batch in stream for number in batch.column("id").to_pylist())
    found = StagedDataset(ctx.outputs()["dataset"], tmp_path / "staging")
    assert sum(sum(batch.column("id").to_pylist()) for batch in found) == 2 * sum(range(26))

    with pytest.raises(ConfigurationError, match="no upstream task of 'double'; there are extract, shell"):
        ctx.dataset("extrct")
    with pytest.raises(ConfigurationError, match="'shell' has left no dataset"):
        ctx.dataset("shell")


def test_user_code_is_tested_with_a_table_and_what_it_staged_is_told() -> None:
    def adults(ctx: Context, least: int) -> None:
        for batch in ctx.dataset("people"):
            ctx.stage(row for row in batch.to_pylist() if row["age"] >= least)

    people = pa.table({"name": ["Ann", "Bob"], "age": [17, 40]})
    result = run_task(adults, {"datasets": {"people": people}}, least=18)
    assert result.staged == [{"name": "Bob", "age": 40}]
    assert result.outputs["dataset"] == {"rows": 1}
