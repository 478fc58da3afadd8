"""How a secret is written in a file.

${env:NAME}, ${env:NAME:-default}, ${file:PATH}, ${keyring:SERVICE/NAME}; and ${service:NAME}, an address.

Law: reading references only; nothing here knows a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SCHEMES = ("env", "file", "keyring", "service")
PATTERN = re.compile(r"\$\{([^{}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One `${...}` as written."""

    written: str  # the whole of it; never a secret, so it may be shown
    scheme: str  # "" where there is none: ${HOME}
    name: str
    default: str | None = None


def references(text: str) -> Iterator[Reference]:
    """Every reference in one string."""
    for match in PATTERN.finditer(text):
        yield reference(match)


def reference(match: re.Match[str]) -> Reference:
    """What one match of PATTERN means."""
    scheme, colon, rest = match.group(1).partition(":")
    if not colon:
        return Reference(written=match.group(0), scheme="", name=scheme)
    name, dash, default = rest.partition(":-") if scheme == "env" else (rest, "", "")
    return Reference(written=match.group(0), scheme=scheme, name=name.strip(), default=default if dash else None)


def strings(value: Any) -> Iterator[str]:
    """Every string inside JSON, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for item in value:
            yield from strings(item)


def variables(value: Any) -> frozenset[str]:
    """The environment variables that references inside JSON name."""
    return frozenset(found.name for text in strings(value) for found in references(text) if found.scheme == "env")
