"""Lineage and data: what is declared, hop by hop, with what really ran."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from console.app import Console
from console.place import Place
from console.screens.data import DataView
from console.screens.lineage import LineageView
from engine.bootstrap.workspace import Workspace
from tests.console.conftest import HostKeeper
from tests.console.stage import NARROW, WIDE, play, press, session_of, text, until

ORDERS = """\
id: orders
name: Orders
tasks:
  - id: load
    name: Load
    type: shell
    inputs: [shop.orders]
    outputs: [mart.orders]
    config: {command: 'echo "{\\"rows\\": 1200}" >> "$PENSTOCK_OUTPUT"'}
"""
REPORTS = """\
id: reports
name: Reports
tasks:
  - {id: read, name: Read, type: shell, inputs: [mart.orders], config: {command: "true"}}
  - id: write
    name: Write
    type: shell
    dependencies: [read]
    outputs: [report.sales, 'evil[bold]\\e]0;x\\a']
    config: {command: "echo broken >&2; exit 3"}
  - {id: mail, name: Mail, type: shell, inputs: [report.sales], config: {command: "true"}}
"""


@pytest.fixture
def ran(keeper: HostKeeper) -> HostKeeper:
    """Two pipelines that meet in a dataset; the second one fails."""
    folder = _folder(keeper.workspace)
    (folder / "orders.yaml").write_text(ORDERS)
    (folder / "reports.yaml").write_text(REPORTS.replace("'evil", '"evil').replace("\\a'", '\\a"'))
    keeper.run("orders")
    keeper.run("reports")
    return keeper


def _folder(workspace: Workspace) -> Path:
    return Path(workspace.settings.root) / "pipelines"


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_from_the_list_to_a_dataset_hop_by_hop_and_to_the_run_that_wrote_it(
    ran: HostKeeper, size: tuple[int, int]
) -> None:
    """LIN-13: lineage explored in the console."""

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, LineageView)
        await until(pilot, lambda: len(view.listing.rows) == 4)
        assert "1,200" in text(app) and "\x1b" not in text(app)
        view.listing.select("shop.orders")
        await press(pilot, "enter")
        one = app.view
        assert isinstance(one, LineageView)
        await until(pilot, lambda: len(one.downstream.rows) == 1)
        assert "from outside" in text(app) and "2 datasets beyond" in text(app)
        assert "2 pipelines affected: orders, reports" in text(app)
        await press(pilot, "+")
        assert sorted(each.name[:6] for each in (one.downstream.rows.at(i) for i in range(3))) == [
            "evil[b", "mart.o", "report",
        ]  # fmt: skip
        one.downstream.focus()
        await until(pilot, lambda: "1,200" in text(app))
        await press(pilot, "o")
        assert app.view.NAME == "run" and app.view.place.argument.startswith("orders__")

    play(session_of(ran.open_client, ran), scene, size=size, start=Place("lineage"))


def test_a_failed_write_is_told_beside_the_tasks(ran: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, LineageView)
        await until(pilot, lambda: len(view.focus_table.rows) == 2)
        shown = text(app)
        assert "reports/write" in shown and "reports/mail" in shown and "by none of the last runs" in shown
        assert "newest try" in shown and "FAILED" in shown
        await press(pilot, "d")
        assert isinstance(app.view, DataView)

    play(session_of(ran.open_client, ran), scene, start=Place("lineage", "report.sales"))


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_data_shows_the_last_writes_of_a_declared_dataset(ran: HostKeeper, size: tuple[int, int]) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, DataView)
        await until(pilot, lambda: len(view.writes.rows) == 1 and "has staged" in view.rows.text)
        shown = text(app)
        assert "1,200" in shown and "reports/read" in shown
        await press(pilot, "enter")
        assert app.view.NAME == "run"

    play(session_of(ran.open_client, ran), scene, size=size, start=Place("data", "mart.orders"))


RECORDING = """
import pyarrow as pa

from engine.dataflow.kinds import columns_of
from engine.dataflow.staging import Staged
from engine.model.dataset import DatasetTouch, Direction, Strategy, WatermarkMove

SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("na\\x1bme", pa.string())])


def extract(ctx, evil, drop):
    schema = SCHEMA.remove(1) if drop else SCHEMA
    staged = Staged(ctx.staging_folder, ctx.staging, schema)
    rows = {"id": [1, 2, 3], "na\\x1bme": [evil, None, "zoë"]}
    staged.write(pa.RecordBatch.from_pydict({name: rows[name] for name in schema.names}, schema=schema))
    ctx.touch(
        DatasetTouch(
            direction=Direction.READ, dataset="shop:orders", uri="sqlite:///shop.db/orders", rows=3,
            columns=columns_of(schema),
        )
    )
    return {"dataset": staged.publish({})}


def load(ctx):
    ctx.touch(DatasetTouch(direction=Direction.READ, dataset="shop:orders"))
    ctx.touch(
        DatasetTouch(
            direction=Direction.WRITE, dataset="dwh:orders", rows=3, bytes=12_400, transformation="load:append"
        )
    )
    ctx.move(
        WatermarkMove(
            producer="extract", source="shop:orders", column="id", strategy=Strategy.ID,
            value={"type": "integer", "value": 3},
        )
    )
"""
COPY = """\
id: copy
name: Copy
parameters: {drop: false}
tasks:
  - id: extract
    name: Extract
    type: python
    config: {callable: "recording:extract", args: {evil: "\\e]0;owned\\a[bold]x", drop: "{{ drop }}"}}
  - {id: load, name: Load, type: python, dependencies: [extract], config: {callable: "recording:load"}}
"""


@pytest.fixture
def copied(keeper: HostKeeper) -> HostKeeper:
    """Datasets that nobody declared: what tasks reported, and rows that lie staged."""
    (Path(keeper.workspace.settings.root) / "recording.py").write_text(RECORDING)
    (_folder(keeper.workspace) / "copy.yaml").write_text(COPY)
    keeper.run("copy")
    return keeper


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_data_shows_what_was_recorded_columns_rows_and_watermarks(
    copied: HostKeeper, size: tuple[int, int]
) -> None:
    """LIN-02, LIN-13: columns, freshness, a sample and how far incremental reads are, of a source and a target."""

    async def source(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, DataView)
        await until(pilot, lambda: "3 rows of 3" in view.rows.text)
        facts = view.card.text
        assert "sqlite:///shop.db/orders" in facts and "version 1, 2 columns" in facts and "not null" in facts
        assert "copy/load: 3 (id)" in facts and "copy/extract" in facts
        assert "zoë" in view.rows.text and "NULL" in view.rows.text
        assert "[bold]" in view.rows.text and "\x1b" not in text(app) + facts + view.rows.text

    async def target(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, DataView)
        await until(pilot, lambda: "3 rows of 3" in view.rows.text and len(view.writes.rows) == 1)
        assert "3, 12.4 kB" in view.card.text
        assert "load" in text(app) and "ago" in text(app)

    play(session_of(copied.open_client, copied), source, size=size, start=Place("data", "shop:orders"))
    play(session_of(copied.open_client, copied), target, size=size, start=Place("data", "dwh:orders"))


def test_lineage_shows_what_runs_did_though_nobody_declared_it(copied: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, LineageView)
        await until(pilot, lambda: len(view.upstream.rows) == 1 and "shop:orders" in text(app))
        shown = text(app)
        assert "copy/load" in shown and "12.4 kB" in shown

    play(session_of(copied.open_client, copied), scene, start=Place("lineage", "dwh:orders"))


def test_a_change_of_columns_is_told(copied: HostKeeper) -> None:
    copied.workspace.client.commands.send("run.trigger", {"pipeline_id": "copy", "parameters": {"drop": True}})
    copied.run("copy")

    async def scene(pilot: Pilot[int], app: Console) -> None:
        view = app.view
        assert isinstance(view, DataView)
        await until(pilot, lambda: "version 3" in view.card.text)
        assert "+na" in view.card.text and "-na" in view.card.text

    play(session_of(copied.open_client, copied), scene, start=Place("data", "shop:orders"))


def test_a_wrong_name_says_what_is_near(keeper: HostKeeper) -> None:
    (_folder(keeper.workspace) / "orders.yaml").write_text(ORDERS)

    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "Did you mean 'mart.orders'?" in text(app))
        assert "Reading" not in text(app)

    for view in ("data", "lineage"):
        play(session_of(keeper.open_client, keeper), scene, start=Place(view, "mart.order"))


def test_without_declarations_it_says_how_to_declare(keeper: HostKeeper) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "No definition declares a dataset" in text(app))

    play(session_of(keeper.open_client, keeper), scene, start=Place("lineage"))
