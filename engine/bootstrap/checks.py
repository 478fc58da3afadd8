"""Health checks, built when somebody asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.model.health import HealthCheckResult

if TYPE_CHECKING:
    from engine.bootstrap.workspace import Workspace


class LazyChecks:
    """engine.ports.health.HealthChecks over one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def run(self) -> Sequence[HealthCheckResult]:
        """Every check of this version."""
        from engine.bootstrap.health import checks

        return checks(self._workspace).run()
