"""The command line. Importing it costs nothing; `main` loads what the command at hand needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ConsoleOpener(Protocol):
    """Opens the console on the workspace at or above a folder; its exit code."""

    def __call__(
        self, directory: str | None, profile: str | None, *, read_only: bool, attach: bool, no_engine: bool
    ) -> int: ...


def main(arguments: Sequence[str] | None = None, console: ConsoleOpener | None = None) -> int:
    """Run one command and answer its exit code; without a command open the console, where there is one."""
    from engine.cli.app import run  # click is loaded when a command runs, not when this room is imported

    return run(arguments, console)
