"""Avro through fastavro, an extra: `formats`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from engine.connectors.files.formats.records import gathered
from engine.connectors.files.names import shown
from engine.connectors.files.shapes import json_text
from engine.connectors.files.source_file import SourceFile
from engine.dataflow.kinds import INSTANT, MARK, field, kind_of
from engine.model.dataset import DataKind
from engine.model.errors import ConfigurationError, DataQualityError

_PLAIN: Mapping[str, pa.DataType] = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "fixed": pa.binary(),
    "string": pa.string(),
    "enum": pa.string(),
}
_LOGICAL: Mapping[str, pa.DataType] = {
    "date": pa.date32(),
    "timestamp-millis": INSTANT,
    "timestamp-micros": INSTANT,
    "local-timestamp-millis": pa.timestamp("us"),
    "local-timestamp-micros": pa.timestamp("us"),
    "time-millis": pa.string(),
    "time-micros": pa.string(),
    "uuid": pa.string(),
}


def library() -> Any:
    """fastavro, or a sentence how to get it."""
    try:
        import fastavro
    except ModuleNotFoundError as error:
        raise ConfigurationError("Avro files need 'fastavro': pip install 'penstock[formats]'.") from error
    return fastavro


def look(file: SourceFile) -> pa.Schema:
    """The columns, from the writer's schema."""
    with file.plain() as plain:
        return _schema(file, _reader(file, plain))


def read(file: SourceFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The records, in the columns and types of `schema`."""
    with file.plain() as plain:
        reader = _reader(file, plain)
        own = _schema(file, reader)
        as_text = {each["name"] for each in reader.writer_schema["fields"] if _is_marked(each["type"])}
        try:
            for held in gathered(reader, min(file.options.batch_rows, 10_000), lambda: plain.count):
                yield pa.RecordBatch.from_arrays(
                    [_column(held, own.field(one.name), one, one.name in as_text) for one in schema], schema=schema
                )
        except (ValueError, EOFError, KeyError, IndexError, TypeError, pa.ArrowInvalid) as error:
            raise _torn(file, error) from error


def _reader(file: SourceFile, plain: Any) -> Any:
    avro = library()
    try:
        return avro.reader(plain)
    except (ValueError, EOFError, KeyError, TypeError) as error:
        raise _torn(file, error) from error


def _torn(file: SourceFile, error: Exception) -> DataQualityError:
    return DataQualityError(
        f"'{file.name}' is no whole Avro file: {shown(str(error).splitlines()[0] if str(error) else 'cut short')} "
        "Nothing of it is loaded; have it written again."
    )


def _schema(file: SourceFile, reader: Any) -> pa.Schema:
    schema = reader.writer_schema
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise DataQualityError(f"'{file.name}' does not hold records.")
    return pa.schema([_field(each["name"], each["type"]) for each in schema["fields"]])


def _field(name: str, given: Any) -> pa.Field:
    if isinstance(given, list):
        others = [each for each in given if each != "null"]
        one = _field(name, others[0]) if len(others) == 1 else field(name, DataKind.JSON)
        return one.with_nullable(len(others) < len(given))
    nullable = given == "null"
    if isinstance(given, dict):
        logical = given.get("logicalType")
        if logical == "decimal":
            return pa.field(name, pa.decimal128(given["precision"], given.get("scale", 0)), nullable=nullable)
        if _is_marked(given):
            return field(name, DataKind.JSON, nullable=nullable)
        if logical in _LOGICAL:
            return pa.field(name, _LOGICAL[str(logical)], nullable=nullable)
        given = given["type"]
    plain = _PLAIN.get(given if isinstance(given, str) else "")
    return (
        pa.field(name, plain, nullable=nullable)
        if plain is not None
        else field(name, DataKind.JSON, nullable=nullable)
    )


def _is_marked(given: Any) -> bool:
    """Text that Penstock wrote as JSON."""
    if isinstance(given, list):
        return any(_is_marked(each) for each in given)
    return isinstance(given, dict) and given.get(MARK.decode()) == DataKind.JSON.value


def _column(held: list[Any], own: pa.Field, one: pa.Field, as_text: bool) -> pa.Array:
    values = [record.get(own.name) for record in held]
    if kind_of(own) is DataKind.JSON:
        values = [value if as_text else json_text(value) for value in values]
    elif pa.types.is_string(own.type):
        values = [value if value is None or isinstance(value, str) else str(value) for value in values]
    made = pa.array(values, own.type)
    return made if own.type == one.type else made.cast(one.type)
