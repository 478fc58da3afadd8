"""A look at staged rows, for who shows them: Arrow is loaded when somebody asks, and not before.

Law: engine.ports.samples. Batches are read from the first part on until enough were seen; a batch that is large is
sliced, never copied. Values become JSON here: exact where JSON can say them, text where it cannot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.model.errors import ConfigurationError
from engine.ports.samples import ColumnSummary, Sample

if TYPE_CHECKING:
    import pyarrow as pa

LOOK = 10_000  # rows that the summaries are about
_TEXT = 500  # characters of one value


class StagedRows:
    """engine.ports.samples.Samples over one workspace."""

    def __init__(self, staging: Path) -> None:
        self._staging = staging

    def staged(self, reference: Mapping[str, Any], rows: int) -> Sample:
        """The first rows of a staged dataset, and what the first ten thousand add up to."""
        import pyarrow as pa

        from engine.dataflow.kinds import columns_of
        from engine.dataflow.sampling import total_of
        from engine.dataflow.staging import StagedDataset

        try:
            dataset = StagedDataset(reference, self._staging)
            batches, looked = [], 0
            for batch in dataset:
                batches.append(batch.slice(0, LOOK - looked))
                looked += batches[-1].num_rows
                if looked >= LOOK:
                    break
            table = pa.Table.from_batches(batches, dataset.schema)
        except (OSError, pa.ArrowException, LookupError, ValueError) as error:
            raise ConfigurationError(f"The staged rows cannot be read ({type(error).__name__}).") from error
        first = table.slice(0, rows).to_pydict() if rows else {}
        summaries = [_summary(column, table.column(at)) for at, column in enumerate(columns_of(dataset.schema))]
        return Sample(
            columns=summaries,
            rows=[[_plain(value) for value in row] for row in zip(*first.values(), strict=True)],
            total=total_of(dataset.manifest),
            looked=table.num_rows,
        )


def _summary(column: Any, values: pa.ChunkedArray) -> ColumnSummary:
    import pyarrow as pa
    import pyarrow.compute as compute

    try:
        found = compute.min_max(values).as_py()
    except pa.ArrowException:  # no order: lists, structs
        found = {"min": None, "max": None}
    return ColumnSummary(
        column=column, nulls=values.null_count, least=_plain(found["min"]), greatest=_plain(found["max"])
    )


def _plain(value: Any) -> Any:
    """As JSON can carry it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    text = "0x" + value[: _TEXT // 2].hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= _TEXT else text[:_TEXT] + "…"
