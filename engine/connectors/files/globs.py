"""Patterns of file names: `*`, `?`, `[abc]` inside a segment, `**` for any folders.

Law: a segment that begins with a dot matches only a pattern that spells the dot, as in a shell: ledgers and files
that are being written are never taken for data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Pattern:
    """A pattern relative to a place's root."""

    parts: tuple[str, ...]

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """The leading segments without magic: the folder that has to be listed."""
        count = next((at for at, part in enumerate(self.parts) if is_magic(part)), len(self.parts))
        return self.parts[: min(count, len(self.parts) - 1)]

    @cached_property
    def deep(self) -> bool:
        """Whether folders of any depth are looked into."""
        return "**" in self.parts

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        text = "".join(_segment(part, last=at == len(self.parts) - 1) for at, part in enumerate(self.parts))
        return re.compile(f"{text}\\Z", re.DOTALL)

    def matches(self, name: str) -> bool:
        """Whether a whole name fits."""
        return self._whole.match(name) is not None

    def enters(self, folders: tuple[str, ...]) -> bool:
        """Whether files below this folder can match; a wide answer where `**` is before it."""
        for at, folder in enumerate(folders):
            if at < len(self.parts) and self.parts[at] == "**":
                return not folders[-1].startswith(".") or any(part.startswith(".") for part in self.parts)
            if at >= len(self.parts) - 1 or not re.fullmatch(_inside(self.parts[at]), folder, re.DOTALL):
                return False
        return True


def is_magic(part: str) -> bool:
    """Whether a segment stands for more than itself."""
    return _MAGIC.search(part) is not None


def _segment(part: str, *, last: bool) -> str:
    if part == "**":
        return r"(?:(?!\.)[^/]+/)*" + (r"(?!\.)[^/]+" if last else "")
    return _inside(part) + ("" if last else "/")


def _inside(part: str) -> str:
    text = "" if part.startswith(".") else r"(?!\.)"
    at = 0
    while at < len(part):
        char = part[at]
        end = part.find("]", at + 2) if char == "[" else -1
        if char in "*?":
            text += "[^/]*" if char == "*" else "[^/]"
        elif end > 0:
            text += _one_of(part[at + 1 : end])
            at = end
        else:
            text += re.escape(char)
        at += 1
    return text


def _one_of(inner: str) -> str:
    negated = inner[0] in "!^"
    kept = inner[1:] if negated else inner
    escaped = "".join(char if char == "-" else re.escape(char) for char in kept)
    return f"[{'^/' if negated else ''}{escaped}]"
