"""What the console's benchmarks measure with: it on a terminal, a trivial app beside it, keys, bytes, processor."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

from checks.terminal import Terminal, surroundings

SIZE = (120, 40)
PENSTOCK = [sys.executable, "-m", "console"]
TRIVIAL = """
from textual.app import App
from textual.widgets import Static
class Trivial(App):
    def compose(self):
        yield Static("trivial is there")
Trivial().run()
"""


class Bench:
    """A temporary folder, and what is started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = surroundings(folder / "home")

    def console(self, root: Path, *options: str, size: tuple[int, int] = SIZE) -> Terminal:
        """The console on a terminal."""
        return Terminal([*PENSTOCK, "-w", str(root), *options], environment=self._environment, size=size)

    def trivial(self) -> Terminal:
        """The least a Textual app can be."""
        return Terminal([sys.executable, "-c", TRIVIAL], environment=self._environment, size=SIZE)


def tell(name: str, **figures: Any) -> None:
    """One line."""
    print(json.dumps({"benchmark": f"console.{name}", "load": round(os.getloadavg()[0], 1), **figures}), flush=True)


def ms(seconds: float) -> float:
    """As it is printed."""
    return round(1_000 * seconds, 1)


def watched(line: Terminal, seconds: float) -> tuple[int, float]:
    """Bytes, and the share of one processor."""
    size, cpu, began = len(line.raw), line.cpu, time.perf_counter()
    while (left := seconds - (time.perf_counter() - began)) > 0:
        line.read(left)
    return len(line.raw) - size, round(100 * (line.cpu - cpu) / seconds, 1)


def keys_taken(line: Terminal, keys: Sequence[str]) -> tuple[list[float], list[int]]:
    """From each key to the first byte that answers it; and the bytes until it is quiet."""
    taken, sizes = [], []
    for key in keys:
        line.quiet(0.01, 0.05)
        size, began = len(line.raw), time.perf_counter()
        line.press(key)
        if line.read(2.0):
            taken.append(time.perf_counter() - began)
        line.quiet(0.03, 0.1)
        sizes.append(len(line.raw) - size)
    return taken, sizes


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return quantiles(values, n=20)[-1]
