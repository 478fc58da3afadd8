"""Masking: known secret values are replaced by *** wherever text leaves the program.

Law: the longest secret goes first, so that no part of it is left over when a shorter one is inside it; a
secret is also found as JSON, URLs and tracebacks write it. Values under 4 characters cannot be masked without
making every text unreadable, and are not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 4
_SHORTEST_LINE = 8  # of a secret of several lines (a key file), each of its lines is masked too: logs have lines


class Mask:
    """Replaces one set of secrets. Immutable, so it is safe from any thread."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in variants(secret)}
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._text = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        encoded = [re.escape(_encoded(form)) for form in ordered]
        self._data = re.compile(b"|".join(encoded)) if encoded else None
        self.longest = max((len(_encoded(form)) for form in ordered), default=0)  # in bytes

    def text(self, value: str) -> str:
        """One string."""
        return self._text.sub(MASK, value) if self._text else value

    def data(self, value: bytes) -> bytes:
        """Bytes of a log: secrets as UTF-8."""
        return self._data.sub(MASK.encode(), value) if self._data else value

    def cut(self, data: bytes, at: int) -> int:
        """Where to cut `data` near `at` so that no secret is torn in two."""
        for found in self._data.finditer(data) if self._data else ():
            if found.start() < at < found.end():
                return found.end()
        return at

    def value(self, value: Any) -> Any:
        """JSON: every string in it, keys too."""
        if self._text is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value


def variants(secret: str) -> frozenset[str]:
    """The forms in which a secret may turn up in text; empty when it is too short to be masked."""
    wholes = [secret, secret.strip()]
    wholes += [line.strip() for line in secret.splitlines() if _worth_a_mask(line.strip())]
    return frozenset(
        form for whole in wholes if len(whole) >= SHORTEST for form in _spellings(whole) if len(form) >= SHORTEST
    )


def _worth_a_mask(line: str) -> bool:
    return len(line) >= _SHORTEST_LINE and not line.startswith("-----")  # "-----BEGIN ..." is no secret


def _spellings(secret: str) -> Iterable[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    encodable = _encoded(secret)
    yield quote(encodable, safe="")
    yield quote(encodable)
    yield quote_plus(encodable)
    # Both cases of the hexadecimal digits are in use.
    yield re.sub(r"%[0-9A-F]{2}", lambda match: match.group().lower(), quote(encodable, safe=""))


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")  # an environment variable's bytes, as they were
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
