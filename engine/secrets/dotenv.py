"""The `.env` of a workspace: variables that do not depend on who opened the console first.

Law: a file that others could read is refused, never read with a warning; no message quotes a value.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from engine.secrets.problem import SecretProblem

_LARGEST = 1024 * 1024
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


class DotEnv:
    """One file, read anew whenever it has changed: tokens rotate (SEC-01)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Stamp and content in one tuple: readers on several threads see both or neither.
        self._seen: tuple[tuple[int, int, int, int], dict[str, str]] | None = None

    def variables(self) -> dict[str, str]:
        """Its variables; empty when there is no such file. SecretProblem when others could read it."""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SecretProblem(f"{self._path} cannot be read: {error.strerror}.") from error
        try:
            # What was opened is what is judged: nobody can swap the file in between.
            status = os.fstat(handle)
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode)
            seen = self._seen
            if seen is None or seen[0] != stamp:
                self._refuse_open(status)
                seen = (stamp, parse(os.read(handle, _LARGEST), self._path))
                self._seen = seen
        finally:
            os.close(handle)
        return dict(seen[1])

    def _refuse_open(self, status: os.stat_result) -> None:
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            raise SecretProblem(f"{self._path} is not a file.")
        if mode & 0o077:
            raise SecretProblem(
                f"{self._path} is open to other users (mode {mode:04o}) and is not read. "
                f"Close it: chmod 600 {self._path}"
            )
        if status.st_size > _LARGEST:
            raise SecretProblem(f"{self._path} is larger than 1 MiB; a .env holds a few variables.")


def parse(content: bytes, path: Path) -> dict[str, str]:
    """NAME=value lines; `export`, # comments and quotes as a shell has them. Nothing is expanded."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SecretProblem(f"{path} is not UTF-8 text (byte {error.start}).") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise SecretProblem(f"{path}, line {number} is not of the form NAME=value.")
        found[match.group(1)] = _value(match.group(2), f"{path}, line {number}")
    return found


def _value(written: str, where: str) -> str:
    quote = written[:1]
    if quote not in ("'", '"'):
        return re.split(r"\s+#", written, maxsplit=1)[0].strip() if not written.startswith("#") else ""
    body = r"([^']*)" if quote == "'" else r'((?:[^"\\]|\\.)*)'
    match = re.fullmatch(rf"{quote}{body}{quote}\s*(?:#.*)?", written)
    if match is None:
        raise SecretProblem(f"{where}: the quote that opens is not closed at the end of the line.")
    if quote == "'":
        return match.group(1)
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found.group(1), found.group(0)), match.group(1))
