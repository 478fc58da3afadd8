"""One short name for failures that look alike, so that a hundred of them are one row.

Law: what differs between two occurrences of the same fault (numbers, ids, quoted values, paths) does not count.
"""

from __future__ import annotations

import hashlib
import re

from engine.model.errors import TaskError

_VARIABLE = re.compile(
    r"""0x[0-9a-fA-F]+            # addresses
    | \b[0-9a-fA-F]{8}(?:-?+[0-9a-fA-F]{4,}+)++\b    # uuids and hashes; possessive: no backtracking to exploit
    | (?<!\w)'[^']{1,200}' | "[^"]{1,200}"          # quoted values; not from the apostrophe of "can't" on
    | (?:/[\w.\-]+){2,}         # paths
    | \d+(?:[.:,T\-]\d+)*       # numbers, dates, times
    """,
    re.VERBOSE,
)


def normalised(message: str) -> str:
    """The message with everything that varies replaced."""
    return " ".join(_VARIABLE.sub("#", message[:2000]).split())


def fingerprint(error: TaskError) -> str:
    """Sixteen hex digits over type and normalised message."""
    text = f"{error.kind.value}\0{error.type}\0{normalised(error.message)}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
