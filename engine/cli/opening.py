"""The command line that only opens the console, understood without the library that all others need.

Law: a shorter way to the same place. What is not exactly one of these options goes to `engine.cli.app`, which knows
all of them, their abbreviations and what to say of a mistake; a fault on the way is told by it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FLAGS = {"--read-only": "read_only", "--attach": "attach", "--no-engine": "no_engine"}
VALUES = {"-w": "directory", "--workspace": "directory", "--profile": "profile"}


@dataclass(slots=True)
class Opening:
    """How the console was asked for."""

    directory: str | None = None
    profile: str | None = None
    read_only: bool = False
    attach: bool = False
    no_engine: bool = False


def opening(arguments: Sequence[str]) -> Opening | None:
    """None: something else was asked for, or the same in other words."""
    found = Opening()
    left = iter(arguments)
    for each in left:
        if each in FLAGS:
            setattr(found, FLAGS[each], True)
            continue
        value = next(left, None)
        if each not in VALUES or not value or value.startswith("-"):
            return None
        setattr(found, VALUES[each], value)
    return found
