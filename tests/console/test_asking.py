"""Questions asked from the event loop: one of a kind at a time, and dear ones not all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from console import asking
from console.asking import Questions
from engine.client import Client


class Host:
    """Runs what it is given."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []

    def run_worker(self, work: Any, **_: Any) -> Any:
        self.tasks.append(asyncio.ensure_future(cast("Coroutine[Any, Any, Any]", work())))
        return None


@pytest.mark.parametrize("restless", [False, True])
def test_what_is_asked_again_meanwhile_rests_unless_somebody_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, restless: bool
) -> None:
    rests: list[float] = []
    sleep = asyncio.sleep

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asking.asyncio, "sleep", rest)

    async def main() -> list[int]:
        client: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        client.set_result(cast("Client", None))
        host, answers = Host(), list[int]()
        questions = Questions(host, lambda: client, lambda sentence: pytest.fail(sentence))

        def took(answer: int) -> None:
            answers.append(answer)
            if answer < 3:
                questions.ask("it", lambda _: answer + 1, took, restless=restless)

        questions.ask("it", lambda _: 1, took, restless=restless)
        await asyncio.gather(*host.tasks)
        assert questions.quiet
        return answers

    assert asyncio.run(main()) == [1, 2, 3]
    assert len(rests) == (0 if restless else 2)
