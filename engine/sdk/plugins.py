"""Entry points of one group, found without reading the metadata of every installed package.

Law: importlib.metadata takes two megabytes and many modules with it, which every process forked from a zygote would
pay for: it is loaded only when a package names the group at all.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_FOLDERS = (".dist-info", ".egg-info")


def entry_points_of(group: str) -> Sequence[EntryPoint]:
    """Those of this environment, each name once."""
    if not any(_names(Path(folder or "."), group) for folder in sys.path):
        return ()
    from importlib.metadata import entry_points

    return list(entry_points(group=group))


def _names(folder: Path, group: str) -> bool:
    """Whether a package of one folder of the path has entry points in this group."""
    try:
        packages = [each for each in folder.iterdir() if each.name.endswith(_FOLDERS)]
    except OSError:
        return folder.is_file()  # packages inside an archive: only the library can tell
    return any(_said(each / "entry_points.txt", group) for each in packages)


def _said(file: Path, group: str) -> bool:
    try:
        return f"[{group}]" in file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
