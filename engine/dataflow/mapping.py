"""The `columns` of a load: which column of the rows goes into which column of the target.

    columns: {id: customer_id, joined: {from: since, type: timestamp, format: "%d/%m/%Y %H:%M"}, "*": "*"}

Law: without it, and for `"*": "*"`, columns meet by name. With it, only what it names is written. A column that the
rows lack is an error with the near spelling, unless it has a default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow.coercion import Wish
from engine.dataflow.patterns import pattern
from engine.model.errors import ConfigurationError

REST = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One column to be written."""

    name: str  # in the target
    source: str | None  # in the rows; None: only the default
    type: str | None = None
    default: Any = None
    wish: Wish = Wish()
    mapped: bool = False  # named by the config, not met by name


def choices(columns: Mapping[str, Any], schema: pa.Schema, where: str) -> list[Choice]:
    """What is written, in the order of the mapping or of the rows."""
    twice = {name for name in schema.names if schema.names.count(name) > 1}
    if twice:
        raise ConfigurationError(f"{where}: the rows have two columns '{min(twice)}'; rename one in the query.")
    named = [
        _choice(name, given, schema, where) for name, given in columns.items() if (name, given) != (REST, REST)
    ]
    if columns and REST not in columns:
        return named
    used = {each.source for each in named} | {each.name for each in named}
    return [*named, *(Choice(name=name, source=name) for name in schema.names if name not in used)]


def _choice(name: str, given: Any, schema: pa.Schema, where: str) -> Choice:
    spec = given if isinstance(given, Mapping) else {"from": given}
    source = str(spec.get("from", name))
    written = spec.get("format")
    there = source in schema.names
    if not there and spec.get("default") is None:
        raise ConfigurationError(f"{where}: the rows have no column '{source}'; {near(source, schema.names)}")
    timezone = str(spec.get("timezone", "UTC"))
    _check_zone(timezone, name, where)
    return Choice(
        name=name,
        source=source if there else None,
        type=spec.get("type"),
        default=spec.get("default"),
        wish=Wish(
            asked="type" in spec,
            lossy=bool(spec.get("lossy", False)),
            pattern=pattern(str(written), name) if written is not None else None,
            timezone=timezone,
            zone_given="timezone" in spec,
        ),
        mapped=True,
    )


def _check_zone(name: str, column: str, where: str) -> None:
    try:
        pc.assume_timezone(pa.array([0], pa.timestamp("us")), name)
    except pa.ArrowInvalid:
        raise ConfigurationError(
            f"{where}: column '{column}': '{name[:40]}' is no time zone; write one like Europe/Berlin or +02:00."
        ) from None


def near(name: str, there: Sequence[str]) -> str:
    """What was likely meant, or what there is."""
    folded = {each.lower(): each for each in there}
    close = get_close_matches(name.lower(), folded, n=1)
    if close:
        return f"did you mean '{folded[close[0]]}'?"
    return f"there are {', '.join(there[:20])}{' ...' if len(there) > 20 else ''}."


def found_in(target: pa.Schema, name: str, taken: set[str]) -> pa.Field | None:
    """The target's column of this name; case counts only where two differ by nothing else."""
    if name in target.names:
        return target.field(name)
    alike = [each for each in target.names if each.lower() == name.lower() and each not in taken]
    return target.field(alike[0]) if len(alike) == 1 else None
