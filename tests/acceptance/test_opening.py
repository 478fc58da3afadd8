"""The short way to the console is the way that all other commands go: the same answer, or none of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.cli import main
from engine.cli.app import run
from engine.cli.opening import opening
from engine.model.errors import NotFound

PLAIN = [
    [],
    ["--read-only"],
    ["--attach", "--no-engine"],
    ["-w", "shop"],
    ["--workspace", "shop", "--profile", "dev", "--no-engine"],
    ["--no-engine", "-w", "a", "-w", "b"],
]
OTHER = [
    ["--help"],
    ["--version"],
    ["-wshop"],
    ["--workspace=shop"],
    ["-w"],
    ["-w", ""],
    ["-w", "--read-only"],
    ["--json"],
    ["--read"],
    ["runs"],
    ["-w", "shop", "runs"],
    ["--nonsense"],
    ["--"],
]


class Opener:
    """Notes how the console was asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[Path, Any, dict[str, bool]]] = []
        self._error = error

    def __call__(self, directory: str | None, profile: str | None, **flags: bool) -> int:
        self.asked.append((Path(os.path.abspath(directory or ".")), profile, flags))
        if self._error is not None:
            raise self._error
        return 7


@pytest.mark.parametrize("arguments", PLAIN, ids=" ".join)
def test_both_ways_ask_for_the_same_console(arguments: list[str]) -> None:
    assert opening(arguments) is not None
    short, long = Opener(), Opener()
    assert main(arguments, short) == run(arguments, long) == 7
    assert short.asked == long.asked and len(short.asked) == 1


@pytest.mark.parametrize("arguments", OTHER, ids=" ".join)
def test_anything_else_is_left_to_the_command_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert opening(arguments) is None
    codes = [way(arguments, Opener()) for way in (main, run)]
    assert codes[0] == codes[1]


def test_a_fault_on_the_short_way_is_told_as_on_the_long_one(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for way in (main, run):
        assert way([], Opener(NotFound("There is no workspace here."))) == 3
        told.append(capsys.readouterr())
    assert told[0] == told[1] and told[0].err == "penstock: There is no workspace here.\n"
