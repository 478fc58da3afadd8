"""`penstock data`, `lineage` and `watermarks`, after runs that read, wrote and moved watermarks."""

from __future__ import annotations

import json
import shutil
import uuid
from typing import Any

import pytest

from engine.client import openlineage
from tests.acceptance.workspaces import Workspace, eventually

TASKS = """
from engine.model.dataset import Column, DataKind, DatasetTouch, Direction, Strategy, WatermarkMove

ID = Column(name="id", kind=DataKind.INTEGER, nullable=False)
PRICE = Column(name="price", kind=DataKind.DECIMAL, detail="decimal(10,2)")


def read(dataset, *columns):
    return DatasetTouch(
        direction=Direction.READ, dataset=dataset, uri="postgresql://db.example/shop/public.orders", columns=columns
    )


def write(dataset, *columns, rows=3):
    return DatasetTouch(
        direction=Direction.WRITE, dataset=dataset, rows=rows, bytes=120, columns=columns,
        transformation="load:append",
    )


def extract(ctx):
    ctx.touch(read("shop:orders", ID, PRICE))


def load(ctx, value=None, wide=True, fail=False):
    ctx.touch(read("shop:orders", ID, PRICE))
    ctx.touch(write("dwh:orders", *((ID, PRICE) if wide else (ID,))))
    if value is not None:
        ctx.move(
            WatermarkMove(
                producer="extract", source="shop:orders", column="updated_at", strategy=Strategy.TIMESTAMP,
                value={"type": "timestamp", "value": value}, fingerprint="f",
            )
        )
    if fail:
        raise ValueError("too late")


def report(ctx):
    ctx.touch(read("dwh:orders"))
    ctx.touch(write("report\\x1b[31m", rows=1))


def wait(ctx):
    import pathlib, time
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
"""
ORDERS = """\
  - {id: extract, name: Extract, type: python, config: {callable: "data_tasks:extract"}%s}
  - id: load
    name: Load
    type: python
    dependencies: [extract]
    config:
      callable: "data_tasks:load"
      args: {value: "{{ value }}", wide: "{{ wide }}", fail: "{{ fail }}"}
%s"""
MORE = "parameters: {value: '2026-03-01T02:00:00+00:00', wide: true, fail: false}"


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    workspace.write("data_tasks.py", TASKS)
    workspace.pipeline("orders", ORDERS % ("", ""), MORE)
    workspace.pipeline("report", '  - {id: sum, name: Sum, type: python, config: {callable: "data_tasks:report"}}')
    return workspace


def ran(shop: Workspace, *arguments: str, code: int = 0) -> str:
    said = shop.penstock("run", *arguments, "--json")
    assert said.code == code, said.err + said.out
    return str(said.json["run_id"])


def marks(shop: Workspace) -> list[dict[str, Any]]:
    return list(shop.json("watermarks")["watermarks"])


# -- what a run leaves ---------------------------------------------------------------------------------------------


def test_what_runs_read_and_wrote_is_known_without_declaring_anything(shop: Workspace) -> None:
    """LIN-01: datasets, columns, rows, who and when, in the same commit as the outcome."""
    run_id = ran(shop, "orders")
    listed = {each["name"]: each for each in shop.json("data")["datasets"]}
    assert set(listed) == {"shop:orders", "dwh:orders"}
    mart = listed["dwh:orders"]
    assert (mart["rows"], mart["bytes"], mart["declared"], mart["newest_state"]) == (3, 120, False, "SUCCESS")
    assert mart["written_by"] == {"pipeline_id": "orders", "run_id": run_id, "task_id": "load"}
    one = shop.json("data", "dwh:orders")["dataset"]
    assert [(each["name"], each["kind"], each["detail"]) for each in one["columns"]] == [
        ("id", "integer", None), ("price", "decimal", "decimal(10,2)"),
    ]  # fmt: skip
    (write,) = one["writes"]
    assert (write["run_id"], write["rows"], write["transformation"]) == (run_id, 3, "load:append")
    assert write["started_at"] <= write["completed_at"]
    source = shop.json("data", "shop:orders")["dataset"]
    assert sorted(source["readers"]) == ["orders/extract", "orders/load"]
    assert source["uri"] == "postgresql://db.example/shop/public.orders"


def test_the_name_a_task_declares_is_the_datasets_name(shop: Workspace) -> None:
    """A load of what its extract read reports it under the name that the extract gives it."""
    shop.pipeline("orders", ORDERS % (", inputs: [raw]", "    outputs: [mart]\n"), MORE)
    ran(shop, "orders")
    assert [each["name"] for each in shop.json("data")["datasets"]] == ["mart", "raw"]
    (edge,) = shop.json("lineage", "mart")["edges"]
    assert (edge["source"], edge["target"], edge["task_id"], edge["read_by"]) == (
        "raw", "mart", "load", "orders/extract",
    )  # fmt: skip
    assert edge["recorded"] is True
    (mark,) = shop.json("data", "raw")["dataset"]["watermarks"]
    assert (mark["producer"], mark["source"]) == ("extract", "shop:orders")


def test_a_change_of_columns_is_a_new_version(shop: Workspace) -> None:
    ran(shop, "orders")
    second = ran(shop, "orders", "-p", "wide=false")
    found = shop.json("data", "dwh:orders")["dataset"]
    assert found["schema_version"] == 2
    assert [(each["version"], len(each["columns"])) for each in found["versions"]] == [(2, 1), (1, 2)]
    assert found["versions"][0]["run_id"] == second
    assert "version 2, since" in shop.penstock("data", "dwh:orders").out


def test_a_failure_leaves_nothing_behind(shop: Workspace) -> None:
    """INC-04: the watermark moves with the success it stands for, and with nothing else."""
    ran(shop, "orders", "-p", "fail=true", code=1)
    assert marks(shop) == []
    assert [each["name"] for each in shop.json("data")["datasets"]] == ["shop:orders"]  # the extract succeeded
    marked = shop.penstock("mark", "last", "load", "success", "--reason", "by hand")
    assert marked.code == 0, marked.err
    assert marks(shop) == []


STAGING = """
import datetime, decimal

import pyarrow as pa

from engine.dataflow.kinds import columns_of
from engine.dataflow.staging import Staged
from engine.model.dataset import DatasetTouch, Direction

SCHEMA = pa.schema([("at", pa.timestamp("us", tz="UTC")), ("price", pa.decimal128(10, 2)), ("raw", pa.binary())])


def stage(ctx):
    staged = Staged(ctx.staging_folder, ctx.staging, SCHEMA)
    moment = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    rows = {
        "at": [moment + datetime.timedelta(seconds=n) for n in range(15_000)],
        "price": [None if n % 2 else decimal.Decimal(n) / 100 for n in range(15_000)],
        "raw": [b"\\x1b[31m"] * 15_000,
    }
    for batch in pa.table(rows, SCHEMA).to_batches(max_chunksize=4_000):
        staged.write(batch)
    ctx.touch(DatasetTouch(direction=Direction.READ, dataset="feed", columns=columns_of(SCHEMA)))
    return {"dataset": staged.publish({})}
"""


def test_some_rows_are_shown_of_what_a_run_has_staged(workspace: Workspace) -> None:
    """Without loading it: the first rows, and null counts, least and greatest of the first ten thousand."""
    workspace.write("staging_task.py", STAGING)
    workspace.pipeline("feed", '  - {id: read, name: Read, type: python, config: {callable: "staging_task:stage"}}')
    run_id = ran(workspace, "feed")
    sample = workspace.json("data", "feed", "--rows", "2")["sample"]
    assert (sample["run_id"], sample["total"], sample["looked"]) == (run_id, 15_000, 10_000)
    assert sample["rows"] == [
        ["2026-03-01T00:00:00+00:00", "0.00", "0x1b5b33316d"], ["2026-03-01T00:00:01+00:00", None, "0x1b5b33316d"],
    ]  # fmt: skip
    price = sample["columns"][1]
    assert (price["name"], price["nulls"], price["least"], price["greatest"]) == ("price", 5_000, "0.00", "99.98")
    assert workspace.json("data", "feed", "--rows", "0")["sample"] is None
    (part,) = (workspace.root / ".penstock/staging").rglob("*.arrow")
    whole = part.read_bytes()
    part.write_bytes(bytes(len(whole)))
    assert "are gone" in workspace.json("data", "feed")["no_sample"]
    shutil.rmtree(workspace.root / ".penstock/staging")
    shown = workspace.penstock("data", "feed")
    assert (shown.code, "retention.staging_hours" in shown.err) == (0, True)


# -- lineage -------------------------------------------------------------------------------------------------------


def test_lineage_goes_through_pipelines_both_ways(shop: Workspace) -> None:
    """LIN-08, LIN-09, LIN-10: direct and all dependencies, sources, affected pipelines, the way between two."""
    ran(shop, "orders")
    ran(shop, "report")
    found = shop.json("lineage", "shop:orders")
    assert [(each["hop"], each["name"]) for each in found["downstream"]] == [
        (1, "dwh:orders"),
        (2, "report\x1b[31m"),
    ]
    assert found["affected"] == ["orders", "report"]
    direct = shop.json("lineage", "shop:orders", "--depth", "1", "--downstream")
    assert [each["name"] for each in direct["downstream"]] == ["dwh:orders"]
    above = shop.json("lineage", "report\x1b[31m", "--upstream")
    assert (above["sources"], above["downstream"]) == (["shop:orders"], [])
    way = shop.json("lineage", "shop:orders", "--to", "report\x1b[31m")
    assert [(each["source"], each["task_id"]) for each in way["edges"]] == [
        ("shop:orders", "load"), ("dwh:orders", "sum"),
    ]  # fmt: skip
    assert shop.json("lineage", "dwh:orders", "--to", "shop:orders")["edges"] == []
    assert len(shop.json("lineage")["edges"]) == 2
    text = shop.penstock("lineage", "dwh:orders").out
    assert "< shop:orders" in text and "affected    report" in text


def test_lineage_as_of_a_time_knows_what_was_known_then(shop: Workspace) -> None:
    """LIN-09: get_lineage_at_time, of what was recorded and of what was declared."""
    shop.pipeline("orders", ORDERS % (", inputs: [raw]", "    outputs: [old]\n"), MORE)
    ran(shop, "orders")
    shop.pipeline("orders", ORDERS % (", inputs: [raw]", "    outputs: [new]\n"), MORE)
    ran(shop, "orders")
    assert [each["name"] for each in shop.json("lineage", "raw")["downstream"]] == ["new", "old"]
    then = shop.json("runs")["runs"][0]["triggered_at"]  # of the second, cut to the millisecond: before it
    before = shop.json("lineage", "raw", "--at", then)
    assert ([each["name"] for each in before["downstream"]], before["at"]) == (["old"], then)
    first = shop.json("runs")["runs"][1]["run_id"]
    assert {each["name"]: (each["written_by"] or {}).get("run_id") for each in before["nodes"]} == {
        "raw": None, "old": first,
    }  # fmt: skip
    assert shop.penstock("lineage", "new", "--at", then).code == 3
    assert shop.penstock("lineage", "raw", "--at", "yesterday").code == 2


def test_lineage_as_dot_and_as_openlineage_events(shop: Workspace) -> None:
    """LIN-12: one event for each attempt, with schema and statistics; valid URIs and UUIDs."""
    ran(shop, "orders")
    dot = shop.penstock("lineage", "dwh:orders", "-f", "dot").out
    assert dot.startswith("digraph lineage {") and '"shop:orders" -> "dwh:orders" [label="orders/load"' in dot
    said = shop.penstock("lineage", "dwh:orders", "-f", "openlineage")
    extract, load = (json.loads(line) for line in said.out.splitlines())
    assert (extract["job"]["name"], extract["outputs"]) == ("orders.extract", [])
    assert (load["eventType"], load["job"]["name"]) == ("COMPLETE", "orders.load")
    assert uuid.UUID(load["run"]["runId"]) != uuid.UUID(extract["run"]["runId"])
    parents = {each["run"]["facets"]["parent"]["run"]["runId"] for each in (extract, load)}
    assert len(parents) == 1
    (source,), (target,) = load["inputs"], load["outputs"]
    assert (source["namespace"], source["name"]) == ("postgres://db.example", "shop.public.orders")
    assert (target["namespace"], target["name"]) == ("penstock", "dwh:orders")
    assert target["facets"]["schema"]["fields"] == [
        {"name": "id", "type": "long"}, {"name": "price", "type": "decimal(10,2)"},
    ]  # fmt: skip
    assert openlineage._place("duckdb:///data/dwh.db#main.orders", "x") == ("duckdb", "/data/dwh.db#main.orders")
    assert openlineage._place("file:///in/a.csv", "x") == ("file", "/in/a.csv")
    assert openlineage._place("http://[bad", "x") == openlineage._place("", "x") == ("penstock", "x")
    counted = target["outputFacets"]["outputStatistics"]
    assert (counted["rowCount"], counted["size"]) == (3, 120)
    assert shop.penstock("lineage", "-f", "openlineage").out == said.out  # all of the last runs
    assert shop.penstock("lineage", "dwh:orders", "-f", "dot", "--json").code == 2


def test_wrong_names_are_told_with_the_near_one(shop: Workspace) -> None:
    ran(shop, "orders")
    for command in (("lineage", "dwh:order"), ("data", "dwh:order"), ("lineage", "dwh:orders", "--to", "nosuch")):
        said = shop.penstock(*command)
        assert said.code == 3, said.err
    assert "Did you mean 'dwh:orders'?" in shop.penstock("data", "dwh:order").err
    assert shop.penstock("lineage", "--upstream").code == 2


def test_on_a_terminal_names_of_others_steer_nothing(shop: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.cli.output import Output

    ran(shop, "orders")
    ran(shop, "report")
    monkeypatch.setattr(Output, "terminal", property(lambda self: True))
    monkeypatch.setenv("NO_COLOR", "1")
    for command in (("data",), ("data", "report\x1b[31m"), ("lineage", "dwh:orders"), ("lineage",)):
        said = shop.penstock(*command)
        assert said.code == 0 and "report" in said.out and "\x1b" not in said.out, said.out


def test_without_runs_there_is_nothing_and_that_is_said(workspace: Workspace) -> None:
    assert workspace.json("data") == {"datasets": []}
    assert workspace.json("lineage") == {"nodes": [], "edges": []}
    assert workspace.json("watermarks") == {"watermarks": []}
    assert "No datasets" in workspace.penstock("data").err
    assert workspace.penstock("lineage", "-f", "openlineage").out == ""


# -- watermarks ----------------------------------------------------------------------------------------------------


def test_a_watermark_is_shown_and_moves_with_its_load(shop: Workspace) -> None:
    """INC-03, INC-04."""
    first = ran(shop, "orders")
    (mark,) = marks(shop)
    assert (mark["pipeline_id"], mark["producer"], mark["source"], mark["consumer"]) == (
        "orders", "extract", "shop:orders", "load",
    )  # fmt: skip
    assert (mark["type"], mark["value"], mark["run_id"]) == ("timestamp", "2026-03-01T02:00:00+00:00", first)
    ran(shop, "orders", "-p", "value=2026-03-02T00:00:00+00:00")
    (later,) = marks(shop)
    assert (later["value"], later["created_at"]) == ("2026-03-02T00:00:00+00:00", mark["created_at"])
    ran(shop, "orders", "-p", "value=2026-03-01T12:00:00+00:00")  # read before the other, loaded after it
    assert marks(shop)[0]["value"] == "2026-03-02T00:00:00+00:00"
    text = shop.penstock("watermarks", "show", "orders").out
    assert "timestamp updated_at" in text and "2026-03-02T00:00:00+00:00" in text


def test_a_reset_is_audited_and_undone_by_a_reset_to_what_was(shop: Workspace) -> None:
    """INC-10: the reset tool."""
    ran(shop, "orders")
    said = shop.penstock("watermarks", "reset", "orders", "--reason", "the source was repaired")
    assert said.code == 0, said.err
    assert "reads from the beginning" in said.out
    (mark,) = marks(shop)
    assert (mark["value"], mark["resets"], mark["run_id"]) == (None, 1, None)
    assert "(from the beginning)" in shop.penstock("watermarks").out
    back = said.err.partition("Back: ")[2].strip()
    assert back == (
        "penstock watermarks reset orders load --source shop:orders --to 2026-03-01T02:00:00+00:00 --reason ..."
    )
    undone = shop.json(
        "watermarks", "reset", "orders", "load", "--source", "shop:orders", "--to", "2026-03-01T02:00:00+00:00",
        "--reason", "back",
    )  # fmt: skip
    assert undone["watermarks"][0]["before"] is None
    (mark,) = marks(shop)
    assert (mark["value"], mark["resets"]) == ("2026-03-01T02:00:00+00:00", 2)
    newest, older = [each for each in shop.json("audit")["entries"] if each["action"] == "watermark.reset"]
    assert older["details"]["arguments"]["reason"] == "the source was repaired"
    assert older["details"]["watermarks"][0]["before"] == "2026-03-01T02:00:00+00:00"
    assert (newest["resource_type"], newest["result"]) == ("DATASET", "SUCCESS")
    ran(shop, "orders")  # began with no reset known: it moves nothing
    assert marks(shop)[0]["resets"] == 2


def test_a_reset_that_fits_nothing_is_refused_in_words(shop: Workspace) -> None:
    missing = shop.penstock("watermarks", "reset", "orders", "--reason", "x")
    assert (missing.code, "has no watermark" in missing.err) == (3, True)
    ran(shop, "orders")
    for arguments, code, told in (
        (("orders", "nosuch"), 3, "shop:orders"),
        (("orders", "--source", "other"), 3, "shop:orders into load"),
        (("orders", "--to", "soon"), 2, "is no timestamp"),
    ):
        said = shop.penstock("watermarks", "reset", *arguments, "--reason", "x")
        assert (said.code, told in said.err) == (code, True), said.err
    assert shop.penstock("watermarks", "reset", "orders").code == 2
    assert shop.penstock("watermarks", "reset", "orders", "--reason", " ").code == 2
    assert shop.penstock("watermarks", "show", "nosuch").code == 3
    assert marks(shop)[0]["resets"] == 0


def test_a_reset_waits_for_no_run_it_is_refused_while_one_is_active(shop: Workspace) -> None:
    waiting = (
        '  - {id: wait, name: Wait, type: python, dependencies: [load], config: {callable: "data_tasks:wait"}}'
    )
    shop.pipeline("orders", ORDERS % ("", "") + waiting, MORE)
    with shop.background("run", "orders", "--json") as process:
        eventually(lambda: marks(shop))
        said = shop.penstock("watermarks", "reset", "orders", "--reason", "x")
        assert (said.code, "is active" in said.err) == (2, True), said.err
        shop.write("go", "")
        process.communicate(timeout=60)
    assert shop.penstock("watermarks", "reset", "orders", "--reason", "x").code == 0
