"""A look at rows that a run has staged.

Law: only what lies in the workspace's staging folder is opened, only so much of it is read as was asked for, and
nothing is changed. Values come as plain JSON, cut where they are long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.model.dataset import Column


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSummary:
    """What the rows that were looked at say of one column."""

    column: Column
    nulls: int
    least: Any = None  # None: not told, or all are null
    greatest: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The first rows, and what the rows looked at add up to."""

    columns: Sequence[ColumnSummary]
    rows: Sequence[Sequence[Any]]
    total: int  # of all rows that are staged, or that the staged ones are the first of
    looked: int  # how many of them the summaries are about


class Samples(Protocol):
    """Filled by bootstrap; loads what it needs when it is asked."""

    def staged(self, reference: Mapping[str, Any], rows: int) -> Sample:
        """Of a staged dataset that an output refers to. ConfigurationError when it is gone."""
