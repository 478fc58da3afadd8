"""Definitions, read when somebody asks for one: looking at runs must not wait for what reads YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.bootstrap.workspace import Workspace


class LazyCatalog:
    """engine.ports.catalog.Catalog over one workspace: every name of it is the real one's."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __getattr__(self, name: str) -> Any:
        return getattr(self._workspace.catalog, name)
