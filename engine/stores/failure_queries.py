"""Failures and how work went, as everybody but the engine reads them: that part of `queries`.

Law: as there: one read transaction per question, an empty answer where there is no state yet, lists bounded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from engine.model.run import PipelineRun
from engine.ports.failures import Day, Failure, FailureGroup, TaskTries, Wait
from engine.stores import failures
from engine.stores.failures import Asked
from engine.stores.paging import cut

Answer = TypeVar("Answer")


class SqlFailureQueries(ABC):
    """Part of SqlQueries."""

    @abstractmethod
    def _ask(self, ask: Callable[[Connection], Answer], empty: Answer) -> Answer:
        """One question in one read transaction."""

    def failures(
        self, *, limit: int = 100, before: str | None = None, **asked: Any
    ) -> tuple[Sequence[Failure], str | None]:
        wanted = Asked(**asked)
        found: list[Failure] = self._ask(
            lambda connection: failures.failures(connection, wanted, limit, before), []
        )
        return cut(found, limit, _key)

    def failure_groups(self, *, limit: int = 100, **asked: Any) -> Sequence[FailureGroup]:
        wanted = Asked(**asked)
        return self._ask(lambda connection: failures.failure_groups(connection, wanted, limit), [])

    def days(self, since: datetime, pipeline_id: str | None = None, limit: int = 400) -> Sequence[Day]:
        return self._ask(lambda connection: failures.days(connection, since, pipeline_id, limit), [])

    def task_tries(
        self, since: datetime, pipeline_id: str | None = None, limit: int = 100
    ) -> tuple[Sequence[TaskTries], int]:
        nothing: tuple[list[TaskTries], int] = ([], 0)
        return self._ask(lambda connection: failures.task_tries(connection, since, pipeline_id, limit), nothing)

    def running_since(
        self, before: datetime, pipeline_id: str | None = None, limit: int = 100
    ) -> Sequence[PipelineRun]:
        return self._ask(lambda connection: failures.running_since(connection, before, pipeline_id, limit), [])

    def waits(self, execution_ids: Sequence[str], limit: int = 10_000) -> Sequence[Wait]:
        return self._ask(lambda connection: failures.waits(connection, execution_ids, limit), [])


def _key(failure: Failure) -> tuple[datetime, str]:
    attempt = failure.attempt
    return attempt.completed_at or attempt.submitted_at, attempt.token
