"""One invocation: the common options, the workspace they name, and where output goes.

Law: the workspace is opened when a command first needs it and closed when the command ends, whatever happens.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli import ConsoleOpener
from engine.cli.output import Output

if TYPE_CHECKING:
    from engine.bootstrap import Workspace
    from engine.client import Client


@dataclass(slots=True)
class Session:
    """What one command line asked for."""

    directory: Path | None = None
    profile: str | None = None
    json: bool = False
    console: ConsoleOpener | None = None
    _workspace: Workspace | None = field(default=None, repr=False)

    @property
    def out(self) -> Output:
        """Where answers go."""
        return Output(json=self.json)

    @property
    def start(self) -> Path:
        """Where the search for a workspace begins."""
        return self.directory if self.directory is not None else Path.cwd()

    @property
    def workspace(self) -> Workspace:
        """The workspace; NotFound and RequestError say what is wrong with it."""
        if self._workspace is None:
            from engine.bootstrap import open_workspace  # everything heavy hangs from here

            profile = self.profile or os.environ.get("PENSTOCK_PROFILE") or None
            self._workspace = open_workspace(self.start, profile)
        return self._workspace

    @property
    def client(self) -> Client:
        """The facade over the workspace."""
        return self.workspace.client

    def answer(self, document: Any, human: Callable[[Output], None]) -> None:
        """Print the document as JSON, or what people read of it."""
        if self.json:
            self.out.document(document)
        else:
            human(self.out)

    def close(self) -> None:
        """Let go of the workspace."""
        if self._workspace is not None:
            self._workspace.close()
            self._workspace = None
