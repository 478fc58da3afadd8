"""Text for the terminal's clipboard: OSC 52, wrapped where tmux or screen sits between, capped.

Law: only sanitised text is handed in. What is too long for terminals goes to a file instead.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Mapping

CAP = 74_000  # bytes before base64; what common terminals still take


def sequence(text: str, environment: Mapping[str, str]) -> str | None:
    """What to write to the terminal; None when it is too long."""
    data = text.encode("utf-8", "replace")
    if len(data) > CAP:
        return None
    plain = f"\x1b]52;c;{base64.b64encode(data).decode()}\x07"
    if environment.get("TMUX"):
        return "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if environment.get("TERM", "").startswith("screen"):
        return "\x1bP" + plain + "\x1b\\"
    return plain


def to_file(text: str, name: str) -> str:
    """Written to a file only its owner reads; its path."""
    handle, path = tempfile.mkstemp(prefix=f"penstock-{name}-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
    return path
