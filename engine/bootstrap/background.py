"""`python -m engine.bootstrap.background ROOT PROFILE`: the engine that outlives the console that started it."""

from __future__ import annotations

import sys
from pathlib import Path

from engine.bootstrap.enginelog import to_file
from engine.bootstrap.host import background
from engine.bootstrap.workspace import open_workspace
from engine.model.errors import PenstockError


def main(arguments: list[str]) -> int:
    """Lead while needed; one sentence on stderr when it cannot."""
    root, profile = Path(arguments[0]), arguments[1] or None
    try:
        workspace = open_workspace(root, profile)
        to_file(workspace.settings.home)
        return background(workspace)
    except PenstockError as error:
        sys.stderr.write(f"penstock: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
