"""Rows of all kinds into real tables: made by the load, met again, grown, and filled from text (TYP-01, DST-05)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.dataflow.conform import conform
from engine.dataflow.handing import stage
from engine.dataflow.streams import Batches
from engine.model.errors import ConfigurationError, DataQualityError
from tests.contract.data_rigs.base import KINDS as ALL_KINDS
from tests.contract.data_rigs.base import kinds_table
from tests.dataflow.targets import KINDS, Target, target
from tests.dataflow.work import Work


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    return target(request.param, tmp_path, request)


def load(root: Path, shop: Target, rows: pa.Table, **config: Any) -> Work:
    """A load of these rows, staged by a task above, in a run of its own."""
    run = f"run{len(list((root / 'staging').glob('*')))}"
    reference = stage(rows, root / "staging" / run, root / "staging")
    return Work(
        root=root,
        type="load",
        task="load",
        run=run,
        config={"connection": "shop", "target": "rows", **config},
        connections={"shop": shop.connection},
        upstream={"above": {"dataset": reference}},
    )


def as_text(rows: pa.Table) -> pa.Table:
    """Every column as text, as a file without types has it."""
    text = conform(
        Batches(rows.schema, rows.to_batches()),
        columns={name: {"type": "string"} for name in rows.schema.names},
        target=None,
        drift="fail",
        nulls="keep",
        keep=(),
        where="text",
        note=lambda sentence: None,
    )
    return pa.Table.from_batches(list(text), text.schema)


def test_a_table_that_a_load_has_made_takes_the_same_rows_again(tmp_path: Path, shop: Target) -> None:
    """Instants and wall clocks, decimals, JSON and bytes: each finds its own kind when it comes again."""
    work = load(tmp_path, shop, kinds_table())
    assert work.attempt()[0].outputs["rows"] == 4
    assert replace(work, generation=1).attempt()[0].outputs["rows"] == 4
    names = ", ".join(ALL_KINDS.names[:-2])
    assert len(shop.ask("SELECT id FROM rows")) == 8
    assert len(shop.ask(f"SELECT DISTINCT {names} FROM rows")) == 4


def test_text_fills_the_columns_of_a_table_exactly(tmp_path: Path, shop: Target) -> None:
    """TYP-04: text into every kind, by the target's own types."""
    load(tmp_path, shop, kinds_table()).attempt()
    made = shop.ask("SELECT * FROM rows ORDER BY id")
    columns = {"*": "*", "raw": {"type": "binary"}}
    work = load(tmp_path, shop, as_text(kinds_table()), mode="replace", columns=columns)
    work.attempt()
    assert shop.ask("SELECT * FROM rows ORDER BY id") == made


def test_a_column_that_is_new_fails_is_added_or_left_out(tmp_path: Path, shop: Target) -> None:
    """FAULTS 28."""
    rows = pa.table({"id": [1, 2], "name": ["a", "b"]})
    load(tmp_path, shop, rows).attempt()
    more = rows.append_column("since", pa.array(["2024-01-01", None]))
    with pytest.raises(DataQualityError, match="has no column 'since'"):
        load(tmp_path, shop, more, mode="upsert", keys=["id"]).attempt()
    load(tmp_path, shop, more, mode="replace", on_drift="ignore").attempt()
    assert len(shop.ask("SELECT * FROM rows")[0]) == 2
    load(tmp_path, shop, more, on_drift="add").attempt()
    assert sorted(str(row[2]) for row in shop.ask("SELECT * FROM rows")) == ["2024-01-01", "None", "None", "None"]


def test_nothing_is_loaded_where_kinds_do_not_go_together(tmp_path: Path, shop: Target) -> None:
    load(tmp_path, shop, pa.table({"id": [1], "paid": [True]})).attempt()
    wrong = pa.table({"id": [2], "paid": pa.array([19_000], pa.date32())})
    with pytest.raises(DataQualityError, match="column 'paid' is date in the rows and boolean in the target"):
        load(tmp_path, shop, wrong).attempt()
    with pytest.raises(ConfigurationError, match="did you mean 'paid'"):
        load(tmp_path, shop, wrong, columns={"id": "id", "paid": "payd"}).attempt()
    assert shop.ids() == [1]


def test_a_row_without_a_value_that_must_be_there(tmp_path: Path, shop: Target) -> None:
    """TYP-05: kept for the target to refuse, filled, or refused with its row."""
    shop.ask("CREATE TABLE rows (id BIGINT NOT NULL, name VARCHAR(20) NOT NULL)")
    rows = pa.table({"id": [1, 2], "name": ["a", None]})
    with pytest.raises(DataQualityError):
        load(tmp_path, shop, rows).attempt()
    with pytest.raises(DataQualityError, match="row 2, column 'name': null is not taken"):
        load(tmp_path, shop, rows, nulls="reject").attempt()
    assert shop.ids() == []
    load(tmp_path, shop, rows, nulls="default").attempt()
    assert shop.ask("SELECT name FROM rows ORDER BY id") == [("a",), ("",)]


def test_a_column_that_no_row_may_lack_is_missed_before_a_row_is_read(tmp_path: Path, shop: Target) -> None:
    """One that the target fills itself is only mentioned; text is as long as its column lets it be."""
    shop.ask("CREATE TABLE rows (id BIGINT, name VARCHAR(3) NOT NULL, made INTEGER DEFAULT 7 NOT NULL)")
    with pytest.raises(DataQualityError, match="takes no row without 'name', and the rows have no such column"):
        load(tmp_path, shop, pa.table({"id": [1]})).attempt()
    load(tmp_path, shop, pa.table({"id": [1], "name": ["abc"]})).attempt()
    assert shop.ask("SELECT id, name, made FROM rows") == [(1, "abc", 7)]
    if shop.kind == "postgresql":  # the others store what is longer
        long = pa.table({"id": [2], "name": ["abcd"]})
        with pytest.raises(DataQualityError, match="row 1, column 'name': 'abcd' is longer than 3 characters"):
            load(tmp_path, shop, long).attempt()
        load(tmp_path, shop, long, columns={"*": "*", "name": {"lossy": True}}).attempt()
        assert shop.ask("SELECT name FROM rows WHERE id = 2") == [("abc",)]
