"""The command line. Importing it costs nothing; `main` loads what the command at hand needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.cli.opening import Opening


class ConsoleOpener(Protocol):
    """Opens the console on the workspace at or above a folder; its exit code."""

    def __call__(
        self, directory: str | None, profile: str | None, *, read_only: bool, attach: bool, no_engine: bool
    ) -> int: ...


def main(arguments: Sequence[str] | None = None, console: ConsoleOpener | None = None) -> int:
    """Run one command and answer its exit code; without a command open the console, where there is one."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if console is not None:
        from engine.cli.opening import opening

        asked = opening(given)
        if asked is not None:
            return _opened(console, asked)
    from engine.cli.app import run  # click is loaded when a command runs, not when this room is imported

    return run(given, console)


def _opened(console: ConsoleOpener, asked: Opening) -> int:
    try:
        return console(
            asked.directory,
            asked.profile,
            read_only=asked.read_only,
            attach=asked.attach,
            no_engine=asked.no_engine,
        )
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - told as of any other command
        from engine.cli.app import complain

        return complain(error)
