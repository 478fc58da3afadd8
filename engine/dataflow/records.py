"""Records: JSON objects as rows of columns (TYP-01).

Law: columns are learned from the first records and widened only where no value changes: nothing to anything, whole
numbers to floats they fit, anything mixed to JSON. Once the columns stand, a record that does not fit them is told
with its place, field and kind; no value is bent to fit. Nested values travel as JSON text.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

import msgspec
import pyarrow as pa

from engine.dataflow.kinds import field, kind_of
from engine.model.dataset import DataKind
from engine.model.errors import ConfigurationError, DataQualityError

_EXACT = 2**53  # whole numbers up to here are floats too
_LONG = 2**63
_WHOLE = pa.decimal128(38, 0)  # whole numbers that 64 bits do not hold
_TYPE = re.compile(r"([a-z]+)(?:\(\s*(\d+)\s*,\s*(\d+)\s*\))?")
_WALL_CLOCKS = ("datetime", "timestamp without time zone")
_MILLISECONDS = 10**11  # a number of seconds since 1970 is below it until the year 5138
_encode = msgspec.json.Encoder(decimal_format="number").encode

Record = Mapping[str, Any]


def type_named(text: str, column: str) -> pa.Field:
    """The field of a `types` entry: a kind's name, or decimal(precision, scale)."""
    if text.strip().lower() in _WALL_CLOCKS:
        return field(column, DataKind.TIMESTAMP, type=pa.timestamp("us"))
    match = _TYPE.fullmatch(text.strip().lower())
    kind = match[1] if match else ""
    if match is None or kind not in {each.value for each in DataKind}:
        kinds = ", ".join(each.value for each in DataKind)
        raise ConfigurationError(f"`types` of column '{column}': '{text[:40]}' is none of {kinds}, decimal(12,2).")
    if match[2] is None:
        return field(column, DataKind(kind))
    precision, scale = int(match[2]), int(match[3])
    if kind != "decimal" or not 1 <= precision <= 38 or scale > precision:
        raise ConfigurationError(f"`types` of column '{column}': write decimal(precision, scale) with at most 38.")
    return field(column, DataKind.DECIMAL, type=pa.decimal128(precision, scale))


class Shape:
    """The columns of records: learned first, then kept to."""

    def __init__(self, types: Mapping[str, str] | None = None, columns: Sequence[str] = ()) -> None:
        self._fixed = {name: type_named(str(text), name) for name, text in (types or {}).items()}
        self._columns = tuple(columns)
        self._seen: dict[str, _Seen] = {}
        self._looked = False
        self._schema: pa.Schema | None = None

    @property
    def exact(self) -> bool:
        """Whether numbers have to be read digit by digit: a column is a decimal."""
        return any(kind_of(each) is DataKind.DECIMAL for each in self._fixed.values())

    @property
    def schema(self) -> pa.Schema:
        """As it stands; the first question settles it."""
        if self._schema is None:
            self._schema = pa.schema([self._field(name) for name in self._names()])
        return self._schema

    def learn(self, records: Iterable[Record]) -> None:
        """Look at some of the first records."""
        for record in records:
            self._looked = True
            for name, value in record.items():
                if name not in self._fixed:
                    self._seen.setdefault(name, _Seen()).add(value)

    def settle(self, schema: pa.Schema) -> None:
        """Take the columns that an earlier attempt learned."""
        self._schema = schema

    def batch(self, records: Sequence[Record], where: str) -> pa.RecordBatch:
        """Rows of the settled columns. DataQualityError names `where` and the field."""
        schema = self.schema
        if not self._columns:
            self._refuse_unknown(records, frozenset(schema.names), where)
        arrays = [self._array(one, [record.get(one.name) for record in records], where) for one in schema]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _names(self) -> list[str]:
        if self._columns:
            return list(self._columns)
        return list(dict.fromkeys((*self._seen, *self._fixed)))

    def _field(self, name: str) -> pa.Field:
        fixed = self._fixed.get(name)
        if fixed is not None:
            return fixed
        if name in self._seen:
            return self._seen[name].field(name)
        if not self._looked:
            return field(name, DataKind.STRING)  # no record was there to look at
        near = get_close_matches(name, [*self._seen, *self._fixed], n=1)
        hint = f"did you mean '{near[0][:80]}'? " if near else ""
        raise ConfigurationError(
            f"`columns` names '{name}', which none of the first records has; {hint}Where it comes later, say what "
            "it is in `types`."
        )

    def _refuse_unknown(self, records: Sequence[Record], known: frozenset[str], where: str) -> None:
        for record in records:
            if not record.keys() <= known:
                name = next(each for each in record if each not in known)
                raise DataQualityError(
                    f"{where} has a field '{name[:80]}' ({_found(record[name])}) that the first records did not "
                    "have. Name it in `types`, or the wanted ones in `columns`."
                )

    def _array(self, one: pa.Field, values: list[Any], where: str) -> pa.Array:
        kind = kind_of(one)
        if one.name in self._fixed or kind in (DataKind.JSON, DataKind.TIMESTAMP):
            values = [self._converted(one, kind, value, where) for value in values]
        elif self.exact and kind is DataKind.FLOAT:
            values = [float(value) if isinstance(value, Decimal) else value for value in values]
        elif set(map(type, values)) - _TAKEN[kind]:
            # Arrow itself would cut 2.5 to 2 and make a number of `true`.
            wrong = next(value for value in values if type(value) not in _TAKEN[kind])
            raise _drift(where, one.name, kind, wrong)
        try:
            return pa.array(values, type=one.type)
        except (pa.ArrowException, UnicodeEncodeError, OverflowError):
            raise self._misfit(one, values, where) from None

    def _converted(self, one: pa.Field, kind: DataKind, value: Any, where: str) -> Any:
        if value is None:
            return None
        try:
            made = _CONVERTERS[kind](value)
            if kind is DataKind.DECIMAL:
                pa.scalar(made, type=one.type)  # more digits than the type has are an error, not a rounding
            return made
        except (ValueError, TypeError, ArithmeticError, pa.ArrowException):
            raise _drift(where, one.name, kind, value) from None

    def _misfit(self, one: pa.Field, values: list[Any], where: str) -> DataQualityError:
        for value in values:
            try:
                pa.array([value], type=one.type)
            except (pa.ArrowException, UnicodeEncodeError, OverflowError):
                return _drift(where, one.name, kind_of(one), value)
        return _drift(where, one.name, kind_of(one), values[0])  # the batch fails where no value does


class _Seen:
    """What one field's values have been so far."""

    def __init__(self) -> None:
        self._kinds: set[DataKind] = set()
        self._most = 0

    def add(self, value: Any) -> None:
        kind = _kind(value)
        if kind is not None:
            self._kinds.add(kind)
            if kind is DataKind.INTEGER:
                self._most = max(self._most, abs(value))

    def field(self, name: str) -> pa.Field:
        kinds = self._kinds
        if not kinds:
            return field(name, DataKind.STRING)
        if kinds == {DataKind.INTEGER, DataKind.FLOAT} and self._most <= _EXACT:
            return field(name, DataKind.FLOAT)
        if len(kinds) > 1 or self._most >= 10**38:
            return field(name, DataKind.JSON)
        (kind,) = kinds
        if kind is DataKind.INTEGER and self._most >= _LONG:
            return field(name, DataKind.DECIMAL, type=_WHOLE)
        return field(name, kind)


def _kind(value: Any) -> DataKind | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return DataKind.BOOLEAN
    for types, kind in _KINDS:
        if isinstance(value, types):
            return kind
    return DataKind.JSON


_KINDS: tuple[tuple[Any, DataKind], ...] = (
    (int, DataKind.INTEGER),
    (float | Decimal, DataKind.FLOAT),
    (str, DataKind.STRING),
    (datetime, DataKind.TIMESTAMP),
    (bytes, DataKind.BINARY),
)


_TAKEN: Mapping[DataKind, frozenset[type]] = {
    DataKind.INTEGER: frozenset({int, type(None)}),
    DataKind.DECIMAL: frozenset({int, type(None)}),
    DataKind.FLOAT: frozenset({int, float, type(None)}),
    DataKind.STRING: frozenset({str, type(None)}),
    DataKind.BOOLEAN: frozenset({bool, type(None)}),
    DataKind.BINARY: frozenset({bytes, type(None)}),
}


def _found(value: Any) -> str:
    if isinstance(value, str) and any("\ud800" <= each <= "\udfff" for each in value):
        return "text that is no Unicode"
    kind = _kind(value)
    return "nothing" if kind is None else kind.value


def _drift(where: str, name: str, kind: DataKind, value: Any) -> DataQualityError:
    return DataQualityError(
        f"{where}: field '{name[:80]}' is {_found(value)}, where the column is {kind.value}. "
        f"Say what it is with `types: {{{name[:80]}: ...}}`; `json` and `string` take any value."
    )


def _timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        moment = datetime.fromisoformat(value)
    elif isinstance(value, bool):
        raise TypeError("a boolean is no time")
    else:
        seconds = float(value)
        moment = datetime.fromtimestamp(seconds / 1000 if abs(seconds) >= _MILLISECONDS else seconds, UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _date(value: Any) -> date:
    return datetime.fromisoformat(value).date() if len(value) > 10 else date.fromisoformat(value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise TypeError("a boolean is no number")
    try:
        made = Decimal(value) if isinstance(value, int | str | Decimal) else Decimal(repr(value))
    except InvalidOperation as error:
        raise ValueError("no number") from error
    if not made.is_finite():
        raise ValueError("no finite number")
    return made


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float | Decimal) and value != int(value)):
        raise ValueError("not whole")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) > _EXACT):
        raise ValueError("no float of the same value")
    return float(value)


_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _boolean(value: Any) -> bool:
    known = _WORDS.get(str(value).strip().lower())
    if known is None:
        raise ValueError("neither true nor false")
    return known


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _binary(value: Any) -> bytes:
    return value if isinstance(value, bytes) else base64.b64decode(value, validate=True)


def json_text(value: Any) -> str:
    """Any JSON value as compact text, its numbers as they were."""
    return _encode(value).decode()


_CONVERTERS: Mapping[DataKind, Callable[[Any], Any]] = {
    DataKind.STRING: _text,
    DataKind.INTEGER: _integer,
    DataKind.FLOAT: _number,
    DataKind.DECIMAL: _decimal,
    DataKind.BOOLEAN: _boolean,
    DataKind.DATE: _date,
    DataKind.TIMESTAMP: _timestamp,
    DataKind.JSON: json_text,
    DataKind.BINARY: _binary,
}


def packed(schema: pa.Schema) -> str:
    """A schema as text, for a checkpoint."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def unpacked(text: str) -> pa.Schema:
    """The schema that `packed` wrote."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
