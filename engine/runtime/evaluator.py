"""Renders templates of `when`, `foreach` and `choose` beside the dispatcher, which never waits for a template."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.model.errors import ErrorKind, PenstockError, TaskError, TaskFailure
from engine.ports import failpoint
from engine.ports.catalog import Renderer
from engine.rules.snapshot import Key


@dataclass(frozen=True, slots=True)
class Question:
    """One template to render."""

    run_id: str
    key: Key
    execution_id: str
    field: str
    template: Any
    context: Mapping[str, Any]
    number: int = 0  # the newest question of an execution and field is the one whose answer counts


@dataclass(frozen=True, slots=True)
class Answer:
    """What it rendered to, or why it could not be."""

    question: Question
    value: Any
    error: TaskError | None


class Evaluator:
    """One thread, one limited child behind the Renderer port."""

    def __init__(self, renderer: Renderer, deliver: Callable[[Answer], None]) -> None:
        self._renderer = renderer
        self._deliver = deliver
        self._questions: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self, question: Question) -> None:
        """The answer comes by `deliver`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._answer_for_ever, name="evaluator", daemon=True)
            self._thread.start()
        self._questions.put(question)

    def close(self) -> None:
        """End thread and child."""
        if self._thread is not None:
            self._questions.put(None)
            self._thread.join(timeout=5.0)
        self._renderer.close()

    def _answer_for_ever(self) -> None:
        while (question := self._questions.get()) is not None:
            answer = self._answer(question)
            failpoint.hit("evaluator.answered")
            self._deliver(answer)

    def _answer(self, question: Question) -> Answer:
        try:
            return Answer(question, self._renderer.render(question.template, question.context), None)
        except (TaskFailure, PenstockError, OSError, ValueError) as error:
            kind = error.kind if isinstance(error, TaskFailure) else ErrorKind.CONFIGURATION
            message = f"`{question.field}` could not be rendered: {error}"
            return Answer(question, None, TaskError(type=type(error).__name__, kind=kind, message=message))
