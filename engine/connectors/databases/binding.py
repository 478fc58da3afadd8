"""Queries as people write them: values bound as :name.

Law: only a name that has a value is bound, and only where it is no part of a string, a quoted name, a comment or a
cast. The value itself never becomes part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKENS = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|--[^\n]*|/\*.*?\*/|::|(?<![\w:]):(?P<name>[A-Za-z_]\w*)|%""",
    re.DOTALL,
)

# By the standard a backslash is a character like any other, but in PostgreSQL's E'...'; $tag$ quotes there.
_STANDARD = re.compile(
    r"""\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\$(\w*)\$.*?\$\1\$"""
    r"""|--[^\n]*|/\*.*?\*/|::|(?<![\w:]):(?P<name>[A-Za-z_]\w*)|%""",
    re.DOTALL,
)


def bound(
    query: str,
    parameters: Mapping[str, Any],
    marker: Callable[[str], str],
    *,
    percent: bool = False,
    standard: bool = False,
) -> tuple[str, dict[str, Any]]:
    """The query with the driver's markers, and the values that it names. `percent`: % is the driver's own.
    `standard`: no backslash escapes the end of a string."""
    used: dict[str, Any] = {}

    def written(found: re.Match[str]) -> str:
        name = found["name"]
        if name is not None and name in parameters:
            used[name] = parameters[name]
            return marker(name)
        return found[0].replace("%", "%%") if percent else found[0]

    return (_STANDARD if standard else _TOKENS).sub(written, query.strip().rstrip(";")), used
