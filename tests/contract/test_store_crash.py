"""kill -9 and late leaders: what was acknowledged is there, what was not is whole or absent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.model.run import TaskState
from engine.ports.store import Changes
from tests.contract.store_records import T0, Rig, entry, event, moved, started, task

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from pathlib import Path
from engine.model.workspace import Settings
from engine.ports.store import Changes
from engine.stores.open import open_writer
from tests.contract.store_records import T0, entry, event, moved, task
from engine.model.run import TaskState

store = open_writer(Settings(root=Path(sys.argv[1]), state=sys.argv[2]))
store.take_over(int(sys.argv[3]), "child", T0)
one = task("a")
for number in range(1, 1000):
    one = moved(one, TaskState.QUEUED, attempt_count=number)
    changes = Changes(executions={"a": one}, events=[event(payload={"n": number})], audit=[entry(f"n{number}")])
    store.commit(changes, f"n{number}")
    print(number, flush=True)
"""

DEPOSED = """
import os, sys
from pathlib import Path
from engine.model.errors import Deposed
from engine.model.workspace import Settings
from engine.ports.store import Changes
from engine.stores.open import open_writer
from tests.contract.store_records import T0, event

store = open_writer(Settings(root=Path(sys.argv[1])))
store.take_over(2, "child", T0)
store.commit(Changes(events=[event()]), "mine")
print("leads", flush=True)
sys.stdin.readline()
try:
    store.commit(Changes(events=[event()]), "late")
except Deposed:
    store.abandon()
    print("deposed", flush=True)
    os._exit(3)
"""


def child(rig: Rig, program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(rig.settings.root), *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("failpoint", ["store.before_commit:7", "store.after_commit:7"])
def test_a_kill_at_a_commit_loses_nothing_acknowledged(rig: Rig, failpoint: str) -> None:
    """FAULTS 1, invariants A and G: after the commit it is there, before it nothing of it is."""
    store = rig.writer()
    started(store, task("a"))
    store.close()
    process = child(rig, WRITER, rig.settings.state, "2", PENSTOCK_FAILPOINT=failpoint)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    acknowledged = len(output.splitlines())
    assert acknowledged == 6
    written = 6 if "before" in failpoint else 7
    queries = rig.queries()  # with the dead engine's log beside the file
    assert queries.last_seq() == 1 + written
    assert queries.executions("r1")[0].attempt_count == written
    assert queries.verify_audit()[:2] == (written, None)
    after = rig.writer(epoch=3, holder="after")
    again = Changes(
        executions={"a": moved(task("a", row_version=6), TaskState.QUEUED, attempt_count=7)},
        events=[event()],
        audit=[entry("n7")],
    )
    assert after.commit(again, "n7") == 8  # made again or already made: once either way
    assert queries.verify_audit()[:2] == (7, None)


def test_a_kill_at_any_moment_loses_nothing_acknowledged(rig: Rig) -> None:
    """FAULTS 1: killed from outside, wherever it happens to be; state, events and audit agree."""
    store = rig.writer()
    started(store, task("a"))
    store.close()
    process = child(rig, WRITER, rig.settings.state, "2")
    assert process.stdout is not None
    acknowledged = 0
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged == 25:
            process.kill()
    process.communicate(timeout=60)
    after = rig.writer(epoch=3, holder="after")
    record = after.load_run("r1")
    assert record is not None
    written = record.executions[0].attempt_count
    assert written >= acknowledged >= 25
    queries = rig.queries()
    assert queries.last_seq() == 1 + written
    assert queries.verify_audit()[:2] == (written, None)


def test_a_deposed_engine_leaves_without_touching_the_log(file_rig: Rig) -> None:
    """DESIGN 3: it rolls back, neither checkpoints nor closes, and ends by os._exit."""
    started(file_rig.writer(), task("a"))
    process = child(file_rig, DEPOSED)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "leads\n"
    new = file_rig.writer(epoch=3, holder="new")
    new.commit(Changes(events=[event()]), "new")
    log = Path(f"{file_rig.path}-wal")
    before = log.stat().st_size
    output, _ = process.communicate("go\n", timeout=60)
    assert output == "deposed\n"
    assert process.returncode == 3
    assert log.stat().st_size == before
    assert file_rig.queries().last_seq() == 3
    assert new.commit(Changes(events=[event(at=T0)]), "on") == 4
