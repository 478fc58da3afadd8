"""The pipelines of the source documents, as they describe them, on the stand-ins they are shipped with (PIP)."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from tests.acceptance.conftest import SOURCE
from tests.acceptance.workspaces import Workspace

REPLICATIONS = {
    "database_replication_fanout": (
        "dump_production_csv",
        ("load_dev_database", "load_staging_database", "load_qa_database"),
        "prod_snapshot_{day}.csv",
        "orders",
    ),
    "database_replication_fanout_001": (
        "dump_prod_csv",
        ("copy_dev", "copy_staging", "copy_qa"),
        "prod_snapshot_001_{day}.csv",
        "orders_001",
    ),
}


def rows(file: Path, table: str) -> list[tuple[Any, ...]]:
    query = (
        f"SELECT id, customer, email, status, CAST(total AS REAL), currency, paid, note FROM {table} ORDER BY id"
    )
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def sent(samples: Workspace, channel: str) -> list[dict[str, Any]]:
    file = samples.root / "var" / "channels.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [each for each in map(json.loads, lines) if each["channel"] == channel]


def states(run: dict[str, Any]) -> dict[str, str]:
    return {task["id"]: task["state"] for task in run["tasks"]}


@pytest.mark.parametrize("pipeline", REPLICATIONS)
def test_the_snapshot_fans_out_to_three_databases_that_have_what_production_has(
    samples: Workspace, pipeline: str
) -> None:
    """PIP-01 to PIP-06: the logical date names the file, the three loads depend on the dump alone."""
    dump, loads, file, table = REPLICATIONS[pipeline]
    run = samples.json("run", pipeline, "--logical-date", "2026-03-01")
    assert states(run) == dict.fromkeys((dump, *loads), "SUCCESS")
    snapshot = samples.root.parent / "snapshots" / file.format(day="20260301")
    assert snapshot.is_file()
    production = rows(samples.root / "data" / "production" / "production.db", "orders")
    assert len(production) == 300
    for name in ("dev", "staging", "qa"):
        copied = rows(samples.root / "var" / f"{name}.db", table)
        if pipeline.endswith("_001"):  # csv and a shell script know no difference between "" and nothing
            copied = [(*each[:7], each[7] or "") for each in copied]
            assert copied == [(*each[:7], each[7] or "") for each in production]
        else:
            assert copied == production
    levels = samples.json("plan", pipeline)["levels"]
    assert [sorted(level) for level in levels] == [[dump], sorted(loads)]


@pytest.mark.parametrize("pipeline", REPLICATIONS)
def test_a_failing_dump_is_retried_twice_five_minutes_apart_and_nothing_is_loaded(
    samples: Workspace, pipeline: str
) -> None:
    """PIP-07."""
    dump, loads, _, _ = REPLICATIONS[pipeline]
    (samples.root / "data" / "production" / "production.db").write_bytes(b"no database")
    said = samples.penstock("run", pipeline, "--json")
    assert said.code == 1
    found = {task["id"]: task for task in said.json["tasks"]}
    assert (found[dump]["state"], found[dump]["attempts"]) == ("FAILED", 3)
    assert {found[each]["state"] for each in loads} == {"SKIPPED"}
    assert not list((samples.root.parent / "snapshots").glob("*.csv"))


def test_a_segment_is_told_through_three_channels_each_with_its_own_token(samples: Workspace) -> None:
    """PIP-12 to PIP-19."""
    run = samples.json("run", "multi_channel_marketing_campaign", "-p", "target_customers=5")
    assert set(states(run).values()) == {"SUCCESS"} and len(run["tasks"]) == 4
    assert [len(sent(samples, each)) for each in ("email", "sms", "push")] == [5, 5, 5]
    outputs = {task["id"]: task["outputs"] for task in run["tasks"]}
    assert outputs["send_sms_campaign"]["sms_campaign_results"] == {"channel": "sms_gateway", "sent": 5}
    assert all("premium offer" in each["body"]["body"] for each in sent(samples, "email"))


def test_a_token_that_the_service_does_not_know_fails_its_channel_only(
    samples: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMS_API_TOKEN", "expired-token-9")
    said = samples.penstock("run", "multi_channel_marketing_campaign", "-p", "target_customers=2", "--json")
    assert said.code == 1
    found = {task["id"]: task for task in said.json["tasks"]}
    assert found["send_sms_campaign"]["error"]["kind"] == "PermissionError"
    assert found["send_email_campaign"]["state"] == found["send_push_notification"]["state"] == "SUCCESS"
    assert "expired-token-9" not in said.out


def test_a_segment_file_that_is_missing_halts_the_campaign_before_anybody_is_told(samples: Workspace) -> None:
    """PIP-20."""
    said = samples.penstock("run", "multi_channel_marketing_campaign", "-p", "csv_path=/data/none.csv", "--json")
    assert said.code == 1
    assert "/data/none.csv" in said.json["tasks"][0]["error"]["message"]
    assert not (samples.root / "var" / "channels.jsonl").exists()


def test_the_analytics_table_is_built_beside_and_swapped_in_and_slack_hears_nothing(samples: Workspace) -> None:
    """PIP-21 to PIP-24."""
    run = samples.json("run", "run_elt_error")
    assert states(run) == {"run_ctas": "SUCCESS", "send_slack_notification": "SKIPPED"}
    assert run["tasks"][0]["outputs"]["table"] == "analytics.mau_summary"
    assert sent(samples, "slack") == []


def test_no_raw_data_fails_the_check_leaves_the_table_and_tells_slack_once(samples: Workspace) -> None:
    """PIP-23, PIP-24, PIP-28: a retry of the message does not send it again."""
    before = samples.json("run", "run_elt_error")["tasks"][0]["outputs"]["rows"]
    said = samples.penstock("run", "run_elt_error", "-p", "raw_rows=0", "--json")
    assert said.code == 1
    assert states(said.json) == {"run_ctas": "FAILED", "send_slack_notification": "SUCCESS"}
    assert said.json["tasks"][0]["error"]["kind"] == "DataQualityError"
    assert samples.penstock("retry", "last", "send_slack_notification", "--wait").code == 1
    (message,) = sent(samples, "slack")
    assert "run_elt_error" in message["body"]["text"]
    assert mau_rows(samples) == before


def mau_rows(samples: Workspace) -> int:
    import duckdb

    with duckdb.connect(str(samples.root / "var" / "elt.duckdb"), read_only=True) as warehouse:
        found: int = warehouse.execute("SELECT count(*) FROM analytics.mau_summary").fetchone()[0]
        return found


@pytest.fixture
def postgres(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Four empty databases on the server of the tests."""
    server = make_conninfo(postgres_url.replace("postgresql+psycopg", "postgresql"), dbname="postgres")
    prefix = f"samples_{token_hex(5)}"
    names = [f"{prefix}_{name}" for name in ("production", "dev", "staging", "qa")]
    parts = conninfo_to_dict(server)
    monkeypatch.setenv("PGHOST", str(parts["host"]))
    monkeypatch.setenv("PGUSER", str(parts.get("user", "postgres")))
    monkeypatch.setenv("SAMPLES_PREFIX", prefix)
    with psycopg.connect(server, autocommit=True) as link:
        for name in names:
            link.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    yield prefix
    with psycopg.connect(server, autocommit=True) as link:
        for name in names:
            link.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def on(prefix: str, database: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(host=os.environ["PGHOST"], user=os.environ["PGUSER"], dbname=f"{prefix}_{database}")


@pytest.mark.parametrize("pipeline", REPLICATIONS)
def test_with_the_postgres_profile_the_same_pipelines_copy_between_postgresql_databases(
    samples: Workspace, postgres: str, pipeline: str
) -> None:
    """By switching the connection profile alone, once production has its orders as docs/samples.md says."""
    found = rows(samples.root / "data" / "production" / "production.db", "orders")
    told = (SOURCE / "docs" / "samples.md").read_text(encoding="utf-8")
    filling = told.split("<<'END'\n")[1].split("END\n")[0]  # as a reader would copy it
    (samples.root / "pipelines" / "fill_production.yaml").write_text(filling, encoding="utf-8")
    assert samples.penstock("run", "fill_production", "--profile", "postgres").code == 0
    run = samples.json("run", pipeline, "--profile", "postgres")
    assert set(states(run).values()) == {"SUCCESS"}
    table = REPLICATIONS[pipeline][3]
    for name in ("dev", "staging", "qa"):
        with on(postgres, name) as copied:
            query = SQL(
                "SELECT id, customer, email, status, total::float, currency, paid::int, note FROM {} ORDER BY id"
            )
            got = copied.execute(query.format(Identifier(table))).fetchall()
        if pipeline.endswith("_001"):
            assert [each[:7] for each in got] == [each[:7] for each in found]
        else:
            assert got == found
