"""Health checks: each grade of each component, and that none of them can break the report."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.model.breaker import Breaker, BreakerState
from engine.model.errors import StoreUnusable
from engine.model.event import Event
from engine.model.health import HealthCheckResult, HealthStatus
from engine.model.run import PipelineRun, RunState
from engine.model.workspace import Settings
from engine.observe import machine, replication, sandbox, work
from engine.observe.health import Health, Probes, workspace_checks
from engine.observe.machine import Thresholds
from engine.observe.sandbox import Walls
from engine.ports.health import HealthChecks, SlotLag, overall
from engine.ports.mailbox import Lease
from engine.ports.queries import Counts
from engine.ports.store import DefinitionStatus

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GOOD, POOR, BAD = HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY


def lease(**changes: Any) -> Lease:
    given = {
        "holder": "h",
        "host": "box",
        "pid": 42,
        "pid_started": 1.0,
        "boot_id": "b",
        "user": "alice",
        "started_by": "alice@box",
        "scope": "engine",
        "epoch": 7,
        "acquired_at": NOW - timedelta(hours=1),
        "expires_at": NOW + timedelta(seconds=8),
    }
    return Lease(**{**given, **changes})


def a_run(run_id: str, hours: float, state: RunState = RunState.RUNNING) -> PipelineRun:
    common = {"logical_date": NOW, "data_interval_start": NOW, "data_interval_end": NOW, "triggered_at": NOW}
    started = NOW - timedelta(hours=hours)
    return PipelineRun(
        run_id=run_id, pipeline_id="p", version=1, state=state, triggered_by="me", started_at=started, **common
    )


class Store:
    """Queries that answer what a test puts in."""

    def __init__(self) -> None:
        self.active: list[PipelineRun] = []
        self.run_counts: dict[str, int] = {}
        self.letter_counts: dict[str, int] = {}
        self.broken: list[DefinitionStatus] = []
        self.last: Event | None = None
        self.remembered: list[Breaker] = []

    def runs(self, *, active: bool, limit: int) -> tuple[list[PipelineRun], None]:
        assert active
        return self.active[:limit], None

    def counts(self) -> Counts:
        return Counts(runs=self.run_counts, tasks={}, letters=self.letter_counts)

    def breakers(self) -> list[Breaker]:
        return self.remembered

    def broken_definitions(self) -> list[DefinitionStatus]:
        return self.broken

    def last_seq(self) -> int:
        return 9 if self.last else 0

    def events(self, after: int, limit: int) -> list[Event]:
        return [self.last] if self.last and after == 8 else []


@pytest.fixture
def store() -> Any:
    return Store()


def probes(tmp_path: Path, store: Any, **changes: Any) -> Probes:
    given = {
        "settings": Settings(root=tmp_path),
        "queries": store,
        "lease": lambda: None,
        "alive": lambda held: True,
        "logs": tmp_path / ".penstock" / "logs",
        "logs_bytes": lambda: 0,
        "monotonic": lambda: 0.0,
        "thresholds": Thresholds(memory_degraded=100, memory_unhealthy=100, disk_degraded=100, disk_unhealthy=100),
    }
    return Probes(**{**given, **changes})


class TestReport:
    def test_a_fresh_workspace_is_healthy_in_every_component(self, tmp_path: Path, store: Any) -> None:
        """HLT-06; and nothing is made by looking."""
        report: HealthChecks = Health(workspace_checks(probes(tmp_path, store)), lambda: NOW)
        results = report.run()
        assert {one.component for one in results} >= {
            "engine",
            "state",
            "system",
            "disk",
            "runs",
            "sandbox",
            "clock",
        }
        assert overall(results) is GOOD, [one for one in results if one.status is not GOOD]
        assert all(one.at == NOW and one.message.endswith(".") for one in results)
        assert list(tmp_path.iterdir()) == []

    def test_the_component_is_the_one_asked_for(self, tmp_path: Path, store: Any) -> None:
        checks = workspace_checks(probes(tmp_path, store))
        assert [one.component for one in Health(checks, lambda: NOW).run()] == list(checks)

    def test_a_check_that_raises_is_unhealthy_and_hides_no_other(self, tmp_path: Path, store: Any) -> None:
        """HLT-01."""

        def damaged() -> int:
            raise StoreUnusable("The state file is damaged.")

        store.last_seq = damaged
        results = {
            one.component: one for one in Health(workspace_checks(probes(tmp_path, store)), lambda: NOW).run()
        }
        assert results["state"].status is BAD
        assert "The state file is damaged." in results["state"].message
        assert results["runs"].status is GOOD


class TestResources:
    Memory = namedtuple("Memory", "percent available")
    Disk = namedtuple("Disk", "percent free")

    @pytest.mark.parametrize(
        ("memory", "disk", "status"),
        [
            (80, 85, GOOD),
            (80.1, 10, POOR),
            (90, 10, POOR),
            (90.1, 10, BAD),
            (10, 85.1, POOR),
            (10, 95, POOR),
            (10, 95.1, BAD),
            (85, 99, BAD),
        ],
    )
    def test_grades(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: float, disk: float, status: HealthStatus
    ) -> None:
        """HLT-02: memory over 80/90 %, disk over 85/95 %."""
        monkeypatch.setattr("psutil.virtual_memory", lambda: self.Memory(memory, 512 * machine.MEGABYTE))
        monkeypatch.setattr("psutil.disk_usage", lambda path: self.Disk(disk, 10**12))
        result = machine.resources(NOW, tmp_path, Thresholds())
        assert result.status is status
        assert set(result.metrics) == {
            "memory_usage_percent",
            "disk_usage_percent",
            "cpu_usage_percent",
            "available_memory_mb",
        }
        assert result.metrics["available_memory_mb"] == 512

    def test_thresholds_come_from_the_environment(self) -> None:
        """HLT-02: configurable."""
        found = Thresholds.from_environment({"PENSTOCK_HEALTH_DISK_DEGRADED": "70", "OTHER": "x"})
        assert found == Thresholds(disk_degraded=70.0)
        with pytest.raises(ValueError, match="PENSTOCK_HEALTH_MEMORY_UNHEALTHY must be a percentage"):
            Thresholds.from_environment({"PENSTOCK_HEALTH_MEMORY_UNHEALTHY": "lots"})

    def test_a_nearly_full_disk_is_named_with_its_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("psutil.disk_usage", lambda path: self.Disk(50, 10 * machine.MEGABYTE))
        result = machine.disks(NOW, {"state": tmp_path / "not" / "yet"}, Thresholds())
        assert (result.status, result.metrics["state_free_mb"]) == (BAD, 10)
        assert str(tmp_path / "not" / "yet") in result.message

    @pytest.mark.parametrize(("used_mb", "status"), [(10, GOOD), (11, POOR)])
    def test_logs_past_their_allowance(self, used_mb: int, status: HealthStatus) -> None:
        assert machine.logs(NOW, used_mb * machine.MEGABYTE, 10).status is status


class TestState:
    @pytest.mark.parametrize(("seconds", "status"), [(0.01, GOOD), (5.0, GOOD), (5.1, POOR)])
    def test_slow_answers_are_degraded(self, store: Any, seconds: float, status: HealthStatus) -> None:
        """HLT-03: degraded above 5000 ms."""
        ticks = iter([0.0, seconds])
        result = work.state(NOW, store, None, lambda: next(ticks))
        assert result.status is status
        assert result.metrics["response_time_ms"] == pytest.approx(seconds * 1000)

    def test_it_writes_where_it_may(self, store: Any) -> None:
        written: list[int] = []
        result = work.state(NOW, store, lambda: written.append(1), lambda: 0.0)
        assert written == [1]
        assert result.message.startswith("Reading and writing")


class TestEngine:
    @pytest.mark.parametrize(
        ("held", "alive", "status", "said"),
        [
            (lease(), True, GOOD, "pid 42 of alice"),
            (lease(), False, POOR, "is gone"),
            (lease(expires_at=NOW - timedelta(seconds=30)), True, POOR, "for 30 s beyond its time"),
            (None, True, GOOD, "no run needs one"),
        ],
    )
    def test_who_leads(self, store: Any, held: Lease | None, alive: bool, status: HealthStatus, said: str) -> None:
        result = work.engine(NOW, lambda: held, lambda one: alive, store)
        assert result.status is status
        assert said in result.message

    def test_runs_without_an_engine_are_told_how_to_go_on(self, store: Any) -> None:
        store.active = [a_run("r1", 0.1)]
        result = work.engine(NOW, lambda: None, lambda one: True, store)
        assert result.status is POOR
        assert "penstock engine" in result.message


class TestWork:
    def test_a_run_of_more_than_two_hours_is_stuck(self, store: Any) -> None:
        """LOG-04."""
        store.active = [a_run("fresh", 1.9), a_run("old", 2.1), a_run("waits", 9, RunState.PENDING)]
        result = work.stuck_runs(NOW, store)
        assert (result.status, result.metrics["stuck"]) == (POOR, 1)
        assert "penstock why old" in result.message

    @pytest.mark.parametrize(
        ("counts", "status", "rate"),
        [
            ({}, GOOD, 0.0),
            ({"FAILED": 1}, GOOD, 100.0),
            ({"FAILED": 2, "SUCCESS": 2}, POOR, 50.0),
            ({"FAILED": 1, "SUCCESS": 9}, GOOD, 10.0),
        ],
    )
    def test_the_error_rate_of_a_day(
        self, store: Any, counts: dict[str, int], status: HealthStatus, rate: float
    ) -> None:
        """HLT-06."""
        store.run_counts = counts
        result = work.error_rate(NOW, store)
        assert (result.status, result.metrics["error_rate_percent"]) == (status, rate)

    def test_open_letters_are_counted_by_queue(self, store: Any) -> None:
        assert work.dead_letters(NOW, store).status is GOOD
        store.letter_counts = {"transient": 2, "system": 1, "permanent": 0}
        result = work.dead_letters(NOW, store)
        assert (result.status, result.metrics["open"]) == (POOR, 3)
        assert "1 system, 2 transient" in result.message

    def test_an_open_circuit_is_named_and_one_that_is_being_tried_is_counted(self, store: Any) -> None:
        """CBR-03: what nobody uses now is degraded; once its time is up it is no trouble of its own."""
        assert work.connections(NOW, store).metrics == {"open": 0, "half_open": 0, "forgotten": 0}
        until, reason = NOW + timedelta(seconds=30), "network: no route"
        opened = Breaker(connection="shop", state=BreakerState.OPEN, calls="xx", reason=reason, updated_at=NOW)
        store.remembered = [
            replace(opened, retry_at=until),
            Breaker(connection="due", profile="prod", state=BreakerState.OPEN, retry_at=NOW, updated_at=NOW),
            Breaker(connection="well", calls=".x", updated_at=NOW),
        ]
        result = work.connections(NOW, store)
        assert (result.status, result.metrics) == (POOR, {"open": 1, "half_open": 1, "forgotten": 0})
        assert "1 circuit(s) open: shop." in result.message and reason in result.message
        assert "12:00:30 UTC" in result.message and "due" not in result.message
        later = work.connections(until, store)
        assert (later.status, later.metrics) == (GOOD, {"open": 0, "half_open": 2, "forgotten": 0})
        assert "shop, due of profile prod" in later.message

    def test_a_circuit_of_a_connection_that_is_gone_is_said_and_degrades_nothing(self, store: Any) -> None:
        """CBR-03: what is no longer in connections.yaml holds nobody back."""
        until = NOW + timedelta(seconds=30)
        kept = Breaker(connection="kept", state=BreakerState.OPEN, retry_at=until, updated_at=NOW)
        store.remembered = [replace(kept, connection="gone"), replace(kept, profile="old")]
        known = {None: {"kept"}, "old": set[str]()}
        result = work.connections(NOW, store, known.get)
        assert (result.status, result.metrics["open"], result.metrics["forgotten"]) == (GOOD, 0, 2)
        assert "gone, kept of profile old" in result.message
        store.remembered.append(kept)
        assert work.connections(NOW, store, known.get).status is POOR
        unread = work.connections(NOW, store, lambda profile: None)
        assert (unread.status, unread.metrics["open"]) == (POOR, 3)  # the file is broken: everything counts

    def test_broken_definitions_are_named(self, store: Any) -> None:
        assert work.definitions(NOW, store).status is GOOD
        store.broken = [DefinitionStatus(pipeline_id="a", file="pipelines/a.yaml", problems=(), since=NOW)]
        result = work.definitions(NOW, store)
        assert result.status is POOR
        assert "pipelines/a.yaml" in result.message

    @pytest.mark.parametrize(("ahead", "status"), [(-60, GOOD), (1, GOOD), (3600, POOR)])
    def test_a_clock_that_went_back_is_noticed(self, store: Any, ahead: int, status: HealthStatus) -> None:
        """FAULTS 22."""
        store.last = Event(type="task.state", at=NOW + timedelta(seconds=ahead))
        result = work.clock(NOW, store, lambda: None)
        assert (result.status, result.metrics["behind_seconds"]) == (status, max(0, ahead))


class TestReplication:
    LATE = SlotLag(connection="shop", slot="s1", behind_bytes=3 << 20, retained_bytes=5 << 20, status="reserved")

    @pytest.mark.parametrize(
        ("found", "status", "said"),
        [
            ([], GOOD, "No slot of change capture."),
            ([LATE], GOOD, "shop/s1 3 MB behind"),
            ([replace(LATE, retained_bytes=(10 << 20) + 1)], POOR, "more than 10 MB of the server's log kept"),
            ([replace(LATE, status="lost")], BAD, "penstock watermarks reset"),
            ([LATE, SlotLag(connection="far", slot="", problem="no route")], POOR, "far: no route."),
        ],
    )
    def test_a_slot_that_holds_back_the_log_is_told(
        self, found: list[SlotLag], status: HealthStatus, said: str
    ) -> None:
        result = replication.slots(NOW, found, 10)
        assert result.status is status and said in result.message
        assert result.metrics["threshold_mb"] == 10

    def test_the_threshold_comes_from_the_environment(self) -> None:
        assert replication.threshold({}) == 1024
        assert replication.threshold({replication.VARIABLE: "0.5"}) == 0.5
        for wrong in ("lots", "-1", "nan", "inf"):
            with pytest.raises(ValueError, match="must be a number of MB"):
                replication.threshold({replication.VARIABLE: wrong})


class TestDatabase:
    @pytest.mark.parametrize(
        ("version", "bug"),
        [
            ((3, 6, 23), False),
            ((3, 7, 0), True),
            ((3, 40, 1), True),
            ((3, 50, 6), True),
            ((3, 50, 7), False),
            ((3, 51, 2), True),
            ((3, 51, 3), False),
            ((3, 52, 0), False),
        ],
    )
    def test_the_known_fault_is_told(self, version: tuple[int, ...], bug: bool) -> None:
        result = machine.database(NOW, ".penstock/state.db", version)
        assert ("WAL-reset" in result.message) is bug
        assert result.metrics["version"] == ".".join(map(str, version))

    def test_a_url_is_told_by_its_kind_alone(self) -> None:
        result = machine.database(NOW, "postgresql+psycopg://me:canary@host/db")
        assert "postgresql" in result.message
        assert "canary" not in str(result)


class TestUser:
    def test_the_engines_user_is_named(self) -> None:
        result = machine.user(NOW, lease(user="somebody_else"))
        assert "'somebody_else', while this command runs as" in result.message

    def test_a_user_without_a_name_is_a_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_001)
        assert "uid 4000000001" in machine.user(NOW, None).message


class TestSandbox:
    @pytest.mark.parametrize(
        ("walls", "name"),
        [
            (Walls(namespaces=True, landlock=3, seccomp=True), "full"),
            (Walls(namespaces=False, landlock=3, seccomp=True), "kernel"),
            (Walls(namespaces=True, landlock=0, seccomp=True), "weak"),
            (Walls(namespaces=True, landlock=3, seccomp=False), "weak"),
        ],
    )
    def test_the_tier_and_what_is_missing(self, walls: Walls, name: str) -> None:
        result: HealthCheckResult = sandbox.tier(NOW, walls)
        assert f"'{name}'" in result.message
        assert ("missing" in result.message) is (name != "full")
        assert result.metrics["tier"] == name

    def test_probing_leaves_the_process_as_it_was(self) -> None:
        """A seccomp filter or namespace that took hold would show here."""
        code = (
            "import os, pathlib; from engine.observe import sandbox\n"
            "def state():\n"
            "    lines = pathlib.Path('/proc/self/status').read_text().splitlines()\n"
            "    kept = [l for l in lines if l.startswith(('Seccomp', 'NoNewPrivs', 'Uid', 'Cap'))]\n"
            "    return kept, os.readlink('/proc/self/ns/user'), os.readlink('/proc/self/ns/net')\n"
            "before = state(); sandbox.probe(); assert state() == before\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
