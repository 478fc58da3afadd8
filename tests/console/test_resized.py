"""A terminal that grows or shrinks shows what one of that size would have shown from the beginning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from checks import screenshots
from console import screens
from console.app import Console
from console.place import Place
from engine.bootstrap.workspace import Workspace
from tests.console.stage import NARROW, WIDE, play, session_of, text, until

PLACES = [each for each in screens.VIEWS.values() if each.name not in ("health", "replay")]  # these never rest


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The samples after some weeks, at one moment of one morning."""
    workspace = screenshots._workspace(tmp_path_factory.mktemp("night") / "samples")
    yield workspace
    workspace.close()


@pytest.fixture(autouse=True)
def _disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.feed._percent", lambda folder: 61)


def seen(night: Workspace, place: Place, *sizes: tuple[int, int]) -> list[str]:
    """What is on the screen at one size after the other."""
    found: list[str] = []

    async def scene(pilot: Pilot[int], app: Console) -> None:
        for size in sizes:
            if size != app.size:
                await pilot.resize_terminal(*size)
            await at_rest(pilot, app)
            found.append(text(app))

    keeper: Any = screenshots.Onlooker()
    session = session_of(lambda: night.client, keeper, root=Path("/srv/shop"))
    play(session, scene, size=sizes[0], start=place)
    return found


async def at_rest(pilot: Pilot[int], app: Console) -> None:
    """Nothing is asked, and nothing moves any more."""
    before, calm = "", 0

    def still() -> bool:
        nonlocal before, calm
        now = text(app)
        calm = calm + 1 if app.view.quiet and "disk" in now and now == before else 0
        before = now
        return calm >= 5

    await until(pilot, still)


@pytest.mark.parametrize("entry", PLACES, ids=lambda entry: entry.name)
def test_a_terminal_that_grows_or_shrinks_is_as_one_of_that_size(night: Workspace, entry: screens.Entry) -> None:
    """CON-05"""
    place = Place(entry.name, screenshots._examples(night).for_view(entry.takes))
    wide, shrunk = seen(night, place, WIDE, NARROW)
    narrow, grown = seen(night, place, NARROW, WIDE)
    assert grown == wide
    assert shrunk == narrow
