"""Rows made to fit a target: columns mapped, values converted, nulls and drift dealt with (DST-05, TYP-03 to 05).

Law: whatever can be known from the two schemas is refused before a row is read. No value changes without `lossy`,
and then the changes are counted and told once for each column. Rows, errors and counts are the same however the
stream is cut into batches: of several cells that do not fit, the first row's first one is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.dataflow import kinds
from engine.dataflow.cells import Unfit, cell, excerpt, refuse
from engine.dataflow.coercion import Convert, NoWay, Way, Wish, way
from engine.dataflow.mapping import Choice, choices, found_in, near
from engine.dataflow.narrowing import Narrowing
from engine.dataflow.spelling import field_as_written
from engine.dataflow.streams import Batches
from engine.model.dataset import DataKind
from engine.model.errors import ConfigurationError, DataQualityError
from engine.ports.stream import Stream

Note = Callable[[str], None]
_INSTEAD_OF_NULL: Mapping[DataKind, Any] = {
    DataKind.STRING: "",
    DataKind.INTEGER: 0,
    DataKind.FLOAT: 0.0,
    DataKind.DECIMAL: Decimal(0),
    DataKind.BOOLEAN: False,
    DataKind.DATE: 0,  # the first of January 1970
    DataKind.TIMESTAMP: 0,
    DataKind.JSON: "null",
    DataKind.BINARY: b"",
}


def conform(
    stream: Stream,
    *,
    columns: Mapping[str, Any],
    target: pa.Schema | None,
    drift: str,
    nulls: str,
    keep: Sequence[str],
    where: str,
    note: Note,
) -> Stream:
    """The same rows as `target` takes them; None: as it will be made. `keep`: boolean columns that travel with the
    rows and are not written. `drift`: fail, add or ignore columns that the target lacks. `nulls` where the target
    takes none: keep, default or reject. `where` names the target in messages; `note` takes what is to be logged."""
    plan = _Plan(target=target, drift=drift, nulls=nulls, keep=frozenset(keep), where=where, note=note)
    steps = plan.steps(stream.schema, columns)
    schema = pa.schema([step.field for step in steps])
    return Batches(schema, _conformed(stream, steps, schema, where, note), stream.close)


def _conformed(
    stream: Stream, steps: Sequence[_Step], schema: pa.Schema, where: str, note: Note
) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in stream:
        try:
            arrays = [step.run(batch) for step in steps]
        except Unfit:
            raise _first_unfit(batch, steps, done, where) from None
        done += batch.num_rows
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
    for step in steps:
        for each in step.narrowings():
            if each.changed:
                note(f"{where}: {each.changed} values of column '{step.field.name}' were {each.what}.")


def _first_unfit(batch: pa.RecordBatch, steps: Sequence[_Step], done: int, where: str) -> DataQualityError:
    found: list[tuple[int, int, str]] = []
    for order, step in enumerate(steps):
        unfit = step.unfit(batch)
        if unfit is not None:
            found.append((unfit.index, order, unfit.why))
    index, order, why = min(found)
    step = steps[order]
    shown = "null" if step.index is None else excerpt(cell(batch.column(step.index), index))
    return DataQualityError(
        f"{where}: row {done + index + 1}, column '{step.field.name}': {shown} {why}. Nothing was loaded."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """How one column of the result comes about."""

    field: pa.Field
    index: int | None  # in the rows
    steps: Sequence[Convert]
    default: pa.Scalar | None = None
    nulls: Convert | None = None

    def run(self, batch: pa.RecordBatch) -> pa.Array:
        if self.index is None:
            column = pa.nulls(batch.num_rows, self.field.type)
        else:
            column = batch.column(self.index)
            for step in self.steps:
                column = step(column)
            if column.type != self.field.type:
                column = pc.cast(column, self.field.type)
        if self.default is not None and column.null_count:
            column = pc.fill_null(column, self.default)
        return column if self.nulls is None or not column.null_count else self.nulls(column)

    def unfit(self, batch: pa.RecordBatch) -> Unfit | None:
        """The first cell that does not fit. A conversion that looks at the column more than once may have met a
        later one first: what is before it is looked at again."""
        first = None
        while first is None or first.index:
            try:
                self.run(batch if first is None else batch.slice(0, first.index))
            except Unfit as unfit:
                first = unfit
            else:
                break
        return first

    def narrowings(self) -> list[Narrowing]:
        return [each for each in (*self.steps, self.nulls) if isinstance(each, Narrowing)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Everything that is decided before a row is read."""

    target: pa.Schema | None
    drift: str
    nulls: str
    keep: frozenset[str]
    where: str
    note: Note
    taken: set[str] = field(default_factory=set)  # columns of the target that have found theirs

    def steps(self, schema: pa.Schema, columns: Mapping[str, Any]) -> list[_Step]:
        chosen = choices(columns, schema, self.where)
        for name in self.keep - {each.name for each in chosen}:
            if name not in schema.names:
                raise ConfigurationError(f"{self.where}: the rows have no '{name}'; {near(name, schema.names)}")
            chosen.append(Choice(name=name, source=name))
        placed = [(each, self._place(each)) for each in chosen]
        self._drifted([each for each, to in placed if to is None and self._lacks(each)], schema)
        if self.drift == "ignore":
            placed = [(each, to) for each, to in placed if to is not None or not self._lacks(each)]
        if not placed:
            raise DataQualityError(f"{self.where} has none of the columns {', '.join(schema.names[:20])}.")
        self._missing(bool(columns))
        return [self._step(each, to, schema) for each, to in placed]

    def _lacks(self, choice: Choice) -> bool:
        return self.target is not None and choice.name not in self.keep

    def _place(self, choice: Choice) -> pa.Field | None:
        """The target's column that a choice goes into."""
        if choice.name in self.keep:
            return kinds.field(choice.name, DataKind.BOOLEAN)
        found = None if self.target is None else found_in(self.target, choice.name, self.taken)
        if found is None:
            return None
        if found.name in self.taken:
            raise ConfigurationError(
                f"{self.where}: two columns of the rows go into '{found.name}'; leave one out."
            )
        self.taken.add(found.name)
        return found

    def _drifted(self, lacking: Sequence[Choice], schema: pa.Schema) -> None:
        """What the target lacks: refused, told, or (add) left to the destination, which sees it in the schema."""
        if not lacking or self.target is None or self.drift == "add":
            return
        names = ", ".join(f"'{each.name}'" for each in lacking[:20])
        named = next((each for each in lacking if each.mapped), None)
        if self.drift == "ignore" and named is None:
            self.note(f"{self.where} has no column {names}; it is left out (on_drift: ignore).")
            return
        if named is not None:
            hint = near(named.name, self.target.names)
            raise ConfigurationError(f"{self.where} has no column '{named.name}'; {hint} `on_drift: add` makes it.")
        raise DataQualityError(
            f"{self.where} has no column {names}, and the rows do. Add it there or with `on_drift: add`, leave it "
            f"out with `on_drift: ignore`, or choose with `columns`. Nothing was loaded."
        )

    def _missing(self, mapped: bool) -> None:
        """Columns of the target that the rows do not fill."""
        lacking = [each for each in self.target or () if each.name not in self.taken]
        required = [f"'{each.name}'" for each in lacking if kinds.REQUIRED in (each.metadata or {})]
        if required:
            raise DataQualityError(
                f"{self.where} takes no row without {', '.join(required[:20])}, and the rows have no such column. "
                "Map one to it with `columns`, or give it a default there. Nothing was loaded."
            )
        if lacking and not mapped:
            names = ", ".join(f"'{each.name}'" for each in lacking[:20])
            self.note(f"{self.where}: the rows have no column {names}; the target's own default is taken.")

    def _step(self, choice: Choice, to: pa.Field | None, schema: pa.Schema) -> _Step:
        asked = field_as_written(choice.name, choice.type) if choice.type is not None else None
        given = schema.field(choice.source) if choice.source is not None else None
        wish = choice.wish if choice.name not in self.keep else Wish(asked=True)
        if to is None:
            to = asked or _made_of(choice, given)
        found = Way() if given is None else self._way(given, asked, to, wish)
        if found.checked:
            self.note(
                f"{self.where}: column '{to.name}' is {_shown(given)} in the rows; each value is checked that it "
                f"{found.checked}."
            )
        default = None if choice.default is None else self._default(choice, to)
        refuses = self.nulls != "keep" and not to.nullable
        nullable = (to.nullable or not refuses) and default is None
        metadata = {kinds.MARK: b"json"} if kinds.kind_of(to) is DataKind.JSON else None
        return _Step(
            field=pa.field(to.name, to.type, nullable=nullable, metadata=metadata),
            index=None if given is None else schema.get_field_index(choice.source),
            steps=found.steps,
            default=default,
            nulls=self._for_nulls(to) if refuses else None,
        )

    def _way(self, given: pa.Field, asked: pa.Field | None, to: pa.Field, wish: Wish) -> Way:
        """By way of the type that was asked for, where that is another kind than the target's."""
        self._format_fits(given, asked or to, wish)
        try:
            if asked is None or asked is to or not _by_way_of(asked, to):
                return way(given, to, wish)
            first, then = way(given, asked, wish), way(asked, to, wish)
        except NoWay as no:
            raise DataQualityError(
                f"{self.where}: column '{to.name}' is {_shown(given)} in the rows and {_shown(to)} in the target; "
                f"{no.remedy}. Nothing was loaded."
            ) from None
        return Way([*first.steps, *then.steps], first.checked or then.checked)

    def _format_fits(self, given: pa.Field, to: pa.Field, wish: Wish) -> None:
        if wish.pattern is None:
            return
        kind = kinds.kind_of(to)
        if kinds.kind_of(given) is not DataKind.STRING or kind not in (DataKind.DATE, DataKind.TIMESTAMP):
            raise ConfigurationError(
                f"{self.where}: column '{to.name}' has a `format`, which is for text that becomes a date or a "
                f"timestamp; it is {_shown(given)} and becomes {_shown(to)}. Say `type: date` or `timestamp`."
            )
        if kind is DataKind.DATE and wish.pattern.has_time:
            raise ConfigurationError(f"{self.where}: column '{to.name}' is a date; its `format` has a time.")

    def _default(self, choice: Choice, to: pa.Field) -> pa.Scalar:
        """The default as a value of the column."""
        column = pa.array([choice.default])
        try:
            for step in way(pa.field(to.name, column.type), to, Wish(asked=True)).steps:
                column = step(column)
        except (Unfit, NoWay):
            shown = excerpt(choice.default)
            raise ConfigurationError(
                f"{self.where}: the default {shown} of column '{to.name}' is no {_shown(to)}."
            ) from None
        return pc.cast(column, to.type)[0]

    def _for_nulls(self, to: pa.Field) -> Convert:
        if self.nulls == "reject":
            return _reject
        kind = kinds.kind_of(to)
        value = pa.scalar(_INSTEAD_OF_NULL[kind], pa.int32() if kind is DataKind.DATE else None).cast(to.type)
        return Narrowing(
            f"null and became {excerpt(value.as_py())}",
            lambda column: (pc.fill_null(column, value), column.null_count),
        )


def _reject(column: pa.Array) -> pa.Array:
    refuse(pc.is_null(column), "is not taken by this column, and `nulls` is reject")
    return column


def _by_way_of(asked: pa.Field, to: pa.Field) -> bool:
    """Whether `type` says more than the target's column does."""
    kind = kinds.kind_of(asked)
    if kind is not kinds.kind_of(to):
        return True
    return kinds.length_of(asked) is not None or (kind is DataKind.DECIMAL and asked.type != kinds.DECIMAL)


def _made_of(choice: Choice, given: pa.Field | None) -> pa.Field:
    """The column that a target is made with."""
    if given is None:
        inferred = pa.field(choice.name, pa.array([choice.default]).type)
        return kinds.travelling(inferred)
    return kinds.travelling(given.with_name(choice.name))


def _shown(one: pa.Field | None) -> str:
    if one is None:
        return "nothing"
    detail = kinds.columns_of(pa.schema([one]))[0].detail
    return f"{kinds.kind_of(one).value}{f' ({detail})' if detail else ''}"
