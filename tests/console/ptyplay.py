"""The real `penstock` on a pseudo-terminal, over a workspace on disk."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from checks.terminal import Terminal, surroundings
from console.__main__ import Keeper
from engine.bootstrap.workspace import Workspace, open_workspace

LIMIT_SECONDS = 60.0  # a deadline for a loaded machine, not a measurement


def console(root: Path, *options: str, size: tuple[int, int] = (80, 24), **environment: str) -> Terminal:
    """`penstock -w ROOT` with an empty home."""
    return Terminal(
        [sys.executable, "-m", "console", "-w", str(root), *options],
        environment=surroundings(root.parent / "home", **environment),
        size=size,
        limit=LIMIT_SECONDS,
    )


@contextmanager
def workspace(root: Path) -> Iterator[Workspace]:
    """The workspace from outside; whoever leads it in the end is stopped."""
    opened = open_workspace(root)
    try:
        yield opened
        Keeper(opened).stop()
    finally:
        opened.close()


def eventually(condition: Callable[[], object], terminal: Terminal | None = None) -> None:
    """Look until it is so; a terminal is read meanwhile, so that it does not fill up."""
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come to be" + (f":\n{terminal.text}" if terminal else "")
        if terminal is not None:
            terminal.read(0.02)
        else:
            time.sleep(0.02)


def persist(terminal: Terminal, key: str, condition: Callable[[], object]) -> None:
    """Press a key until it worked: a dialog takes none in its first moments (the Enter that opened it)."""
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end, f"{key} does nothing:\n{terminal.text}"
        terminal.press(key)
        terminal.quiet(0.4)


def one_by_one(terminal: Terminal, *keys: str) -> None:
    """Keys as a hand presses them: what one did is on the screen before the next comes."""
    for key in keys:
        terminal.press(key)
        terminal.quiet(0.25)
