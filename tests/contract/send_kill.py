"""kill -9 of a process that sends, anywhere, and what must be true afterwards (FAULTS 2; invariants A and B).

A: what was confirmed is there, whole. B: however often it is killed and begun again, no row is missing in the end;
it is there once where the system leaves out what it knows, elsewhere no more often than it may have been sent, each
time under the same id. Earlier rows stay as they were, and a later load finds nothing in its way.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.send_process import BATCH, ROWS, STREAMED, row
from tests.contract.wire_proxy import Proxy, _ended, _received

SEED = int(os.environ.get("PENSTOCK_KILL_SEED", "4"))  # in the names of the tests that use it
# up, down: so many bytes to and from the system
WIRE = ("up", "up", "up", "down", "down", "streamed", "confirmed", "seal")
LIBRARY = ("produced", "delivered", "delivered", "streamed", "confirmed", "seal")
WAYS = ("load", "load", "publish", "restage")
_TIMES = {"streamed": -(-ROWS // STREAMED), "seal": 1, "produced": ROWS, "delivered": ROWS}  # passed in a life
_QUIET = 0.05  # seconds without a word
_END = 0.97  # of the bytes of a whole life: the last ones say good-bye


@dataclass(frozen=True, slots=True)
class Death:
    """One place to die at, and how far a life has come there."""

    place: str
    share: float


@dataclass(frozen=True, slots=True)
class Kill:
    """One load, the deaths before it ends well, and whether its target is there when it begins."""

    way: str  # load; publish what was staged once; restage: stage and publish, again after each death
    deaths: tuple[Death, ...]
    missing: bool


def kills(seed: int | str, count: int, places: Sequence[str] = WIRE) -> list[Kill]:
    """So many ways to die; the same for the same seed."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        way, deaths = chance.choice(WAYS), chance.choice((1, 1, 2))
        open_to = [each for each in places if way != "publish" or each != "streamed"]
        drawn = tuple(Death(chance.choice(open_to), chance.random()) for _ in range(deaths))
        found.append(Kill(way, drawn, chance.random() < 0.25))
    return found


def named(seed: int) -> Callable[[Kill], str]:
    """The name of a test: its seed and where it kills."""

    def name(kill: Kill) -> str:
        deaths = ", ".join(f"{each.place} {each.share:.0%}" for each in kill.deaths)
        return f"seed {seed}: {kill.way}{' anew' if kill.missing else ''}, {deaths}"

    return name


@dataclass(frozen=True, kw_only=True)
class Sink:
    """One target of one system, looked into without the code under test."""

    type: str
    target: str
    config: Callable[[int], dict[str, Any]]  # for a system at this port of loopback
    port: int  # 0: no proxy can stand before it
    look: Callable[[], list[tuple[str, dict[str, Any]]]]  # the id and the content of each row, as they are there
    once: bool  # it leaves out what it knows
    whole: bool = False  # it takes a batch or nothing of it
    drop: Callable[[], None] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    batch: int = BATCH


class Deadly(Proxy):
    """Kills its client when so many bytes have passed and it has nothing more to say; what comes after them is not
    handed on, so that who does not wait for an answer has time to take for safe what is not."""

    def __init__(self, port: int, *, up: int | None, down: int | None) -> None:
        self._known, self._victim = threading.Event(), -1
        super().__init__("127.0.0.1", port, reset_after=up, downward=down)

    def aim(self, pid_fd: int) -> None:
        self._victim = pid_fd
        self._known.set()

    def _strike(self, *ends: socket.socket) -> None:
        self._known.wait()
        if self._reset_after is not None:
            while select.select(ends[:1], (), (), _QUIET)[0] and _received(ends[0]):
                continue
        try:
            signal.pidfd_send_signal(self._victim, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it ended without its answers, and how it ended tells
        self.struck.set()
        for end in ends:
            _ended(end)


class Lives:
    """The process that lives are forked from."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.contract.send_process"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, asked: Mapping[str, Any], aim: Callable[[int], None]) -> tuple[int, int]:
        """How it ended, and how many rows it knew to be confirmed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        confirmed = 0
        pid = os.pidfd_open(int(self._process.stdout.readline().removeprefix("pid ")))
        try:
            aim(pid)
            print("go", file=self._process.stdin, flush=True)
            for line in self._process.stdout:
                said, _, number = line.partition(" ")
                if said == "ended":
                    return int(number), confirmed
                confirmed = int(number)
        finally:
            os.close(pid)
        raise AssertionError("the process that lives are forked from has ended")

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@contextmanager
def opened_lives() -> Iterator[Lives]:
    """For a fixture."""
    found = Lives()
    try:
        yield found
    finally:
        found.close()


class Sweep:
    """One target through all lives of one load."""

    def __init__(self, lives: Lives, sink: Sink, scratch: Path) -> None:
        self._lives, self._sink, self._scratch = lives, sink, scratch
        self.bytes = {"up": 0, "down": 0}  # of a life that ends well

    def live(self, token: str, first: int, *steps: str, death: Death | None = None) -> tuple[int, int]:
        """How a life ended, and how many rows it knew to be confirmed."""
        asked = {
            "type": self._sink.type, "target": self._sink.target, "options": {**self._sink.options},
            "token": token, "first": first, "steps": steps, "scratch": str(self._scratch), "die": None,
        }  # fmt: skip
        bounds: dict[str, int | None] = {"up": None, "down": None}
        if death is not None and death.place in bounds:
            bounds[death.place] = 1 + int(self.bytes[death.place] * death.share * _END)
        elif death is not None:
            times = {**_TIMES, "confirmed": ROWS // self._sink.batch}[death.place]
            asked["die"] = {"place": death.place, "at": 1 + int(times * death.share)}
        if not self._sink.port:
            return self._lives.run({**asked, "config": self._sink.config(0)}, lambda pid: None)
        proxy = Deadly(self._sink.port, up=bounds["up"], down=bounds["down"])
        try:
            ended = self._lives.run({**asked, "config": self._sink.config(proxy.port)}, proxy.aim)
        finally:
            proxy.close()
        if steps != ("stage",) and death is None:
            self.bytes = {"up": proxy.sent, "down": proxy.received}
        return ended

    def seen(self) -> tuple[Counter[int], dict[int, set[str]]]:
        """How often each row is there and under which ids. A row that is there is there as it was sent."""
        copies: Counter[int] = Counter()
        ids: dict[int, set[str]] = {}
        for identity, content in self._sink.look():
            assert content == row(content["id"])
            copies[content["id"]] += 1
            ids.setdefault(content["id"], set()).add(identity)
        return copies, ids


def prove(lives: Lives, sink: Sink, kill: Kill, scratch: Path) -> None:
    """Load, kill, look, load again, look."""
    sweep, first = Sweep(lives, sink, scratch), 1_000
    before = dict.fromkeys(range(ROWS), 1)
    assert sweep.live("before", 0, "load") == (0, ROWS)
    if kill.missing and sink.drop is not None:
        sink.drop()
        before = {}
    if kill.way == "publish":
        assert sweep.live("killed", first, "stage")[0] == 0
    steps = {"load": ("load",), "publish": ("publish",), "restage": ("stage", "publish")}[kill.way]

    sent = []  # rows that each life may have sent
    for death in kill.deaths:
        code, confirmed = sweep.live("killed", first, *steps, death=death)
        # The number of confirmations, and with it that of their bytes, is the system's choice.
        assert code == -signal.SIGKILL or (death.place == "down" and code == 0)
        staging = kill.way == "restage" and death.place == "streamed"
        sent.append(0 if staging else min(ROWS, confirmed + sink.batch))
        _look(sweep, sink, before, range(first, first + confirmed), range(first, first + max(sent)))

    assert sweep.live("killed", first, *steps) == (0, ROWS)
    copies, ids = sweep.seen()
    assert {number: copies[number] for number in before} == before
    for number in range(ROWS):
        most = 1 if sink.once else 1 + sum(number < each for each in sent)
        assert 1 <= copies[first + number] <= most, f"row {number} is there {copies[first + number]} times"
        assert len(ids[first + number]) == 1, "a row that came again has another id"
    assert sweep.live("later", 5_000, "load") == (0, ROWS)
    copies, _ = sweep.seen()
    assert all(copies[number] == 1 for number in range(5_000, 5_000 + ROWS))


def _look(sweep: Sweep, sink: Sink, before: Mapping[int, int], confirmed: range, possible: range) -> None:
    """After a death: what was confirmed is there, and nothing but what may have been sent."""
    copies, _ = sweep.seen()
    assert not [number for number in confirmed if not copies[number]], "what was confirmed is lost"
    assert {number: copies[number] for number in before} == before
    killed = [number for number in copies if number not in before]
    assert not [number for number in killed if number not in possible]
    if sink.whole:
        assert len(killed) % sink.batch == 0
    if sink.once:
        assert all(copies[number] == 1 for number in killed)
