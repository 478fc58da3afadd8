"""Questions to the client, asked from the event loop and answered in a thread.

Law: the event loop never waits for the store. Of one kind of question at most one is on its way; asked again
meanwhile it is asked once more when the answer is there, after a rest as much longer as the answer was dear, unless
somebody waits for the rest of it. An answer about something nobody looks at any more is dropped. A widget that is
gone gets no answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from console.unstarted import unstarted
from engine.model.errors import PenstockError

if TYPE_CHECKING:
    from textual.worker import Worker

    from engine.client import Client

T = TypeVar("T")
Question = Callable[["Client"], T]
_log = logging.getLogger(__name__)
_REST = 3.0  # times as long as the answer and its showing took: what is dear is not asked all the time
_LONGEST_REST = 2.0


class _Host(Protocol):
    def run_worker(self, work: Any, *, exit_on_error: bool = True, group: str = "default") -> Worker[Any]: ...


class _Asked(NamedTuple):
    about: Hashable
    question: Question[Any]
    then: Callable[[Any], None]
    fail: Callable[[str], None]
    restless: bool


class Questions:
    """The questions of one widget (or of the app)."""

    def __init__(
        self, host: _Host, client: Callable[[], asyncio.Future[Client]], complain: Callable[[str], None]
    ) -> None:
        self._host = host
        self._client = client
        self._complain = complain
        self._newest: dict[str, _Asked] = {}
        self._going: set[str] = set()
        self._again: set[str] = set()

    def ask(
        self,
        what: str,
        question: Question[T],
        then: Callable[[T], None],
        *,
        about: Hashable = None,
        fail: Callable[[str], None] | None = None,
        restless: bool = False,
    ) -> None:
        """Have `question(client)` answered in a thread and `then(answer)` called in the event loop.

        what      the kind: one of each is on its way at a time
        about     what it is about: an answer about something else than what was asked last is dropped
        fail      takes the sentence when it fails; else it is shown as a toast
        restless  asked again at once: it is a part of what somebody waits for
        """
        self._newest[what] = _Asked(about, question, then, fail or self._complain, restless)
        if what in self._going:
            self._again.add(what)
            return
        self._going.add(what)
        self._host.run_worker(unstarted(partial(self._answer, what)), exit_on_error=False, group=f"ask-{what}")

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way."""
        return not self._going

    async def _answer(self, what: str) -> None:
        try:
            while True:
                self._again.discard(what)
                asked, began = self._newest[what], time.monotonic()
                answer, trouble = await self._tried(asked.question)
                if self._newest[what].about == asked.about:
                    if trouble is None:
                        asked.then(answer)
                    else:
                        asked.fail(trouble)
                if what not in self._again:
                    return
                if self._newest[what].about == asked.about and not self._newest[what].restless:
                    await asyncio.sleep(min(_LONGEST_REST, _REST * (time.monotonic() - began)))
        finally:
            self._going.discard(what)

    async def _tried(self, question: Question[Any]) -> tuple[Any, str | None]:
        try:
            client = await asyncio.shield(self._client())
            return await asyncio.to_thread(question, client), None
        except (PenstockError, OSError) as error:
            return None, str(error)
        except Exception as error:  # noqa: BLE001  # a fault of one question must not end the console
            _log.exception("a question failed")
            return None, f"This should not have happened: {type(error).__name__}: {error}"
