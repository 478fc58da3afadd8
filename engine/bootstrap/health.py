"""What the health checks ask of a workspace, wired."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from engine.bootstrap.replication import slots
from engine.bootstrap.workspace import Workspace
from engine.connectors.plugins import types as added_types
from engine.connectors.registry import TYPES
from engine.definitions.profiles import read_profiles
from engine.model.workspace import Connection
from engine.notifiers.registry import TYPES as NOTIFIERS
from engine.observe import replication
from engine.observe.health import Health, Probes, workspace_checks
from engine.observe.machine import Thresholds
from engine.runtime.lease import holder_gone


def checks(workspace: Workspace) -> Health:
    """engine.ports.health.HealthChecks of one workspace."""
    probes = Probes(
        settings=workspace.settings,
        queries=workspace.queries,
        lease=workspace.mailbox.lease,
        alive=lambda lease: not holder_gone(lease),
        logs=workspace.settings.home / "logs",
        logs_bytes=workspace.logs.used_bytes,
        monotonic=workspace.clock.monotonic,
        thresholds=Thresholds.from_environment(os.environ),
        guarded=lambda profile: guarded(workspace, profile),
        slots=lambda: slots(workspace),
        slot_mb=lambda: replication.threshold(os.environ),
    )
    return Health(workspace_checks(probes), workspace.clock.now)


def guarded(workspace: Workspace, profile: str | None) -> Collection[str] | None:
    """Connections of a profile that have a breaker now; None where a file of connections has errors. A profile that
    is gone has none."""
    known = connections_of_profiles(workspace)
    if known is None:
        return None
    return frozenset(name for name, each in known.get(profile, {}).items() if each.breaker is not None)


def connections_of_profiles(workspace: Workspace) -> Mapping[str | None, Mapping[str, Connection]] | None:
    """As the files have them now, without reading pipelines; None where one of them has errors."""
    found = read_profiles(workspace.settings, plugins=added_types(TYPES | NOTIFIERS))
    if any(report.errors for report in found.reports if report.file != ".env"):
        return None
    return found.by_profile
