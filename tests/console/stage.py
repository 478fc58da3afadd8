"""How a scene in the console is played: a session, the app without a terminal, and looking until it is so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from console.app import Console
from console.place import Place
from console.preferences import Preferences
from console.session import Session
from console.theme import Look
from engine.model.event import Actor

LIMIT_SECONDS = 60.0  # a deadline for a loaded machine, not a measurement
NARROW, WIDE = (80, 24), (160, 48)
RUNS = Place("runs")
Scene = Callable[[Pilot[int], Console], Awaitable[None]]


@dataclass
class NoKeeper:
    """Nobody leads and nothing is started; what was asked is noted."""

    held: Any = None
    asked: list[str] = field(default_factory=list)

    def leader(self) -> Any:
        return self.held

    def start(self) -> int:
        self.asked.append("start")
        return 0

    def attach(self) -> None:
        self.asked.append("attach")

    def detach(self) -> None:
        self.asked.append("detach")

    def stop(self) -> None:
        self.asked.append("stop")

    def apply(self) -> None:
        self.asked.append("apply")


def session_of(open_client: Callable[[], Any], keeper: Any = None, **more: Any) -> Session:
    """A session that starts no engine unless told to."""
    given = {
        "root": Path("/srv/shop"),
        "profile": None,
        "actor": Actor(name="alice@10.2.3.4"),
        "keeper": keeper or NoKeeper(),
        "start_engine": False,
        "keep_engine": False,
        "preferences": Preferences(),
        "look": Look(),
        **more,
    }
    return Session(open_client=open_client, **given)


def play(session: Session, scene: Scene, *, size: tuple[int, int] = NARROW, start: Place | None = RUNS) -> None:
    """Open the console there (None: where it opens by itself), play the scene, close it."""

    async def main() -> None:
        app = Console(session, start=start or Place("runs"))
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.view.is_mounted and app.view.quiet and app.state.read_at is not None)
            await scene(pilot, app)
            session.closing.set()

    asyncio.run(main())


async def until(pilot: Pilot[int], condition: Callable[[], object]) -> None:
    """Look until it is so and what follows from it at once is on the screen; a deadline, not a measurement."""
    end = time.monotonic() + LIMIT_SECONDS
    while True:
        await pilot.pause()
        if condition():
            await pilot.pause()
            return
        assert time.monotonic() < end, "it did not come to be:\n" + text(pilot.app)
        await asyncio.sleep(0.01)


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Keys, and what follows from them at once."""
    await pilot.press(*keys)
    await pilot.pause()


async def typed(pilot: Pilot[int], line: str) -> None:
    """A line, character by character."""
    await press(pilot, *[{" ": "space"}.get(char, char) for char in line])


def lines(app: Any) -> list[str]:
    """What is on the screen."""
    strips: Sequence[Any] = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip) for strip in strips]


def text(app: Any) -> str:
    """What is on the screen, as one text."""
    return "\n".join(line.rstrip() for line in lines(app))
