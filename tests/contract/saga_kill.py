"""kill -9 of a process that stages, publishes or takes back a load that is one of several (TXN-01 to 04)."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.ports.destination import Mode
from tests.contract.load_kill import BEFORE, Kill, after, prepare, run
from tests.contract.load_process import take
from tests.contract.load_rig import LoadRig, order, seal
from tests.contract.load_rig import rows as stream_of

PLACES = (
    ("stage", "load.batch:5"),
    ("stage", "load.staged"),
    ("publish", "load.ready"),
    ("publish", "load.written"),
    ("publish", "load.sealed"),
    ("publish", "load.committed"),
    ("undo", "load.taken_back"),
)


@dataclass(frozen=True, slots=True)
class Cut:
    """Which step dies where."""

    mode: Mode
    step: str
    place: str

    def __str__(self) -> str:
        return f"{self.mode} {self.step} {self.place}"


def cuts() -> list[Cut]:
    """All of them."""
    return [Cut(mode, *each) for mode in Mode for each in PLACES]


def some_cuts(seed: int, count: int) -> list[Cut]:
    """So many; the same for the same seed."""
    return random.Random(seed).sample(cuts(), count)


def named(seed: int) -> Callable[[Cut], str]:
    """The name of a test: its seed and where it kills."""
    return lambda cut: f"seed {seed}: {cut}"


def prove(rig: LoadRig, cut: Cut) -> None:
    """Each step, killed once where it is to be, and done again; then the table is as it was before all of them."""
    prepare(rig)
    staged = _step(rig, cut, "stage", {})
    assert rig.table() == BEFORE
    _step(rig, cut, "publish", staged)
    assert rig.table() == after(cut.mode)

    connector = rig.connector()
    assert connector.watermark("s", "t") == connector.ledger("killed", "t").seal
    connector.load(stream_of((90, "others")), order("others"))
    connector.close()
    _step(rig, cut, "undo", staged)
    assert rig.table() == [*BEFORE, (90, "others")]

    connector = rig.connector()
    assert connector.ledger("killed", "t") is None and connector.watermark("s", "t") == seal(1)()
    for _ in range(2):
        connector.discard(staged)
    assert connector.discover() == ["t"]
    connector.close()


def _step(rig: LoadRig, cut: Cut, step: str, staged: Mapping[str, Any]) -> Mapping[str, Any]:
    if cut.step == step:
        kill = Kill(cut.mode, cut.place)
        assert run(rig, kill, seal=2, step=step, staged=staged) == -signal.SIGKILL
        rig.settle()
    connector = rig.connector()
    staged = take(connector, step, order("killed", cut.mode, scope="s", seal=seal(2)), staged)
    connector.close()
    return staged
