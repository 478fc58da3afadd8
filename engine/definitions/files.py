"""Files of a workspace, opened with distrust: what lies under the root, is a regular file and is not too large.

Law: no path leaves the root, through a link or otherwise; no pipe or device is ever opened for reading; a name
is shown with its control characters spelled out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.definitions.problems import printable
from engine.definitions.read import MAX_BYTES

SUFFIXES = (".yaml", ".yml", ".py")
_MOST_FILES = 20_000
_MOST_DEPTH = 16


class BadFile(Exception):
    """The file can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a changed file from an unchanged one without reading it."""

    mtime_ns: int
    size: int
    inode: int
    mode: int  # a .env whose mode changed is another matter


def shown(path: Path | str, root: Path) -> str:
    """A path for people: below the root, `/` between, hostile characters spelled out."""
    text = os.path.relpath(path, root)
    return printable(os.fsencode(text).decode("utf-8", "backslashreplace"))


def stamp(path: Path | str) -> Stamp | None:
    """The stamp of a file, or None when there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)


def read_inside(path: Path | str, root: Path, *, most: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file that lies, links resolved, below the root. Raises BadFile."""
    real = os.path.realpath(path)
    base = os.path.realpath(root)
    if not real.startswith(base.rstrip(os.sep) + os.sep):
        raise BadFile("it is a link that leaves the workspace; copy the file here instead")
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BadFile(f"it can't be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadFile("it is not a regular file")
        try:
            data = stream.read(most + 1)
        except OSError as error:
            raise BadFile(f"it can't be read: {error.strerror}") from error
    if len(data) > most:
        raise BadFile(f"it is larger than {most >> 20} MiB; split it, or build the tasks in a Python definition")
    return data


def definition_files(folder: Path | str, depth: int = 0) -> Iterator[str]:
    """Every definition below a folder, sorted; hidden names are left out, linked folders are not entered."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries[:_MOST_FILES]:
        if entry.name.startswith((".", "__")):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth < _MOST_DEPTH:
                yield from definition_files(entry.path, depth + 1)
        elif entry.name.endswith(SUFFIXES):
            yield entry.path
