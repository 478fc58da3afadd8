"""File names as they are shown and as they are kept.

Law: a name is whatever the system allows: control characters, line ends, bytes that are no UTF-8. What is shown has
each of these written out (`\x1b`, `\u202e`); what is kept in a URI or a watermark is percent-encoded from the
bytes, so that two names never become one.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from engine.model.errors import ConfigurationError, PermissionFailure, TaskFailure

LONGEST_SHOWN = 200
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})  # controls, bidi and zero width, lone bytes, separators


def shown(text: str, most: int = LONGEST_SHOWN) -> str:
    """Text of a stranger, fit for a message: nothing in it moves a cursor or hides a letter."""
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    return "".join(_visible(char) for char in cut)


def _visible(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte that is no UTF-8
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def encoded(name: str) -> str:
    """A name as part of a URI, one way only: whatever its bytes are, this is ASCII."""
    return quote(os.fsencode(name), safe="/=,+@:~!$'()*")


def parts_of(name: str, root: str = "") -> tuple[str, ...]:
    """The segments of a path below a root. PermissionFailure for one that would leave it."""
    if "\0" in name:
        raise ConfigurationError(f"'{shown(name)}' is no file name: it has a NUL in it.")
    if name.startswith("/"):
        name = _below(name, root)
    found = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in found:
        raise outside(name)
    return found


def _below(name: str, root: str) -> str:
    base = root.rstrip("/") + "/"
    if not root or not name.startswith(base):
        raise outside(name)
    return name[len(base) :]


@contextmanager
def naming(connection_id: str) -> Iterator[None]:
    """What goes wrong inside says which connection it was."""
    try:
        yield
    except TaskFailure as error:
        if "onnection '" in str(error):
            raise
        told = f"Connection '{connection_id}': {error}"
        raise type(error)(told, retry_after=error.retry_after) from error


def outside(name: str) -> PermissionFailure:
    """The refusal of a path that leads out of the connection's folder."""
    return PermissionFailure(
        f"'{shown(name)}' leads out of the connection's folder, and nothing outside it is read or written; "
        "name a path below it, or give the connection another `path`."
    )
