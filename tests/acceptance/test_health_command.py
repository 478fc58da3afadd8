"""`penstock health` on real workspaces: what is said of connections (CBR-03, HLT-06)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.acceptance.workspaces import Workspace
from tests.contract.logical_server import server

CALLS = """
from engine.sdk import NetworkError

def call(ctx):
    raise NetworkError("no route")
"""
TASK = "  - {id: call, type: python, config: {callable: 'calls:call', connections: [shop]}}"
BREAKER = "{failure_threshold: 1, timeout_seconds: 3000, max_timeout_seconds: 3000}"


CAPTURE = "  - {id: take, type: extract, config: {connection: base, table: t, incremental: {strategy: cdc}}}"


def check(workspace: Workspace, component: str) -> dict[str, Any]:
    said = workspace.penstock("health", "--json")
    found: dict[str, Any] = next(each for each in said.json["checks"] if each["component"] == component)
    return found


def connections_check(workspace: Workspace) -> dict[str, Any]:
    return check(workspace, "connections")


def test_a_circuit_of_a_connection_that_was_removed_degrades_nothing(workspace: Workspace) -> None:
    """CBR-03: an open circuit is degraded only while there is a connection that it holds back."""
    shop = workspace.write("connections.yaml", f"shop: {{type: http, breaker: {BREAKER}}}\n")
    workspace.write("calls.py", CALLS)
    workspace.pipeline("calls", TASK)
    assert workspace.penstock("run", "calls").code == 1
    opened = connections_check(workspace)
    assert (opened["status"], opened["metrics"]["open"]) == ("degraded", 1)
    shop.write_text("shop: {type: http, breaker: false}\n")
    assert connections_check(workspace)["status"] == "healthy"
    shop.write_text("other: {type: http}\n")
    gone = connections_check(workspace)
    assert (gone["status"], gone["metrics"]["open"], gone["metrics"]["forgotten"]) == ("healthy", 0, 1)
    assert "gone or unguarded now, in nobody's way: shop." in gone["message"]
    shop.write_text("shop: [broken\n")
    assert connections_check(workspace)["status"] == "degraded"  # until the file can be read, it counts


def test_a_slot_that_keeps_the_servers_log_is_degraded(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INC-08: a replication slot shows with its lag in MB; too much of it is degraded."""
    workspace.pipeline("capture", CAPTURE)
    with server() as url:
        workspace.write("connections.yaml", f"base: {{type: postgresql, url: '{url}'}}\n")
        with psycopg.connect(url, autocommit=True) as link:
            link.execute("CREATE TABLE t (id bigint PRIMARY KEY)")
            assert check(workspace, "replication")["message"] == "No slot of change capture."
            assert workspace.penstock("run", "capture").code == 0
            well = check(workspace, "replication")
            assert (well["status"], well["metrics"]["slots"]) == ("healthy", 1)
            link.execute("CREATE TABLE other AS SELECT n FROM generate_series(1, 100000) AS n")
        monkeypatch.setenv("PENSTOCK_HEALTH_REPLICATION_LAG_MB", "2")
        late = check(workspace, "replication")
        assert (late["status"], late["metrics"]["lag_mb"] > 2) == ("degraded", True)
        assert "base/penstock_" in late["message"] and "MB behind" in late["message"]
    gone = check(workspace, "replication")
    assert gone["status"] == "degraded" and gone["message"].startswith("base: "), gone
