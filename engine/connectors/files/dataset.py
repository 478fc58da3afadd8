"""Many files as one dataset.

Law: the schema is known before the first row: every file is looked at, columns are matched by name and widened
where nothing is lost. Files are read one after the other; an empty one has no rows, and a dataset of empty ones
no columns and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from engine.connectors.files.names import shown
from engine.connectors.files.options import FORMATS, ReadOptions
from engine.connectors.files.place import Entry, Place
from engine.connectors.files.shapes import common, converted
from engine.connectors.files.source_file import SourceFile
from engine.dataflow.kinds import field
from engine.model.dataset import DataKind
from engine.model.errors import ConfigurationError, DataQualityError

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_WHOLE = re.compile(r"(?:0|-?[1-9]\d{0,17})\Z")


def format_module(name: str) -> Any:
    """The reader of a format, imported when it is first needed."""
    if name not in FORMATS:
        raise ConfigurationError(f"There is no format '{shown(name)}'; there are {', '.join(FORMATS)}.")
    return import_module(f"engine.connectors.files.formats.{name}")


class FileSet:
    """Files that are read as one, looked at."""

    def __init__(self, place: Place, entries: Sequence[Entry], options: ReadOptions, what: str) -> None:
        self.options = options
        self.files = [SourceFile(place, entry, options) for entry in entries]
        self._own = [self._look(file) for file in self.files]
        self._folders = [_folders(file.entry.name) for file in self.files]
        self.schema = self._wanted(self._whole(what))

    def _look(self, file: SourceFile) -> pa.Schema:
        if file.empty and not (file.format == "csv" and self.options.names):
            told = self.options.types if file.format in ("json", "jsonl") else {}
            return pa.schema([one.field(name) for name, one in told.items()])
        schema: pa.Schema = format_module(file.format).look(file)
        if file.format in ("json", "jsonl"):
            told = {name: one for name, one in self.options.types.items() if name not in schema.names}
            told = {name: one for name, one in told.items() if name not in _folders(file.entry.name)}
            schema = pa.schema([*schema, *(one.field(name) for name, one in told.items())])
            file.known = () if self.options.columns else schema.names
        return schema

    @classmethod
    def of_none(cls, schema_from: FileSet) -> FileSet:
        """The same columns, and no file."""
        made = cls.__new__(cls)
        made.options, made.schema = schema_from.options, schema_from.schema
        made.files, made._own, made._folders = [], [], []
        return made

    def _whole(self, what: str) -> pa.Schema:
        if not self.files:
            return pa.schema([one.field(name) for name, one in self.options.types.items()])
        named = [(file.entry.name, own) for file, own in zip(self.files, self._own, strict=True) if len(own)]
        if not named:
            raise DataQualityError(
                f"'{shown(what)}' is empty: nothing in it tells its columns. Have it written again, or name its "
                "columns (csv: `header: false` and `names`; json: `types`)."
            )
        schema = common(named)
        fields = [one if not pa.types.is_null(one.type) else self._unknown(one) for one in schema]
        known = {one.name for one in fields}
        fields += [one for one in _folder_fields(self._folders, self.options) if one.name not in known]
        if self.options.file_column:
            fields.append(pa.field(self.options.file_column, pa.string(), nullable=False))
        return pa.schema(fields)

    def _unknown(self, one: pa.Field) -> pa.Field:
        return pa.field(one.name, pa.string(), nullable=True)

    def _wanted(self, schema: pa.Schema) -> pa.Schema:
        for name in (*self.options.columns, *self.options.types):
            if name not in schema.names:
                near = get_close_matches(name, schema.names, n=1)
                hint = f"did you mean '{shown(near[0])}'?" if near else f"there are {_listed(schema.names)}."
                raise ConfigurationError(f"There is no column '{shown(name)}' in the files; {hint}")
        if not self.options.columns:
            return schema
        kept = [schema.field(name) for name in self.options.columns]
        if self.options.file_column and self.options.file_column not in self.options.columns:
            kept.append(schema.field(self.options.file_column))
        return pa.schema(kept)

    def batches(self, at: int) -> Iterator[pa.RecordBatch]:
        """The rows of one file, in the schema of all."""
        file, own = self.files[at], self._own[at]
        added = self._added(at)
        part = pa.schema([one for one in self.schema if one.name in own.names and one.name not in added])
        if not len(own):
            return
        if not len(part):  # none of its own columns is wanted, but its rows count
            part = pa.schema([own.field(0)])
        for batch in format_module(file.format).read(file, part):
            if batch.num_rows:
                yield self._completed(batch, added, file)

    def _completed(self, batch: pa.RecordBatch, added: Mapping[str, Any], file: SourceFile) -> pa.RecordBatch:
        if batch.schema == self.schema:
            return batch
        if not added:
            return converted(batch, self.schema, file.entry.name)
        columns = [
            pa.repeat(added[one.name], len(batch))
            if one.name in added
            else converted(batch, pa.schema([one]), file.entry.name).column(0)
            for one in self.schema
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _added(self, at: int) -> dict[str, Any]:
        """What the file's name says: the file column, the folders' values."""
        found: dict[str, Any] = {}
        own = {name for schema in self._own for name in schema.names}
        for name, value in self._folders[at].items():
            if name in self.schema.names and name not in own:
                found[name] = _cast(value, self.schema.field(name), self.files[at])
        if self.options.file_column:
            found[self.options.file_column] = pa.scalar(self.files[at].name, pa.string())
        return found

    def as_text(self) -> bool:
        """Whether the rows lie there as delimited text of the same columns in every file."""
        if not self.files:
            return False
        first = self._own[0].names
        same = all(
            file.format == "csv" and own.names == first for file, own in zip(self.files, self._own, strict=True)
        )
        return same and self.options.as_text and not any(self._folders)


def _folders(name: str) -> dict[str, str | None]:
    """column=value folders of a file's name."""
    pairs = [part.partition("=") for part in name.split("/")[:-1] if "=" in part]
    return {unquote(key): None if value == NO_VALUE else unquote(value) for key, _, value in pairs if key}


def _folder_fields(folders: Sequence[Mapping[str, str | None]], options: ReadOptions) -> Iterator[pa.Field]:
    for name in dict.fromkeys(key for each in folders for key in each):
        told = options.types.get(name)
        values = [each.get(name) for each in folders]
        whole = all(value is None or _WHOLE.match(value) for value in values) and any(values)
        kind = DataKind.INTEGER if whole else DataKind.STRING
        yield told.field(name) if told is not None else field(name, kind)


def _cast(value: str | None, one: pa.Field, file: SourceFile) -> pa.Scalar:
    try:
        return pa.scalar(value, pa.string()).cast(one.type)
    except pa.ArrowInvalid as error:
        raise DataQualityError(
            f"The folder '{shown(one.name)}={shown(str(value))}' of '{file.name}' is no {one.type}."
        ) from error


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(shown(name, 60) for name in names[:20]) + more
