"""kill -9 of a loading process, anywhere, and what must be true afterwards (FAULTS 1; INC-04).

A: a load that was not published has left the target and the watermark as they were. B: however often it is killed
and begun again, its rows are there once. C: the ledger says what the target holds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.ports.destination import Mode
from tests.contract.load_process import BATCHES, rows
from tests.contract.load_rig import COLUMNS, LoadRig, order, seal
from tests.contract.load_rig import rows as stream_of

SEED = int(os.environ.get("PENSTOCK_KILL_SEED", "4"))  # in the names of the tests that use it
BEFORE = [(1, "one"), (2, "two")]
PLACES = ("load.written", "load.sealed")


@dataclass(frozen=True, slots=True)
class Kill:
    """Where a loading process dies: at a failpoint, or from outside after so many batches."""

    mode: Mode
    place: str  # "" from outside
    batches: int = 0


def kills(seed: int, count: int, more: tuple[str, ...] = (), own: tuple[str, ...] = ()) -> list[Kill]:
    """So many ways to die; the same for the same seed. Half of them are right around the publishing. `more`: places
    that only replacing passes; `own`: places that every load into this system passes."""
    chance = random.Random(seed)
    places = (*PLACES, *more, *own)
    found = []
    for at in range(count):
        mode = Mode.REPLACE if more and at % 2 else chance.choice(list(Mode))
        if at % 2:
            place = chance.choice([each for each in places if mode is Mode.REPLACE or each not in more])
            found.append(Kill(mode, place))
        else:
            batches = chance.randint(1, BATCHES)
            found.append(Kill(mode, chance.choice(("", f"load.batch:{batches}")), batches))
    return found


def named(seed: int) -> Callable[[Kill], str]:
    """The name of a test: its seed and where it kills."""
    return lambda kill: f"seed {seed}: {kill.mode} {kill.place or f'after batch {kill.batches}'}"


def prove(rig: LoadRig, kill: Kill) -> None:
    """Prepare, kill, look, load again, look."""
    prepare(rig)
    code = run(rig, kill, seal=2)
    rig.settle()
    assert code == -signal.SIGKILL or (not kill.place and code == 0)  # from outside it may come too late
    published = _look(rig, kill)
    again = run(rig, None, seal=3, mode=kill.mode)
    assert again["already"] is published, "the ledger and the target disagree"
    assert again["seal"] == seal(2 if published else 3)()
    assert rig.table() == after(kill.mode)

    connector = rig.connector()
    assert connector.watermark("s", "t") == again["seal"]
    connector.load(stream_of((90, "later")), order("later"))  # a later load finds nothing in its way
    assert (90, "later") in rig.table()
    assert connector.discover() == ["t"]


def prepare(rig: LoadRig) -> None:
    """A table t with the rows of BEFORE."""
    connector = rig.connector()
    connector.create_target("t", COLUMNS, keys=("id",))
    connector.load(stream_of(*BEFORE), order("before", scope="s", seal=seal(1)))
    connector.close()


def _look(rig: LoadRig, kill: Kill) -> bool:
    """Whether the killed load was published: the target is as before, or has all of it."""
    found = rig.table()
    connector = rig.connector()
    done = connector.ledger("killed", "t")
    if found == BEFORE:
        assert done is None and connector.watermark("s", "t") == seal(1)()
        connector.close()
        return False
    assert found == after(kill.mode)
    assert done is not None and done.seal == connector.watermark("s", "t") == seal(2)()
    connector.close()
    return True


def after(mode: Mode) -> list[tuple[Any, ...]]:
    """The table t once it is loaded."""
    loaded = {row[0]: row[1] for row in rows(mode)}
    kept = {} if mode is Mode.REPLACE else dict(BEFORE)
    return sorted((kept | loaded).items())


def run(rig: LoadRig, kill: Kill | None, *, seal: int, mode: Mode | None = None, **more: Any) -> Any:
    """Run the loading process: its exit code when it is to die, else what it reports."""
    asked = {
        "type": rig.connection.type,
        "config": dict(rig.connection.config),
        "root": str(rig.root),
        "mode": str(kill.mode if kill else mode),
        "seal": seal,
        **more,
    }
    environment = {**os.environ, **({"PENSTOCK_FAILPOINT": kill.place} if kill and kill.place else {})}
    command = [sys.executable, "-m", "tests.contract.load_process", json.dumps(asked)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if kill is not None and not kill.place:
            for _ in range(kill.batches):
                process.stdout.readline()
            process.kill()
        lines = process.stdout.read().splitlines()
        code = process.wait()
    if kill is not None:
        return code
    assert code == 0 and lines[-1].startswith("done ")
    return json.loads(lines[-1].removeprefix("done "))
