"""Names of tables and columns, quoted as standard SQL has it.

Law: whatever is in a name, in a statement it is a name. Tables of our own begin with `_penstock_`; those of one
load carry its token's hash and the day they were made, so that any process finds them and old ones can be told.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from engine.model.errors import ConfigurationError

OWN = "_penstock_"
STAGE, BEFORE, RAW = (f"{OWN}{what}_" for what in ("stage", "before", "raw"))
_OF_A_LOAD = re.compile(rf"(?:{STAGE}|{BEFORE}|{RAW})([0-9a-f]{{8}})_([0-9a-f]{{16}})_([0-9]+)")
_DAY = 86_400


def quoted(name: str) -> str:
    """An identifier, whatever is in it."""
    if "\0" in name:
        raise ConfigurationError("A name with a NUL character is no name of a table or column.")
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Name:
    """A table: its schema and its name, as they are spelled in the database where it is there."""

    schema: str
    table: str

    @property
    def sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    def beside(self, table: str) -> Name:
        """Another table of the same schema."""
        return Name(self.schema, table)


def of_load(kind: str, target: str, token: str, now: float) -> str:
    """The name of a table that a load has beside its target."""
    return f"{kind}{_hash(target, 8)}_{_hash(token, 16)}_{int(now) // _DAY}"


def left_behind(names: Sequence[str], target: str, token: str, now: float) -> list[str]:
    """Those of the names that an earlier try of this load made, or a load of this target more than a day ago."""
    found = []
    for name in names:
        parts = _OF_A_LOAD.fullmatch(name)
        if parts is None or parts[1] != _hash(target, 8):
            continue
        if parts[2] == _hash(token, 16) or int(parts[3]) < int(now) // _DAY - 1:
            found.append(name)
    return found


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def no_table(connection: str, given: str, there: Sequence[str]) -> ConfigurationError:
    """A table that is not there, with the nearest that is."""
    near = get_close_matches(given, there, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(there[:10]) or 'no tables'}."
    return ConfigurationError(f"Connection '{connection}' has no table '{given[:200]}'; {hint}")
