"""Records of JSON as columns.

Law: kinds come from the first records or from `types`; a later value of another kind, or a key that was not
there, is refused with file, record and column. Objects and lists, and columns whose values are of several kinds,
travel as JSON text.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any

import pyarrow as pa

from engine.connectors.files.names import shown
from engine.connectors.files.options import ReadOptions
from engine.connectors.files.shapes import json_text
from engine.connectors.files.wanted import Wanted
from engine.dataflow.kinds import field, kind_of
from engine.model.dataset import DataKind
from engine.model.errors import DataQualityError

SAMPLE = 2_000
BATCH_BYTES = 4 << 20
Record = Mapping[str, Any]
_LARGEST = 1 << 63
_TRUE = frozenset({"true", "1", "yes", "on", "y", "t"})
_FALSE = frozenset({"false", "0", "no", "off", "n", "f"})


def look(records: Iterable[Any], options: ReadOptions, name: str) -> pa.Schema:
    """The columns of the first records."""
    found: dict[str, DataKind | None] = {}
    for at, record in enumerate(islice(records, SAMPLE), 1):
        for key, value in _checked(record, name, at).items():
            if key not in found:
                _refuse_half_characters(key, name, at)
            found[key] = _with(found.get(key), value)
    return pa.schema([_column(key, kind, options.types.get(key)) for key, kind in found.items()])


def _refuse_half_characters(key: str, name: str, at: int) -> None:
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise DataQualityError(
            f"'{shown(name)}', record {at:,} has a column '{shown(key)}' with half a character (an unpaired "
            "surrogate) in its name. Correct the file."
        ) from error


def _column(name: str, kind: DataKind | None, told: Wanted | None) -> pa.Field:
    if told is not None:
        return told.field(name)
    return pa.field(name, pa.null()) if kind is None else field(name, kind)


def _with(before: DataKind | None, value: Any) -> DataKind | None:
    now = _kind(value)
    if before is None or now is None or before is now:
        return before or now
    numbers = {DataKind.INTEGER, DataKind.FLOAT}
    return DataKind.FLOAT if {before, now} == numbers else DataKind.JSON


def _kind(value: Any) -> DataKind | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return DataKind.BOOLEAN
    if isinstance(value, int):
        return DataKind.INTEGER if -_LARGEST <= value < _LARGEST else DataKind.JSON
    if isinstance(value, float | Decimal):
        return DataKind.FLOAT
    return DataKind.STRING if isinstance(value, str) else DataKind.JSON


def read(
    records: Iterable[Any],
    schema: pa.Schema,
    known: Sequence[str],
    options: ReadOptions,
    name: str,
    consumed: Callable[[], int],
) -> Iterator[pa.RecordBatch]:
    """The records in the columns of `schema`; `known` are all the keys that a record may have, () is any."""
    makers = [(one, _maker(one, options.types.get(one.name))) for one in schema]
    keys = frozenset(known)
    before = 0
    for held in gathered(records, min(options.batch_rows, 10_000), consumed):
        for at, record in enumerate(held, before + 1):
            if not _checked(record, name, at).keys() <= keys and keys:
                raise _unknown(record, keys, name, at)
        yield _batch(held, schema, makers, name, before)
        before += len(held)


def gathered(records: Iterable[Any], rows: int, consumed: Callable[[], int]) -> Iterator[list[Any]]:
    """Lists of so many records, or of as many as some megabytes of the file hold."""
    held: list[Any] = []
    begun = consumed()
    for record in records:
        held.append(record)
        if len(held) >= rows or consumed() - begun > BATCH_BYTES:
            yield held
            held, begun = [], consumed()
    if held:
        yield held


def _batch(
    held: Sequence[Record],
    schema: pa.Schema,
    makers: Sequence[tuple[pa.Field, Callable[[Any], Any]]],
    name: str,
    before: int,
) -> pa.RecordBatch:
    columns = []
    for one, make in makers:
        try:
            columns.append(pa.array([make(record.get(one.name)) for record in held], one.type))
        except (ValueError, TypeError, ArithmeticError, pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            raise _misfit(held, one, make, name, before) from None
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _misfit(
    held: Sequence[Record], one: pa.Field, make: Callable[[Any], Any], name: str, before: int
) -> DataQualityError:
    for at, record in enumerate(held, before + 1):
        try:
            pa.array([make(record.get(one.name))], one.type)
        except (ValueError, TypeError, ArithmeticError, pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            value, kind = _told(record.get(one.name)), kind_of(one).value
            return DataQualityError(
                f"'{shown(name)}', record {at:,}, column '{shown(one.name)}': {value} is no {kind}. "
                "Correct the file, or give the column another kind in `types`."
            )
    return DataQualityError(f"'{shown(name)}', column '{shown(one.name)}' does not fit {one.type}.")


def _told(value: Any) -> str:
    try:
        return shown(str(json_text(value)), 80)
    except UnicodeEncodeError:
        return "text with half a character (an unpaired surrogate)"


def _checked(record: Any, name: str, at: int) -> Record:
    if not isinstance(record, dict):
        raise DataQualityError(
            f"'{shown(name)}', record {at:,} is {shown(str(json_text(record)), 80)}, not an object with columns; "
            "name where the records are with `data_path`."
        )
    return record


def _unknown(record: Record, keys: frozenset[str], name: str, at: int) -> DataQualityError:
    key = next(key for key in record if key not in keys)
    return DataQualityError(
        f"'{shown(name)}', record {at:,} has a column '{shown(key)}' that no record before it had; "
        "name it in `types` to read it, or the ones you want in `columns`."
    )


def _maker(one: pa.Field, told: Wanted | None) -> Callable[[Any], Any]:
    if told is not None and told.format is not None:
        return _parsed(told)
    return _MAKERS.get(kind_of(one), _same)


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        raise TypeError
    return str(value)


def _whole(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        return int(value)
    if isinstance(value, float | Decimal) and value == int(value):
        return int(value)
    raise TypeError


def _float(value: Any) -> float | None:
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, bool | dict | list):
        raise TypeError
    made = float(value)
    if isinstance(value, int) and int(made) != value:
        raise ValueError
    return made


def _exact(value: Any) -> Decimal | None:
    if value is None or isinstance(value, Decimal):
        return value
    if isinstance(value, bool | dict | list):
        raise TypeError
    try:
        return Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError from error


def _truth(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    word = str(value).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _day(value: Any) -> date | None:
    return None if value is None else date.fromisoformat(value)


def _instant(value: Any) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def _bytes(value: Any) -> bytes | None:
    return None if value is None else base64.b64decode(value, validate=True)


_MAKERS: Mapping[DataKind, Callable[[Any], Any]] = {
    DataKind.STRING: _text,
    DataKind.INTEGER: _whole,
    DataKind.FLOAT: _float,
    DataKind.DECIMAL: _exact,
    DataKind.BOOLEAN: _truth,
    DataKind.DATE: _day,
    DataKind.TIMESTAMP: _instant,
    DataKind.JSON: json_text,
    DataKind.BINARY: _bytes,
}


def _parsed(told: Wanted) -> Callable[[Any], Any]:
    def make(value: Any) -> Any:
        if value is None:
            return None
        at = datetime.strptime(value, told.format or "")  # noqa: DTZ007  a wall clock stays one
        return at.date() if told.kind is DataKind.DATE else at

    return make
