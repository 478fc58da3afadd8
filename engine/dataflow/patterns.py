"""Dates and times as a `format` says: 31/03/2024 with %d/%m/%Y.

Law: a cell is matched whole and put together as ISO 8601, which Arrow then checks: the 30th of February is nobody's
date. The codes are those of strptime, less what depends on a language or needs a calendar (%a, %j, %U, %Z ...).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow.cells import refuse
from engine.model.errors import ConfigurationError

_CODES: Mapping[str, str] = {
    "Y": r"\d{4}",
    "y": r"\d{2}",
    "m": r"\d{1,2}",
    "b": r"[A-Za-z]{3}",
    "B": r"[A-Za-z]{3,9}",
    "d": r"\d{1,2}",
    "H": r"\d{1,2}",
    "I": r"\d{1,2}",
    "p": r"[AaPp][Mm]",
    "M": r"\d{1,2}",
    "S": r"\d{1,2}",
    "f": r"\d{1,6}",
    "z": r"[Zz]|[+-]\d{2}:?\d{2}",
}
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_TIME = frozenset("HIMSfpz")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A format, understood."""

    written: str
    regex: str
    codes: frozenset[str]

    @property
    def has_time(self) -> bool:
        return bool(self.codes & _TIME)


def pattern(written: str, column: str) -> Pattern:
    """ConfigurationError for what this cannot read, or what says no day."""
    pieces, codes = [], []
    for code, plain in re.findall(r"%(.)|([^%]+|%$)", written):
        if plain == "%":
            raise _unreadable(column, written, "")
        if code == "%" or plain:
            pieces.append(re.escape(code or plain))
            continue
        if code not in _CODES or code in codes:
            raise _unreadable(column, written, code)
        codes.append(code)
        pieces.append(f"(?P<{code}>{_CODES[code]})")
    found = frozenset(codes)
    if not (found & {"Y", "y"} and found & {"m", "b", "B"} and "d" in found) or ("I" in found) != ("p" in found):
        raise ConfigurationError(
            f"Column '{column}': format '{written[:40]}' has to say year, month and day (and %I goes with %p)."
        )
    return Pattern(written, f"^{''.join(pieces)}$", found)


def _unreadable(column: str, written: str, code: str) -> ConfigurationError:
    why = "stands twice" if code in _CODES else "is not among them"
    codes = " ".join(f"%{each}" for each in _CODES)
    return ConfigurationError(f"Column '{column}': format '{written[:40]}' is made of {codes}; %{code} {why}.")


def iso(column: pa.Array, wanted: Pattern) -> pa.Array:
    """The cells as ISO 8601 text."""
    text = pc.utf8_trim_whitespace(column)
    found = pc.extract_regex(text, wanted.regex)
    there = pc.is_valid(found)
    refuse(pc.and_not(pc.is_valid(text), there), f"is not written as {wanted.written}")
    parts = {code: pc.if_else(there, found.field(code), None) for code in wanted.codes}
    day = pc.binary_join_element_wise(_year(parts), _month(parts), _two(parts["d"]), "-")
    if not wanted.has_time:
        return day
    clock = pc.binary_join_element_wise(_hour(parts), _two(parts.get("M")), _two(parts.get("S")), ":")
    whole = pc.binary_join_element_wise(day, clock, "T")
    if "f" in parts:
        whole = pc.binary_join_element_wise(whole, parts["f"], ".")
    return pc.binary_join_element_wise(whole, parts["z"], "") if "z" in parts else whole


def _year(parts: Mapping[str, pa.Array]) -> pa.Array:
    if "Y" in parts:
        return parts["Y"]
    short = parts["y"]  # as strptime: 69 to 99 are of the last century
    century = pc.if_else(pc.less(pc.cast(short, pa.int8()), 69), "20", "19")
    return pc.binary_join_element_wise(century, short, "")


def _month(parts: Mapping[str, pa.Array]) -> pa.Array:
    if "m" in parts:
        return _two(parts["m"])
    short = "b" in parts
    names = [name[:3] if short else name for name in _MONTHS]
    given = pc.utf8_lower(parts["b" if short else "B"])
    refuse(pc.invert(pc.or_(pc.is_null(given), pc.is_in(given, pa.array(names)))), "names no month in English")
    return _two(pc.cast(pc.add(pc.index_in(given, pa.array(names)), 1), pa.string()))


def _hour(parts: Mapping[str, pa.Array]) -> pa.Array | str:
    if "I" not in parts:
        return _two(parts.get("H"))
    hour = pc.cast(parts["I"], pa.int8())
    refuse(pc.or_(pc.less(hour, 1), pc.greater(hour, 12)), "has no hour of twelve")
    noon = pc.if_else(pc.equal(hour, 12), 0, hour)
    late = pc.equal(pc.utf8_lower(parts["p"]), "pm")
    return _two(pc.cast(pc.if_else(late, pc.add(noon, 12), noon), pa.string()))


def _two(digits: pa.Array | None) -> pa.Array | str:
    return "00" if digits is None else pc.utf8_lpad(digits, 2, "0")
