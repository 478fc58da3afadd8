"""What is kept about data, as everybody but the engine reads it: the half of `queries` that is about datasets.

Law: as there: one read transaction per question, an empty answer where there is no state yet, lists bounded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from engine.model.breaker import Breaker
from engine.model.dataset import Dataset, DatasetEdge, DatasetVersion, Direction, TouchRecord, Watermark
from engine.ports.store import PipelineVersion
from engine.stores import data_reading

Answer = TypeVar("Answer")


class DataQueries(ABC):
    """Part of SqlQueries."""

    @abstractmethod
    def _ask(self, ask: Callable[[Connection], Answer], empty: Answer) -> Answer:
        """One question in one read transaction."""

    def watermarks(
        self, profile: str | None, *, pipeline_id: str | None = None, source: str | None = None, limit: int = 10_000
    ) -> Sequence[Watermark]:
        if source is not None:
            return self._ask(lambda found: data_reading.watermarks_of(found, profile or "", source, limit), [])
        return self._ask(lambda found: data_reading.watermarks(found, profile or "", pipeline_id, limit), [])

    def breakers(self) -> Sequence[Breaker]:
        return self._ask(data_reading.breakers, [])

    def datasets(self, profile: str | None, limit: int = 10_000) -> Sequence[Dataset]:
        return self._ask(lambda found: data_reading.datasets(found, profile or "", limit), [])

    def dataset(self, profile: str | None, name: str) -> Dataset | None:
        return self._ask(lambda found: data_reading.dataset(found, profile or "", name), None)

    def dataset_versions(self, profile: str | None, name: str, limit: int = 100) -> Sequence[DatasetVersion]:
        return self._ask(lambda found: data_reading.versions(found, profile or "", name, limit), [])

    def touches(
        self, profile: str | None, name: str, *, direction: Direction | None = None, limit: int = 100
    ) -> Sequence[TouchRecord]:
        return self._ask(lambda found: data_reading.touches(found, profile or "", name, direction, limit), [])

    def touches_of_run(self, run_id: str, limit: int = 10_000) -> Sequence[TouchRecord]:
        return self._ask(lambda found: data_reading.touches_of_run(found, run_id, limit), [])

    def touching_runs(self, profile: str | None, since: datetime, limit: int = 1_000) -> Sequence[str]:
        return self._ask(lambda found: data_reading.touching_runs(found, profile or "", since, limit), [])

    def dataset_edges(
        self, profile: str | None, *, at: datetime | None = None, limit: int = 100_000
    ) -> Sequence[DatasetEdge]:
        return self._ask(lambda found: data_reading.edges(found, profile or "", at, limit), [])

    def touchers(self, profile: str | None, names: Sequence[str], limit: int = 10_000) -> Sequence[tuple[str, ...]]:
        return self._ask(lambda found: data_reading.touchers(found, profile or "", names, limit), [])

    def versions_at(self, at: datetime) -> Sequence[PipelineVersion]:
        return self._ask(lambda found: data_reading.versions_at(found, at), [])
