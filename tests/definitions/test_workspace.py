"""penstock.yaml, connections.yaml and where the workspace is."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.definitions.workspace import WorkspaceInvalid, find_workspace, load_settings
from engine.model.errors import NotFound, RequestError
from engine.model.workspace import Settings
from tests.definitions.fakes import Workspace

EVERYTHING = """\
version: 1
state: .penstock/state.db
executor: local
limits: {workers: null, memory_mb: null, nice: 5, grace_seconds: 5, max_losses: 10, max_items: 1000}
linger: active
pools: {}
defaults:
  timeout_seconds: 3600
  retry_policy: {max_attempts: 3, backoff_seconds: 60, exponential_backoff: true, max_delay_seconds: 300,
    max_total_seconds: null, jitter_type: decorrelated,
    retry_on_error_types: [NetworkError, TimeoutError, ResourceExhaustion, RateLimited]}
retention: {days: 90, runs: 200000, letters_days: 365, logs_mb: 2048, log_mb_per_attempt: 256,
  staging_hours: 72, staging_mb: 20480}
sandbox: kernel
shared_group: null
allow_network_fs: false
profile: null
"""


def test_it_is_found_upwards(workspace: Workspace):
    assert find_workspace(workspace.root / "pipelines") == workspace.root
    with pytest.raises(NotFound, match=r"penstock init"):
        find_workspace(Path("/proc/self"))


@pytest.mark.parametrize("text", ["", "version: 1\n", EVERYTHING])
def test_an_empty_file_and_the_defaults_written_out_mean_the_same(workspace: Workspace, text):
    """CONTRACT: all keys are optional; the values shown are the defaults."""
    workspace.write("penstock.yaml", text)
    assert load_settings(workspace.root) == Settings(root=workspace.root)


def test_every_key_is_read(workspace: Workspace):
    workspace.write(
        "penstock.yaml",
        """\
state: postgresql+psycopg://user@host/db
limits: {workers: 3, memory_mb: 512, nice: 0}
linger: 30
pools: {prod_db: {slots: 2}, email_api: {slots: 3, per_second: 1, burst: 5}}
defaults: {timeout_seconds: 60, retries: 1}
profiles: {postgres: {connections: connections.postgres.yaml}}
profile: postgres
samples: true
""",
    )
    settings = load_settings(workspace.root)
    assert settings.state == "postgresql+psycopg://user@host/db"
    assert (settings.limits.workers, settings.limits.nice, settings.linger) == (3, 0, 30)
    assert settings.pools["email_api"].per_second == 1
    assert settings.pools["prod_db"].slots == 2
    assert settings.defaults.timeout_seconds == 60
    assert settings.defaults.retry_policy.max_attempts == 2
    assert settings.defaults.retry_policy.exponential_backoff is False
    assert settings.profile == "postgres"
    assert settings.samples is True


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pols: {}", "did you mean 'pools'"),
        ("executor: dask", "not in this version"),
        ("executor: {dask: {scheduler: x}}", "not in this version"),
        ("limits: {worker: 3}", "did you mean 'workers'"),
        ("limits: {workers: 0}", "at least 1"),
        ("linger: sometimes", "'sometimes' is not known"),
        ("version: 2", "expected one of: 1"),
        ("sandbox: none", "'none' is not known"),
        ("profile: nobody", "profile 'nobody' is not known"),
        ("pools: {db: {}}", "at least 1 key"),
        ("defaults: {retries: 1, retry_policy: {max_attempts: 2}}", "twice"),
        ("[]", "expected a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_what_is_wrong_is_refused_by_name(workspace: Workspace, text, words):
    workspace.write("penstock.yaml", text)
    with pytest.raises(WorkspaceInvalid) as caught:
        load_settings(workspace.root)
    assert words in str(caught.value)
    assert "penstock.yaml" in str(caught.value)


def test_all_problems_of_the_settings_are_told_at_once(workspace: Workspace):
    workspace.write("penstock.yaml", "pols: {}\nexecutor: dask\nlinger: never_ever\n")
    with pytest.raises(WorkspaceInvalid) as caught:
        load_settings(workspace.root)
    assert {problem.line for problem in caught.value.problems} == {1, 2, 3}


CONNECTIONS = """\
shop:
  type: postgresql
  host: db
  password: ${env:SHOP_PASSWORD}
  rate_limit: {per_second: 2, burst: 4}
  direction: in
ops: {type: slack, url: "${env:SLACK:-none}"}
"""


def test_connections_keep_their_references(workspace: Workspace):
    """DEF-23: secrets are never resolved here."""
    workspace.write("connections.yaml", CONNECTIONS)
    catalog = workspace.catalog()
    assert list(catalog.refresh()) == []
    shop = catalog.connections()["shop"]
    assert shop.config == {"host": "db", "password": "${env:SHOP_PASSWORD}"}
    assert (shop.type, shop.direction, shop.per_second, shop.burst) == ("postgresql", "in", 2, 4)


def test_a_profile_lies_over_the_others(workspace: Workspace):
    workspace.write("penstock.yaml", "profiles: {test: {connections: connections.test.yaml}}\n")
    workspace.write("connections.yaml", CONNECTIONS)
    workspace.write("connections.test.yaml", "shop: {type: sqlite, path: x.db}\n")
    catalog = workspace.catalog()
    assert catalog.connections()["shop"].type == "postgresql"
    assert catalog.connections("test")["shop"].type == "sqlite"
    assert catalog.connections("test")["ops"].type == "slack"
    with pytest.raises(RequestError, match="did you mean 'test'"):
        catalog.connections("tets")


@pytest.mark.parametrize(
    "line",
    [
        "password: hunter2",
        "api_key: hunter2",
        "url: 'postgresql://u:hunter2@h/db'",
        "webhook_url_is: {secret: hunter2}",
        "url: 'https://hooks.slack.com/services/hunter2'",
    ],
)
def test_a_secret_written_out_is_warned_of_and_never_quoted(workspace: Workspace, line):
    workspace.write("connections.yaml", f"shop:\n  type: sqlite\n  {line}\n")
    (report,) = workspace.catalog().refresh()
    (warning,) = report.warnings
    assert warning.line == 3
    assert "${env:" in str(warning.suggestion)
    assert "hunter2" not in str(report)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("shop: {host: x}", "'type' is missing"),
        ("shop: 5", "expected a mapping"),
        ("shop: {type: x, direction: up}", "'up' is not known"),
        ("shop: {type: x, rate_limit: {per_second: 0}}", "more than 0"),
        ("shop: {type: x, pool: nobody}", "pool 'nobody' is not known"),
        ("shop: {type: x, host: '${evn:X}'}", "did you mean 'env'"),
        ("shop: {type: x, host: '${X}'}", "is no reference"),
        ("shop: {type: x, host: '${service:none}'}", "service 'none' is not known"),
        ("a b: {type: x}", "letters, digits"),
    ],
)
def test_connections_are_checked(workspace: Workspace, text, words):
    workspace.write("connections.yaml", text)
    (report,) = workspace.catalog().refresh()
    assert any(words in problem.message for problem in report.errors), report.errors


def test_a_dotenv_that_others_can_read_is_reported(workspace: Workspace):
    path = workspace.write(".env", "A=1\n")
    path.chmod(0o644)
    catalog = workspace.catalog()
    (report,) = catalog.refresh()
    assert report.errors[0].suggestion == "chmod 600 .env"
    path.chmod(0o600)
    assert list(catalog.refresh()) == []


def test_services_are_read_with_their_command_port_and_readiness(tmp_path: Path) -> None:
    written = "version: 1\nservices: {channels: {command: [python, x.py], ready: /health}}\n"
    (tmp_path / "penstock.yaml").write_text(written)
    (service,) = load_settings(tmp_path).services.values()
    assert (service.name, service.command, service.port, service.ready) == (
        "channels",
        ("python", "x.py"),
        0,
        "/health",
    )


def test_a_service_without_a_command_is_refused(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text("version: 1\nservices: {channels: {ready: /health}}\n")
    with pytest.raises(WorkspaceInvalid, match="command"):
        load_settings(tmp_path)
