"""The catalog: definitions as the workspace has them now, and the child that renders templates for the engine.

Law: a definition that breaks keeps its last good version in use and is reported; nothing here knows of runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from engine.model.errors import Problem
from engine.model.pipeline import Pipeline
from engine.model.workspace import Connection, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineReport:
    """What validation says about one pipeline (or one unreadable file)."""

    id: str | None
    file: str
    pipeline: Pipeline | None  # None when it has errors
    errors: Sequence[Problem] = field(default_factory=tuple)
    warnings: Sequence[Problem] = field(default_factory=tuple)
    suggestions: Sequence[Problem] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a plan can say of a templated value."""

    value: Any
    unresolved: Sequence[tuple[str | int, ...]] = ()  # paths that only a run can fill; they stay as written


class Catalog(Protocol):
    """Definitions of one workspace. Thread-safe."""

    def refresh(self, paths: Sequence[Path] | None = None) -> Sequence[PipelineReport]:
        """Read what changed (all when None) and report every file looked at."""

    def reports(self) -> Sequence[PipelineReport]:
        """The newest report of every file."""

    def ids(self) -> Sequence[str]:
        """Pipelines usable now, sorted."""

    def get(self, pipeline_id: str) -> Pipeline:
        """The last good definition. NotFound with a near spelling; ValidationFailed when it never was good."""

    def build(self, document: Mapping[str, Any], file: str | None = None) -> Pipeline:
        """A stored canonical document back into its value (a run's pinned version)."""

    def bind_parameters(
        self, pipeline: Pipeline, given: Mapping[str, Any], *, schedule: bool = False
    ) -> Mapping[str, Any]:
        """Defaults overlaid with schedule parameters (when asked) and `given`, type-checked. RequestError names
        every undeclared, missing or mistyped one, with the near spelling."""

    def connections(self, profile: str | None = None) -> Mapping[str, Connection]:
        """connections.yaml overlaid with the profile's. RequestError for an unknown profile."""

    def render_plan(self, renderer: Renderer, value: Any, context: Mapping[str, Any]) -> Planned:
        """Render what is known before there is a run; ConfigurationError as in Renderer."""

    def settings(self) -> Settings:
        """penstock.yaml."""


class Renderer(Protocol):
    """Templates rendered in a limited child (256 MiB, 1 s each); what has no markup is not sent."""

    def render(self, template: Any, context: Mapping[str, Any]) -> Any:
        """Every string inside `template` rendered; a string that is one expression keeps the value's type.
        Raises ConfigurationError naming the undefined name or the limit that was hit."""

    def close(self) -> None:
        """End the child."""
