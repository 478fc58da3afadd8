"""Which kind of column becomes which, and how (TYP-04, DST-05, C-30, C-31).

    by itself           the same kind, wider; integer to float, decimal, text; float, decimal, JSON to text;
                        text to every kind but binary; a wall clock to an instant, in the column's zone
    where `type` asks   boolean, date, timestamp, binary (base64) to text and text to binary; 0 and 1 to boolean and
                        back; a date to its midnight
    where `lossy` says  float and decimal into each other and into integers; floats of fewer bits; decimals of fewer
                        digits; times to dates and coarser units; text over its length
    never               anything else

Law: what is by itself or asked for changes no value: a cell that would change is Unfit. Incompatible kinds are
known from the schemas, before a row is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow import narrowing, parsing
from engine.dataflow.cells import cast, refuse
from engine.dataflow.kinds import kind_of, length_of
from engine.dataflow.patterns import Pattern, iso
from engine.model.dataset import DataKind

Convert = Callable[[pa.Array], pa.Array]
K = DataKind
_ENCODE = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the mapping of a column says about its conversion."""

    asked: bool = False  # `type` is written: kinds that are no widening of each other are meant
    lossy: bool = False
    pattern: Pattern | None = None
    timezone: str = "UTC"
    zone_given: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """How a column is converted: steps, one after the other."""

    steps: Sequence[Convert] = field(default_factory=tuple)
    checked: str = ""  # a sentence's end: what every value is looked at for


class NoWay(Exception):
    """The kinds do not go together; `remedy` is what would help, as a sentence's end."""

    def __init__(self, remedy: str) -> None:
        super().__init__(remedy)
        self.remedy = remedy


def way(source: pa.Field, to: pa.Field, wish: Wish) -> Way:
    """How `source` becomes `to`. NoWay where it cannot."""
    given, steps = _plain(source)
    if pa.types.is_null(source.type):
        return Way([lambda column: pc.cast(column, to.type)])
    pair = kind_of(source), kind_of(to)
    if pair[0] is pair[1]:
        then = _same(pair[0], given, to, wish)
    elif pair[0] is K.STRING:
        then = _from_text(pair[1], to, wish)
    else:
        then = _across(pair, given, to, wish)
    return Way([*steps, *then.steps], then.checked)


def _plain(source: pa.Field) -> tuple[pa.DataType, list[Convert]]:
    """Types that only Arrow tells apart, as the one of them that the rest of this file knows."""
    types, given = pa.types, source.type
    if types.is_dictionary(given):
        return given.value_type, [lambda column: pc.cast(column, given.value_type)]
    if types.is_nested(given):
        return pa.string(), [_as_json]
    if types.is_large_string(given) or types.is_string_view(given) or types.is_time(given):
        return pa.string(), [lambda column: pc.cast(column, pa.string())]
    return given, []


def _as_json(column: pa.Array) -> pa.Array:
    return pa.array([None if each is None else _ENCODE(each).decode() for each in column.to_pylist()], pa.string())


def _same(kind: DataKind, given: pa.DataType, to: pa.Field, wish: Wish) -> Way:
    if kind is K.STRING:
        return Way(_within(length_of(to), wish))
    if kind is K.TIMESTAMP:
        return _times(given, to.type, wish)
    if given == to.type or kind is K.JSON:
        return Way()
    exact = _exactly(to.type)
    if kind is K.INTEGER:
        return Way([exact], "" if _holds(to.type, given) else f"fits into {to.type}")
    if kind is K.DECIMAL:
        return _decimals(given, to.type, wish)
    if kind is K.FLOAT and given.bit_width > to.type.bit_width:
        _need(wish.lossy, "digits would be lost: `lossy: true` allows it")
        return Way([narrowing.shorter_float(to.type)])
    return Way([exact])


def _exactly(to: pa.DataType) -> Convert:
    return lambda column: cast(column, to, f"does not fit into {to}")


def _holds(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Whether one integer type has all values of another."""
    signs = pa.types.is_signed_integer(wide), pa.types.is_signed_integer(narrow)
    if signs[0] == signs[1]:
        return bool(wide.bit_width >= narrow.bit_width)
    return bool(signs[0] and wide.bit_width > narrow.bit_width)


def _decimals(given: pa.DataType, to: pa.DataType, wish: Wish) -> Way:
    if given.scale > to.scale and wish.lossy:
        return Way([narrowing.rounded(to)])
    wide = to.scale >= given.scale and to.precision - to.scale >= given.precision - given.scale
    shape = f"decimal({to.precision},{to.scale})"
    return Way(
        [lambda column: cast(column, to, f"does not fit into {shape}")], "" if wide else f"fits into {shape}"
    )


def _within(length: int | None, wish: Wish) -> list[Convert]:
    if length is None:
        return []
    if wish.lossy:
        return [narrowing.cut(length)]
    why = f"is longer than {length} characters; `lossy: true` cuts it"

    def checked(column: pa.Array) -> pa.Array:
        refuse(pc.greater(pc.utf8_length(column), length), why)
        return column

    return [checked]


def _times(given: pa.TimestampType, to: pa.TimestampType, wish: Wish) -> Way:
    steps: list[Convert] = []
    zone = wish.timezone
    if wish.lossy and given.unit != to.unit:
        steps.append(narrowing.coarser(pa.timestamp(to.unit, to.tz)))
    if given.tz is None and to.tz is not None:
        steps.append(lambda column: parsing.in_zone(column, zone))
    elif given.tz is not None and to.tz is None:
        _need(wish.zone_given or wish.lossy, "an instant is a wall clock in some zone: write `timezone`, say UTC")
        steps.append(lambda column: pc.local_timestamp(pc.cast(column, pa.timestamp(column.type.unit, zone))))
    if given != to:
        steps.append(_exactly(to))
    return Way(steps)


def _from_text(kind: DataKind, to: pa.Field, wish: Wish) -> Way:
    target, pattern = to.type, wish.pattern
    if kind is K.BINARY:
        _need(wish.asked, "text becomes binary from base64: say `type: binary` if it is that")
        return Way([lambda column: parsing.bytes_of(column, target)])
    if kind is K.DECIMAL and wish.lossy:
        return Way([narrowing.rounded_text(target)])
    first: list[Convert] = [lambda column: iso(column, pattern)] if pattern is not None else []
    if kind is K.TIMESTAMP and wish.lossy:
        first.append(_shortened())
    plain: dict[DataKind, Convert] = {
        K.INTEGER: lambda column: parsing.integers(column, target),
        K.FLOAT: lambda column: parsing.floats(column, target),
        K.DECIMAL: lambda column: parsing.decimals(column, target),
        K.BOOLEAN: parsing.booleans,
        K.DATE: lambda column: parsing.dates(column, target),
        K.TIMESTAMP: lambda column: parsing.timestamps(column, target, wish.timezone),
        K.JSON: parsing.documents,
    }
    return Way([*first, plain[kind]])


def _shortened() -> Convert:
    """Text of times whose fractions have more digits than Arrow's microseconds."""

    def convert(column: pa.Array) -> tuple[pa.Array, int]:
        shorter = pc.replace_substring_regex(column, r"(\.\d{6})\d+", r"\1")
        return shorter, pc.sum(pc.not_equal(shorter, column)).as_py() or 0

    return narrowing.Narrowing("cut to microseconds", convert)


_BY_ITSELF = frozenset(
    {
        (K.INTEGER, K.FLOAT),
        (K.INTEGER, K.DECIMAL),
        (K.INTEGER, K.STRING),
        (K.FLOAT, K.STRING),
        (K.DECIMAL, K.STRING),
    }
    | {(K.JSON, K.STRING)}
)
_ASKED = frozenset(
    {(K.BOOLEAN, K.STRING), (K.DATE, K.STRING), (K.TIMESTAMP, K.STRING), (K.BINARY, K.STRING)}
    | {(K.BOOLEAN, K.INTEGER), (K.INTEGER, K.BOOLEAN), (K.DATE, K.TIMESTAMP)}
)
_LOSSY = frozenset(
    {(K.DECIMAL, K.FLOAT), (K.FLOAT, K.DECIMAL), (K.FLOAT, K.INTEGER), (K.DECIMAL, K.INTEGER)}
    | {(K.TIMESTAMP, K.DATE)}
)


def _across(pair: tuple[DataKind, DataKind], given: pa.DataType, to: pa.Field, wish: Wish) -> Way:
    whole = pair == (K.DECIMAL, K.INTEGER) and given.scale <= 0
    if pair not in _BY_ITSELF and not whole:
        _need(pair in _ASKED | _LOSSY, "nothing makes one of the other; convert it in the query, or leave it out")
        _need(pair not in _ASKED or wish.asked, f"say `type: {pair[1].value}` if that is meant")
        _need(pair not in _LOSSY or wish.lossy, "values may change: `lossy: true` allows it")
    if pair in _LOSSY and wish.lossy:
        return Way([_LOSING[pair](to.type)])
    steps: list[Convert] = [_KEEPING[pair](to.type, wish)] if pair in _KEEPING else [_exactly(to.type)]
    return Way([*steps, *(_within(length_of(to), wish) if pair[1] is K.STRING else [])])


def _need(there: bool, remedy: str) -> None:
    if not there:
        raise NoWay(remedy)


def _of_digits(column: pa.Array, to: pa.DataType) -> pa.Array:
    """Through the widest decimal: Arrow refuses a cast by the types alone where a value might not fit."""
    return cast(pc.cast(column, pa.decimal256(76, to.scale)), to, f"does not fit into {to}")


def _digits(column: pa.Array) -> pa.Array:
    """Decimals as plain text: Arrow writes those near zero with an exponent."""
    text = pc.cast(column, pa.string())
    odd = pc.match_substring(text, "E")
    if not pc.any(odd).as_py():
        return text
    plain = [None if each is None else f"{each:f}" for each in column.filter(odd).to_pylist()]
    return pc.replace_with_mask(text, odd, pa.array(plain, pa.string()))


def _zero_or_one(column: pa.Array) -> pa.Array:
    refuse(pc.invert(pc.is_in(column, pa.array([0, 1, None], column.type))), "is neither 0 nor 1")
    return pc.cast(column, pa.bool_())


def _midnight(column: pa.Array, to: pa.DataType, wish: Wish) -> pa.Array:
    clocks = pc.cast(column, pa.timestamp("us"))
    return cast(clocks if to.tz is None else parsing.in_zone(clocks, wish.timezone), to, f"does not fit into {to}")


_KEEPING: dict[tuple[DataKind, DataKind], Callable[[pa.DataType, Wish], Convert]] = {
    (K.INTEGER, K.DECIMAL): lambda to, wish: lambda column: _of_digits(column, to),
    (K.DECIMAL, K.STRING): lambda to, wish: _digits,
    (K.BINARY, K.STRING): lambda to, wish: parsing.text_of,
    (K.INTEGER, K.BOOLEAN): lambda to, wish: _zero_or_one,
    (K.DATE, K.TIMESTAMP): lambda to, wish: lambda column: _midnight(column, to, wish),
    (K.JSON, K.STRING): lambda to, wish: lambda column: column,
}
_LOSING: dict[tuple[DataKind, DataKind], Callable[[pa.DataType], Convert]] = {
    (K.DECIMAL, K.FLOAT): narrowing.floating,
    (K.FLOAT, K.DECIMAL): narrowing.rounded,
    (K.FLOAT, K.INTEGER): narrowing.whole,
    (K.DECIMAL, K.INTEGER): narrowing.whole,
    (K.TIMESTAMP, K.DATE): narrowing.day_of,
}
