"""Text that becomes numbers, booleans and times (TYP-03).

Law: a whole array at a time. What is not plainly a value of the kind is Unfit: no truthiness, no guessing of day
and month, no hexadecimal, no number too large for its type. Space around a cell does not count. A time without a
zone is in the column's zone; one with a zone is that instant.
"""

from __future__ import annotations

import base64
import binascii

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow.cells import Unfit, attempt, cast, refuse

TRUE = ("true", "1", "yes", "on", "y", "t")
FALSE = ("false", "0", "no", "off", "n", "f")
_WHOLE = r"^[+-]?0*[0-9]{1,20}$"
_ZONED = r"^[^Tt ]+[Tt ]\S*([Zz]|[+-]\d\d(:?\d\d)?)$"


def integers(column: pa.Array, to: pa.DataType) -> pa.Array:
    """Digits with or without a sign."""
    text = pc.utf8_trim_whitespace(column)
    refuse(pc.invert(pc.match_substring_regex(text, _WHOLE)), "is no whole number")
    if pc.any(pc.starts_with(text, "+")).as_py():
        text = pc.utf8_ltrim(text, "+")
    return cast(text, to, f"does not fit into {to}")


def floats(column: pa.Array, to: pa.DataType) -> pa.Array:
    """Decimal or exponent notation; nan and inf by name only."""
    text = pc.utf8_trim_whitespace(column)
    found = cast(text, to, "is no number")
    infinite = pc.is_inf(found)
    if pc.any(infinite).as_py():
        named = pc.match_substring(text, "inf", ignore_case=True)
        refuse(pc.and_(infinite, pc.invert(named)), f"does not fit into {to}")
    return found


def decimals(column: pa.Array, to: pa.DataType) -> pa.Array:
    """As many digits as the column has, or fewer."""
    text = pc.utf8_trim_whitespace(column)
    return cast(text, to, f"is no number with {to.precision} digits, {to.scale} of them after the point")


def booleans(column: pa.Array) -> pa.Array:
    """The words of C-30, in any case."""
    word = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    yes, no = pc.is_in(word, pa.array(TRUE, word.type)), pc.is_in(word, pa.array(FALSE, word.type))
    there = pc.is_valid(column)
    refuse(pc.and_(there, pc.invert(pc.or_(yes, no))), f"is none of {', '.join((*TRUE, *FALSE))}")
    return pc.if_else(there, yes, pa.scalar(None, pa.bool_()))


def dates(column: pa.Array, to: pa.DataType) -> pa.Array:
    """Year, month and day with dashes; other orders have a `format`."""
    text = pc.utf8_trim_whitespace(column)
    return cast(cast(text, pa.date32(), "is no date like 2024-03-31; say how it is written in `format`"), to, "")


def timestamps(column: pa.Array, to: pa.TimestampType, timezone: str) -> pa.Array:
    """ISO 8601 with a blank or T, with or without an offset."""
    text = _without_idle_zeros(pc.utf8_trim_whitespace(column))
    zoned = pc.match_substring_regex(text, _ZONED)
    if to.tz is None:
        refuse(zoned, "says its zone, and the column is a wall clock; use `type: timestamp`, an instant")
        return fitting(_moments(text), to)
    none = pa.scalar(None, text.type)
    instants = _instants(pc.if_else(zoned, text, none)) if pc.any(zoned).as_py() else None
    if pc.all(zoned).as_py() and instants is not None:
        return fitting(instants, to)
    clocks = in_zone(_moments(pc.if_else(zoned, none, text)), timezone)
    return fitting(clocks if instants is None else pc.coalesce(instants, clocks), to)


def in_zone(clocks: pa.Array, timezone: str) -> pa.Array:
    """Wall clocks as the instants they are in a zone. An hour that comes twice or never there is Unfit."""
    return attempt(
        lambda part: pc.assume_timezone(part, timezone).cast(pa.timestamp("us", tz="UTC")),
        clocks,
        f"comes twice or never on the clocks of {timezone}",
    )


def fitting(moments: pa.Array, to: pa.DataType) -> pa.Array:
    """Microseconds in a coarser or finer unit."""
    return cast(moments, to, f"does not fit into {to}")


_ISO = "is no time like 2024-03-31 23:59:58; say how it is written in `format`"


def _moments(text: pa.Array) -> pa.Array:
    return cast(text, pa.timestamp("us"), _ISO)


def _instants(text: pa.Array) -> pa.Array:
    return cast(pc.utf8_upper(text), pa.timestamp("us", tz="UTC"), _ISO)


def _without_idle_zeros(text: pa.Array) -> pa.Array:
    """Seven digits and more after the point, where they say nothing."""
    if not pc.any(pc.match_substring_regex(text, r"\.\d{6}0")).as_py():
        return text
    return pc.replace_substring_regex(text, r"(\.\d{6})0+(\D|$)", r"\1\2")


def documents(column: pa.Array) -> pa.Array:
    """JSON, looked at cell by cell: Arrow does not check it."""
    for at, text in enumerate(column.to_pylist()):
        if text is not None:
            try:
                msgspec.json.decode(text, type=msgspec.Raw)
            except (msgspec.DecodeError, RecursionError):
                raise Unfit(at, "is not JSON") from None
    return column


def bytes_of(column: pa.Array, to: pa.DataType) -> pa.Array:
    """Base64, as text carries binary values."""
    found: list[bytes | None] = []
    for at, text in enumerate(column.to_pylist()):
        try:
            found.append(None if text is None else base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            raise Unfit(at, "is not base64") from None
    return cast(pa.array(found, pa.binary()), to, f"does not fit into {to}")


def text_of(column: pa.Array) -> pa.Array:
    """Binary values as base64."""
    return pa.array([None if each is None else base64.b64encode(each).decode() for each in column.to_pylist()])
