"""Rows from one system into others, by the command and a real engine."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.acceptance.workspaces import Workspace

CONNECTIONS = """
shop: {type: sqlite, path: data/shop.db}
dwh: {type: duckdb, path: data/dwh.duckdb}
copy: {type: sqlite, path: data/copy.db}
files: {type: file, path: data}
"""
CODE = """
def double(ctx):
    rows = (row for batch in ctx.dataset("read") for row in batch.to_pylist())
    ctx.stage({"id": row["id"], "twice": 2 * row["total"]} for row in rows)
"""
TASKS = """
  - {id: read, type: extract, config: {connection: shop, table: orders, incremental: {column: id, strategy: id}}}
  - {id: keep, type: load, dependencies: [read], config: {connection: dwh, target: orders}}
  - {id: double, type: python, dependencies: [read], config: {callable: "flows:double"}}
  - id: doubled                 # after the other load: a DuckDB file has one writer at a time
    type: load
    dependencies: [double, keep]
    config: {source: double, connection: dwh, target: doubled, mode: replace}
"""
PARTS = """
  - id: part
    type: load
    foreach: "{{ parts }}"
    config:
      source:
        connection: shop
        dataset: shop:orders
        query: SELECT id, total FROM orders WHERE (id % 2 = 0) = (:part = 'even')
        parameters: {part: "{{ item }}"}
        incremental: {column: id, strategy: id}
      connection: copy
      target: parts
"""
BOTH = """
  - id: both
    type: load
    config:
      source: {connection: shop, table: orders}
      mode: upsert
      keys: [id]
      targets: [{connection: dwh, target: all_orders}, {connection: copy, target: all_orders}]
"""


@pytest.fixture
def shop(workspace: Workspace) -> Path:
    workspace.write("connections.yaml", CONNECTIONS)
    workspace.write("flows.py", CODE)
    path = workspace.root / "data" / "shop.db"
    path.parent.mkdir()
    sell(path, 1, 100)
    return path


def sell(path: Path, first: int, last: int) -> None:
    with closing(sqlite3.connect(path)) as link, link:
        link.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, total INTEGER, changed TEXT)")
        link.executemany("INSERT INTO orders VALUES (?, ?, 'x')", [(n, n) for n in range(first, last + 1)])


def asked(workspace: Workspace, query: str) -> Any:
    with duckdb.connect(str(workspace.root / "data" / "dwh.duckdb"), read_only=True) as link:
        return link.execute(query).fetchone()


def test_new_rows_go_through_extract_python_and_load(workspace: Workspace, shop: Path) -> None:
    """INC-01, INC-04, LIN-01: each run takes what is new, and says what it read and wrote."""
    workspace.pipeline("orders", TASKS)
    run = workspace.json("run", "orders")
    tasks = {task["id"]: task for task in run["tasks"]}
    assert run["state"] == "SUCCESS"
    assert tasks["keep"]["outputs"]["rows"] == 100
    assert asked(workspace, "SELECT count(*), sum(total) FROM orders") == (100, 5050)
    assert asked(workspace, "SELECT count(*), sum(twice) FROM doubled") == (100, 10100)

    sell(shop, 101, 110)
    run = workspace.json("run", "orders")
    tasks = {task["id"]: task for task in run["tasks"]}
    assert tasks["read"]["outputs"]["rows"] == 10
    assert asked(workspace, "SELECT count(*), count(DISTINCT id) FROM orders") == (110, 110)

    (mark,) = workspace.json("watermarks")["watermarks"]
    assert (mark["producer"], mark["consumer"], mark["value"]) == (
        "read",
        "keep",
        "110",
    )
    lineage = workspace.json("lineage", "dwh:orders", "--upstream")
    assert "shop:orders" in str(lineage)


def test_items_of_one_source_each_go_on_where_they_were(workspace: Workspace, shop: Path) -> None:
    """INC-03: `foreach` over parts of one table."""
    workspace.pipeline("parts", PARTS, "parameters: {parts: {type: array}}")
    first = workspace.json("run", "parts", "-p", 'parts=["even"]')
    assert [each["outputs"]["rows"] for each in first["tasks"]] == [50]
    sell(shop, 101, 110)
    second = workspace.json("run", "parts", "-p", 'parts=["odd", "even"]')
    assert [each["outputs"]["rows"] for each in second["tasks"]] == [55, 5]
    marks = {each["source"]: each["value"] for each in workspace.json("watermarks")["watermarks"]}
    assert marks == {"shop:orders[even]": "110", "shop:orders[odd]": "109"}
    shown = workspace.json("data", "shop:orders")["dataset"]["watermarks"]
    assert {each["source"] for each in shown} == set(marks)


def test_the_first_rows_of_a_source_are_shown_though_they_were_not_staged(workspace: Workspace, shop: Path) -> None:
    """SRC-04: bounded, and of the source as it was read; the target's rows are not taken for them."""
    sell(shop, 101, 3_000)
    (workspace.root / "data" / "rows.csv").write_text('id,note\n1,"a\nb"\n2,\n3,x')
    load = "{id: %s, type: load, config: {source: %s, connection: copy, target: %s}}"
    whole = "{connection: shop, table: orders, columns: [id, total]}"
    tasks = (("sold", whole, "sold"), ("lines", "{connection: files, path: rows.csv}", "lines"))
    workspace.pipeline("copy", "\n".join(f"  - {load % each}" for each in tasks))
    assert workspace.json("run", "copy")["state"] == "SUCCESS"
    sample = workspace.json("data", "shop:orders", "--rows", "2")["sample"]
    assert (sample["task_id"], sample["rows"], sample["total"], sample["looked"]) == (
        "sold",
        [[1, 1], [2, 2]],
        3_000,
        1_000,
    )
    assert workspace.json("data", "files:rows.csv")["sample"]["rows"] == [[1, "a\nb"], [2, None], [3, "x"]]
    assert workspace.json("data", "copy:sold")["sample"] is None
    workspace.pipeline("both", BOTH)
    workspace.json("run", "both")
    sample = workspace.json("data", "shop:orders", "--rows", "1")["sample"]
    assert (sample["task_id"], sample["total"]) == ("both", 3_000)


def test_several_targets_are_shown_each_with_its_rows(workspace: Workspace, shop: Path) -> None:
    """TXN-01: what happened is visible in `show`."""
    workspace.pipeline("both", BOTH)
    (task,) = workspace.json("run", "both")["tasks"]
    assert task["state"] == "SUCCESS"
    assert task["outputs"]["targets"] == {
        "dwh:all_orders": {"rows": 100, "state": "published"},
        "copy:all_orders": {"rows": 100, "state": "published"},
    }
    assert task["metrics"]["targets_published"] == 2


def test_a_target_that_cannot_take_the_rows_keeps_them_from_the_other(workspace: Workspace, shop: Path) -> None:
    """TXN-01: the error says what was done, and the task goes to the dead letters as bad data."""
    with closing(sqlite3.connect(workspace.root / "data" / "copy.db")) as link, link:
        link.execute(
            "CREATE TABLE all_orders (id INTEGER PRIMARY KEY, total INTEGER, changed TEXT CHECK (total < 50))"
        )
    workspace.pipeline("both", BOTH)
    said = workspace.penstock("run", "both", "--json")
    assert said.code == 1
    (task,) = said.json["tasks"]
    assert task["error"]["kind"] == "DataQualityError"
    assert (
        "No target has the rows. The rows were in dwh:all_orders already and have been taken back."
        in (task["error"]["message"])
    )
    assert task["metrics"]["targets_undone"] == 1
    assert asked(workspace, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'all_orders'") == (
        0,
    )
