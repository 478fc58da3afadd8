"""A workspace's settings and connections as values, with CONTRACT's defaults.

Law: values only; reading the files is engine.definitions' work, resolving secrets the secrets port's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.model.breaker import BreakerConfig
from engine.model.pipeline import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one engine."""

    workers: int | None = None  # None: CPU count, at least 2
    memory_mb: int | None = None  # None: 75 % of memory
    nice: int = 5
    grace_seconds: float = 5.0
    max_losses: int = 10
    max_items: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Named slots and rates, held by tasks while they run."""

    name: str
    slots: int | None = None
    per_second: float | None = None
    burst: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of the past is kept."""

    days: int = 90
    runs: int = 200_000
    letters_days: int = 365  # an open dead letter keeps its run so long, past days and runs
    logs_mb: int = 2048
    log_mb_per_attempt: int = 256
    staging_hours: float = 72.0  # rows staged by a run are kept so long after its end
    staging_mb: int = 20_480  # all staged rows together; the oldest ended runs' go first


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a task has when neither it nor its pipeline says otherwise."""

    timeout_seconds: float = 3600.0
    retry_policy: RetryPolicy = RetryPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A helper process the engine starts on first use, on loopback, and ends with itself."""

    name: str
    command: tuple[str, ...]
    port: int = 0
    ready: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """penstock.yaml."""

    root: Path
    state: str = ".penstock/state.db"  # a path below root, or a database URL
    executor: str = "local"
    limits: Limits = Limits()
    linger: str | float = "active"  # active | never | always | seconds
    pools: Mapping[str, Pool] = field(default_factory=dict)
    defaults: Defaults = Defaults()
    retention: Retention = Retention()
    sandbox: str = "kernel"
    shared_group: str | None = None
    allow_network_fs: bool = False
    profile: str | None = None
    services: Mapping[str, Service] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    samples: bool = False

    @property
    def home(self) -> Path:
        """Where state, logs and staging live."""
        return self.root / ".penstock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One named system. `config` holds references such as ${env:NAME}, never the secret itself."""

    id: str
    type: str
    config: Mapping[str, Any] = field(default_factory=dict)
    direction: str = "both"
    per_second: float | None = None
    burst: int = 1
    pool: str | None = None
    breaker: BreakerConfig | None = BreakerConfig()  # None: never left alone
