"""Spare children: an order takes one that waits, and everything the executor promises stays as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.executors import processes
from engine.executors.birth import TOKEN_ROOM
from engine.executors.spares import Spares
from engine.ports.executor import Vanished
from tests.runtime.attempt_bench import Bench, gone, until

SPARES = 3


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, spares=SPARES)
    yield bench
    bench.close()


def zygote(bench: Bench) -> int:
    until(lambda: bench.executor.vitals()["zygote_pid"])
    pid: int = bench.executor.vitals()["zygote_pid"]
    return pid


def spares(bench: Bench) -> list[int]:
    """Living children of the zygote that carry no token yet."""
    found = processes.children(zygote(bench))
    return [pid for pid in found if not gone(pid) and processes.token_of(pid) == "-" * TOKEN_ROOM]


def warm(bench: Bench) -> list[int]:
    """The spares that the first order leaves behind, all of them waiting."""
    bench.end(bench.shell("true"))
    until(lambda: len(spares(bench)) == SPARES)
    return spares(bench)


def test_none_is_made_before_the_first_order_and_then_a_few(bench: Bench) -> None:
    assert spares(bench) == []
    assert len(warm(bench)) == SPARES
    assert bench.executor.vitals()["attempts"] == 0, "a spare is no attempt"


def test_an_order_takes_a_spare_which_becomes_that_attempt(bench: Bench) -> None:
    """EXE-05: the pid that is told, a session and group of its own, nice, limits and a token others can find."""
    waiting = warm(bench)
    token = bench.shell("ps -o sid=,pgid=,ni= -p $PPID; umask; ulimit -c; ulimit -n; touch up; sleep 1000")
    bench.marked("up")
    pid = bench.started(token).pid
    assert pid in waiting
    assert processes.token_of(pid) == token
    assert set(processes.carriers([token])) >= {pid}
    bench.executor.kill(token, "cancel", 0.2)
    bench.end(token)
    session, group, nice = bench.text().splitlines()[0].split()
    assert (int(session), int(group), int(nice)) == (pid, pid, min(os.nice(0) + 5, 19))
    assert bench.text().splitlines()[1:4] == ["0077", "0", "4096"]
    assert gone(pid)


def test_a_spare_holds_nothing_but_its_own_socket(bench: Bench) -> None:
    """Another's socket held open would hide that the zygote or a spare is gone."""
    for pid in warm(bench):
        until(lambda pid=pid: beside_the_standard(pid) == ["socket"])  # type: ignore[misc]


def beside_the_standard(pid: int) -> list[str]:
    """What a process holds open beside its three standard handles, by kind."""
    folder = f"/proc/{pid}/fd"
    held = set(os.listdir(folder)) - {"0", "1", "2"}
    return [os.readlink(f"{folder}/{each}").partition(":")[0] for each in held]


def test_a_spare_is_used_once_and_more_orders_than_spares_are_carried_out(bench: Bench) -> None:
    warm(bench)
    tokens = [bench.shell("echo $PPID", log=f"{number}.jsonl") for number in range(4 * SPARES)]
    assert {bench.end(token).outcome.result for token in tokens} == {"success"}
    pids = [bench.text(f"{number}.jsonl") for number in range(4 * SPARES)]
    assert [str(bench.started(token).pid) for token in tokens] == pids
    assert len(set(pids)) == len(pids)


def test_spares_that_died_are_passed_over(bench: Bench) -> None:
    dead = warm(bench)
    for pid in dead:
        os.kill(pid, signal.SIGKILL)
    until(lambda: all(gone(pid) for pid in dead))
    token = bench.shell("echo fine")
    assert bench.end(token).outcome.result == "success"
    assert bench.started(token).pid not in dead
    assert bench.text() == "fine", "no word of what outlived the task: a spare is none of it"
    until(lambda: len(spares(bench)) == SPARES)
    assert not set(spares(bench)) & set(dead)


def test_an_order_is_never_lost_on_a_spare_whose_death_was_not_seen_yet() -> None:
    """Its socket is closed, and it waits to be reaped."""
    died: list[subprocess.Popen[bytes]] = []

    def fork(_: object) -> tuple[int, int]:
        died.append(subprocess.Popen(["true"]))
        return died[-1].pid, os.pidfd_open(died[-1].pid)

    kept = Spares(2, fork, lambda: None, lambda: False)
    assert kept.patience() is None
    assert kept.give(b"order", []) is None
    assert kept.patience() == 0.0
    kept.tend()
    assert kept.pids() == {one.pid for one in died}
    assert kept.give(b"order", []) is None
    assert kept.pids() == {one.pid for one in died}, "no leftovers of an attempt"
    assert [kept.ended(one.pid) for one in died] == [True, True]
    assert not kept.ended(died[0].pid)
    for one in died:
        one.wait()


def test_an_order_that_comes_while_spares_are_made_waits_for_one_of_them_only() -> None:
    made: list[subprocess.Popen[bytes]] = []

    def fork(_: object) -> tuple[int, int]:
        made.append(subprocess.Popen(["true"]))
        return made[-1].pid, os.pidfd_open(made[-1].pid)

    awaited = iter([True, False, False])
    kept = Spares(3, fork, lambda: None, lambda: next(awaited))
    kept.give(b"order", [])
    kept.tend()
    assert len(made) == 1
    assert kept.patience() == 0.0, "the rest is still wanted"
    kept.tend()
    assert len(made) == 3 and kept.patience() != 0.0
    for one in made:
        kept.ended(one.pid)
        one.wait()


def test_dead_spares_are_reaped_and_not_replaced_until_there_is_an_order(bench: Bench) -> None:
    for pid in warm(bench):
        os.kill(pid, signal.SIGKILL)
    until(lambda: processes.children(zygote(bench)) == [])
    assert bench.end(bench.shell("true")).outcome.result == "success"


def test_a_kill_right_after_the_submit_reaches_the_attempt(bench: Bench) -> None:
    warm(bench)
    for _ in range(5):
        token = bench.shell("sleep 1000")
        bench.executor.kill(token, "cancel", 0.2)
        assert bench.end(token).killed_for == "cancel"
        assert gone(bench.started(token).pid)
    token = bench.shell("trap '' TERM; sleep 1000")
    bench.started(token)
    bench.executor.kill(token, "cancel", 0.0)
    assert bench.end(token).killed_for == "cancel"


def test_what_an_attempt_leaves_is_told_of_it_and_spares_live_on(bench: Bench) -> None:
    before = warm(bench)
    told = "until grep -q sleep /proc/$!/comm; do sleep 0.01; done; echo $! > pid.part; mv pid.part pid"
    token = bench.shell(f"setsid sleep 1000 & {told}")  # named only once it is what it will be
    orphan = int(bench.marked("pid").read_text())
    assert bench.end(token).outcome.result == "success"
    assert gone(orphan)
    assert f"sleep (pid {orphan})" in bench.text()
    assert [pid for pid in before if gone(pid)] == [bench.started(token).pid]


def test_every_spare_throws_its_own_dice_and_sees_files_as_they_are(bench: Bench) -> None:
    warm(bench)
    bench.module("written_late", "import random\ndef f(ctx): return random.random()\n")
    tokens = [bench.python("written_late:f", log=f"{number}.jsonl") for number in range(SPARES + 1)]
    drawn = [bench.end(token).outcome.outputs["result"] for token in tokens]
    assert len(set(drawn)) == len(drawn)


def test_spares_are_given_up_without_orders(tmp_path: Path) -> None:
    """An engine that idles holds no memory for what may never come."""
    bench = Bench(tmp_path, spares=SPARES, runner="tests.runtime.attempt_impatient:run")
    for _ in range(2):
        token = bench.shell("true")
        assert bench.end(token).outcome.result == "success"
        until(lambda: processes.children(zygote(bench)) == [])
    bench.close()


def test_a_dead_zygote_takes_its_spares_along(bench: Bench) -> None:
    """Invariant E"""
    waiting, first = warm(bench), zygote(bench)
    os.kill(first, signal.SIGKILL)
    until(lambda: all(gone(pid) for pid in waiting))
    until(lambda: bench.executor.vitals()["zygote_pid"] not in (None, first))
    assert bench.end(bench.shell("true")).outcome.result == "success"


def test_stop_and_the_death_of_the_engine_leave_no_spare(tmp_path: Path) -> None:
    """Invariant E"""
    bench = Bench(tmp_path, spares=SPARES)
    waiting = [*warm(bench), zygote(bench)]
    bench.executor.stop(0.2)
    assert all(gone(pid) for pid in waiting)
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE.format(folder=str(tmp_path), spares=SPARES)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert engine.stdout is not None
    left = [int(pid) for pid in engine.stdout.readline().split()]
    assert len(left) == 1 + SPARES
    engine.kill()
    engine.wait()
    engine.stdout.close()
    until(lambda: all(gone(pid) for pid in left))


ENGINE = """
import time
from pathlib import Path
from tests.contract.test_executor_spares import warm, zygote
from tests.runtime.attempt_bench import Bench
bench = Bench(Path({folder!r}), spares={spares})
print(zygote(bench), *warm(bench), flush=True)
time.sleep(1000)
"""


def test_spares_make_room_when_descriptors_run_out(bench: Bench) -> None:
    """Fault 20: the order that found no room is a loss; spares are not what the next one is lost for."""
    waiting, pid = warm(bench), zygote(bench)
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    cap = [number for number in range(100) if number not in used][2]
    subprocess.run([sys.executable, "-c", LIMIT, str(pid), str(cap)], check=True)
    assert "out of file descriptors" in bench.of(bench.shell("true"), Vanished).reason
    until(lambda: all(gone(pid) for pid in waiting))
    assert bench.end(bench.shell("true")).outcome.result == "success"


LIMIT = """
import resource, sys
resource.prlimit(int(sys.argv[1]), resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[2])))
"""
