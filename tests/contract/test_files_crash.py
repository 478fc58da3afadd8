"""kill -9 anywhere in a load into files: the target is as it was or as it should be, and the ledger says which.

Invariants A to C of the fault catalogue, by counting rows: none lost, none twice, the watermark is the data's.
The points are drawn with a seed that is printed; `make soak` draws more.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.model.errors import ConfigurationError
from engine.ports.source import Selection
from tests.contract import files_crash
from tests.contract.files_bench import table

POINTS = 5
FAILPOINTS = ("files.written", "files.sealed", "files.published", "files.settled")


class Crashes:
    """The process that steps are run in."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.files_crash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, root: Path, step: str, token: str, first: int, **where: Any) -> int:
        """How many operations it took, or the signal it died of as a negative number."""
        assert self._process.stdin is not None and self._process.stdout is not None
        given = {"root": str(root), "step": step, "token": token, "first": first, **where}
        print(json.dumps(given), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def crashes() -> Iterator[Crashes]:
    made = Crashes()
    yield made
    made.close()


def ids(root: Path, load: str) -> list[int]:
    try:
        found = table(files_crash.connector(root), Selection(path=files_crash.LOADS[load][0]))
    except ConfigurationError:
        return []
    return sorted(found.column("id").to_pylist())


def expected(*firsts: int) -> list[int]:
    return sorted(first + number for first in firsts for number in range(files_crash.ROWS))


class Sweep:
    """One load that is killed at some operation, with another one before it."""

    def __init__(self, crashes: Crashes, root: Path, load: str, *, exchange: bool = True) -> None:
        self.crashes, self.root, self.load, self.exchange = crashes, root, load, exchange
        self.grows = load in ("parts", "grown")
        self.old, self.new = expected(0), expected(0, 1000) if self.grows else expected(1000)

    def run(self, root: Path, token: str, first: int, **where: Any) -> int:
        return self.crashes.run(root, self.load, token, first, exchange=self.exchange, **where)

    def operations(self) -> int:
        self.run(self.root / "count", "first", 0)
        return self.run(self.root / "count", "second", 1000)

    def kill(self, name: str, **where: Any) -> None:
        root = self.root / name
        assert self.run(root, "first", 0) > 0
        assert self.run(root, "second", 1000, **where) == -signal.SIGKILL
        self.check(root)
        assert self.run(root, "second", 1000) > 0
        assert ids(root, self.load) == self.new
        assert self.run(root, "third", 2000) > 0
        assert ids(root, self.load) == (expected(0, 1000, 2000) if self.grows else expected(2000))
        leftovers = [
            path.name for path in (root / "out/.penstock/files").iterdir() if path.suffix not in (".json", ".lock")
        ]
        assert len(leftovers) <= 1 and all(name.endswith(".stage") for name in leftovers)

    def check(self, root: Path) -> None:
        """The target is old or new, whole, and the ledger and the watermark agree with it."""
        files, order = files_crash.connector(root), files_crash.order(self.load, "second", 1000)
        loaded = files.ledger("second", order.target)
        assert ids(root, self.load) == (self.old if loaded is None else self.new)
        mark = files.watermark("s", order.target)
        assert mark == {"watermark": {"first": 0 if loaded is None else 1000}}
        if loaded is not None:
            assert loaded.already and loaded.rows == files_crash.ROWS and loaded.seal == mark


@pytest.mark.parametrize("load", list(files_crash.LOADS))
def test_killed_at_random_operations(crashes: Crashes, tmp_path: Path, load: str) -> None:
    """FAULTS 2: A, B and C at points drawn by chance."""
    sweep(Sweep(crashes, tmp_path, load), POINTS)


@pytest.mark.soak
@pytest.mark.parametrize("load", list(files_crash.LOADS))
def test_killed_at_many_operations(crashes: Crashes, tmp_path: Path, load: str) -> None:
    """FAULTS 2"""
    sweep(Sweep(crashes, tmp_path, load), 50)


def sweep(one: Sweep, points: int) -> None:
    total = one.operations()
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, {total} operations")
    for at in random.Random(seed).sample(range(1, total + 1), min(points, total)):
        one.kill(f"at{at}", kill_at=at)


@pytest.mark.parametrize("load", list(files_crash.LOADS))
@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_killed_around_the_commit(crashes: Crashes, tmp_path: Path, load: str, failpoint: str) -> None:
    """FAULTS 2: before and after the one rename that counts."""
    Sweep(crashes, tmp_path, load).kill("x", failpoint=failpoint)


def test_where_folders_cannot_be_exchanged_whoever_comes_next_puts_the_old_one_back(
    crashes: Crashes, tmp_path: Path
) -> None:
    one = Sweep(crashes, tmp_path, "tree", exchange=False)
    one.run(tmp_path, "first", 0)
    assert one.run(tmp_path, "second", 1000, failpoint="files.swapping") == -signal.SIGKILL
    assert ids(tmp_path, "tree") == [] and files_crash.connector(tmp_path).ledger("second", "out/tree/") is None
    assert one.run(tmp_path, "second", 1000) > 0
    assert ids(tmp_path, "tree") == expected(1000)


@pytest.mark.parametrize("load", list(files_crash.LOADS))
@pytest.mark.parametrize("verb", ["stage", "publish", "undo"])
def test_all_or_nothing_steps_are_done_again_after_a_kill(
    crashes: Crashes, tmp_path: Path, load: str, verb: str
) -> None:
    """TXN-03: idempotent steps that handle partial completion: one of them killed, then run again."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for attempt in range(POINTS):
        root = tmp_path / str(attempt)
        assert crashes.run(root, load, "first", 0) > 0
        for each in ("stage", "publish", "undo", "discard"):
            if each == verb:
                crashes.run(root, f"{load}:{each}", "second", 1000, kill_at=dice.randrange(2, 40))
            assert crashes.run(root, f"{load}:{each}", "second", 1000) > 0
            if each == "publish":
                assert ids(root, load) == (expected(0, 1000) if load in ("parts", "grown") else expected(1000))
        assert ids(root, load) == expected(0)
        assert files_crash.connector(root).ledger("second", files_crash.LOADS[load][0]) is None
        assert {path.suffix for path in (root / "out/.penstock/files").iterdir()} == {".json", ".lock"}
