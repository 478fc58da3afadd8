"""What it looks like, at the two sizes that count. After a change: `pytest --snapshot-update`, and look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from console.app import Console
from console.place import Place
from console.theme import Look
from console.widgets.chooser import Chooser
from console.widgets.preview import PreviewDialog
from tests.console import still
from tests.console.stage import NARROW, WIDE, NoKeeper, play, press, session_of, text, until

RUN = "orders_daily__000000"
SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "160x48"])


def shown(
    picture: Callable[[Any], None],
    size: tuple[int, int],
    place: str,
    wait_for: str,
    *keys: str,
    plain: bool = False,
) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: wait_for in text(app) and "disk" in text(app))
        for key in keys:
            await press(pilot, key)
        await until(pilot, lambda: app.view.quiet)
        await pilot.pause(0.1)
        picture(app)

    view, _, argument = place.partition(" ")
    session = session_of(lambda: still.client(), NoKeeper(held=still.LEASE), look=Look(plain))
    play(session, scene, size=size, start=Place(view, argument))


@pytest.fixture(autouse=True)
def _disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine's disk is 61 % full here."""
    monkeypatch.setattr("console.feed._percent", lambda folder: 61)


@SIZES
def test_runs(picture: Callable[[Any], None], size: tuple[int, int]) -> None:
    shown(picture, size, "runs", "users_hourly", "down", "down")


@SIZES
def test_run_as_graph(picture: Callable[[Any], None], size: tuple[int, int]) -> None:
    shown(picture, size, f"run {RUN}", "join_sales")


def test_run_as_tree(picture: Callable[[Any], None]) -> None:
    shown(picture, WIDE, f"run {RUN}", "join_sales", "t", "down")


def test_run_in_ascii(picture: Callable[[Any], None]) -> None:
    shown(picture, NARROW, f"run {RUN}", "join_sales", plain=True)


def test_card_of_a_task_alone(picture: Callable[[Any], None]) -> None:
    shown(picture, NARROW, f"run {RUN}", "join_sales", "d")


@SIZES
def test_logs(picture: Callable[[Any], None], size: tuple[int, int]) -> None:
    shown(picture, size, f"logs {RUN} join_sales", "joined 60 rows")


@SIZES
def test_gantt(picture: Callable[[Any], None], size: tuple[int, int]) -> None:
    shown(picture, size, f"run {RUN}", "join_sales", "b", "down")


@SIZES
def test_events(picture: Callable[[Any], None], size: tuple[int, int]) -> None:
    shown(picture, size, f"run {RUN}", "join_sales", "e")


@SIZES
def test_help(picture: Callable[[Any], None], size: tuple[int, int]) -> None:
    shown(picture, size, "runs", "users_hourly", "question_mark", "down")


@SIZES
def test_pulse(picture: Callable[[Any], None], size: tuple[int, int]) -> None:
    shown(picture, size, "pulse", "in 24 h", "down", "down")


def test_going_by_name(picture: Callable[[Any], None]) -> None:
    shown(picture, NARROW, "runs", "users_hourly", "colon", "p", "i", "p")


def test_a_wrong_name(picture: Callable[[Any], None]) -> None:
    shown(picture, WIDE, "runs", "users_hourly", "colon", "r", "u", "m", "s", "enter")


def test_palette(picture: Callable[[Any], None]) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "users_hourly" in text(app) and "disk" in text(app))
        await press(pilot, "ctrl+p", "f", "a", "i")
        await until(pilot, lambda: isinstance(app.screen, Chooser))
        await pilot.pause(0.1)
        picture(app)

    play(session_of(lambda: still.client(), NoKeeper(held=still.LEASE)), scene, size=WIDE, start=Place("runs"))


def test_preview(picture: Callable[[Any], None]) -> None:
    async def scene(pilot: Pilot[int], app: Console) -> None:
        await until(pilot, lambda: "disk" in text(app))
        await press(pilot, "down", "down", "r")
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))
        await pilot.pause(0.1)
        picture(app)

    session = session_of(lambda: still.client(), NoKeeper(held=still.LEASE))
    play(session, scene)
