"""What engine.ports.executor promises, on the local executor with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.executors import processes
from engine.model.errors import ErrorKind
from engine.model.run import Attempt
from engine.ports.executor import CheckpointOffered, Finished, Sampled, Started, Vanished
from tests.runtime.attempt_bench import SECRET, Bench, gone, make_spec, until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_an_attempt_is_started_and_finished_once_each(bench: Bench) -> None:
    """EXE-05"""
    token = bench.shell("echo hello")
    finished = bench.end(token)
    assert finished.outcome.result == "success"
    assert (finished.exit_code, finished.signal, finished.killed_for) == (0, None, None)
    assert finished.cpu_seconds is not None
    assert finished.cpu_seconds > 0
    assert finished.peak_mb is not None
    assert finished.peak_mb > 1
    kinds = [type(one) for one in bench.reports]
    assert kinds == [Started, Finished]
    assert gone(bench.started(token).pid)


def test_an_attempt_is_a_session_of_its_own_at_its_nice_with_limits_and_a_closed_stdin(bench: Bench) -> None:
    command = "ps -o sid=,ni= -p $$; umask; ulimit -c; cat; pwd; echo pid $PPID"
    bench.end(bench.shell(command))
    lines = bench.text().splitlines()
    session, nice = lines[0].split()
    assert session == lines[-1].split()[1]
    assert int(nice) == os.nice(0) + 5
    assert lines[1:4] == ["0077", "0", str(bench.root)]


def test_the_environment_hides_secrets_and_carries_the_attempt(bench: Bench) -> None:
    """SEC-01: what a ${env:} secret names and what is Penstock's own do not reach an attempt."""
    token = bench.shell("env; tr '\\0' '\\n' < /proc/$PPID/environ")
    bench.end(token)
    text = bench.text()
    assert "SHOP_PASSWORD" not in text
    assert SECRET not in text
    assert "PENSTOCK_API_TOKEN" not in text
    for given in ("RUN_ID=run_1", "TASK_ID=load", "ATTEMPT=1", "DS=2024-03-01", "DS_NODASH=20240301", "OUTPUT=/"):
        assert f"PENSTOCK_{given}" in text
    assert text.count(f"PENSTOCK_ATTEMPT_TOKEN={token}") == 2, "the process itself is findable by its token"


def test_cancel_ends_a_task_that_ignores_term(bench: Bench) -> None:
    """EXE-17, fault 33"""
    token = bench.shell("trap '' TERM; touch up; while :; do sleep 0.05; done")
    bench.marked("up")
    bench.executor.kill(token, "cancel", 0.2)
    finished = bench.end(token)
    assert finished.killed_for == "cancel"
    assert finished.outcome.result == "failed"
    assert gone(bench.started(token).pid)


def test_cancel_leaves_no_process_of_a_task_that_double_forks(bench: Bench) -> None:
    """Fault 33: orphans in sessions of their own, one of them with an empty environment."""
    bench.module("orphans", ORPHANS)
    token = bench.python("orphans:make")
    pids = [int(pid) for pid in bench.marked("pids").read_text().split()]
    assert all(not gone(pid) for pid in pids)
    bench.executor.kill(token, "cancel", 0.2)
    bench.end(token)
    assert [pid for pid in pids if not gone(pid)] == []


ORPHANS = """
import os, subprocess, time
def orphan(*argv):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        pid = os.fork()
        if pid == 0:
            os.execve(argv[0], list(argv), {} if "-" in argv[-1] else dict(os.environ))
        os.write(writing, f"{pid} ".encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    with open(reading) as told:  # its end comes when the orphan has become what it is to be
        return told.read()
def make(ctx, linger=True):
    pids = orphan("/bin/sleep", "1000") + orphan("/bin/sh", "-c", "while :; do /bin/sleep 0.2; done # -")
    (ctx.root / "pids.part").write_text(pids)
    (ctx.root / "pids.part").rename(ctx.root / "pids")
    while linger:
        time.sleep(0.01)
"""


def test_what_outlives_a_task_that_ended_well_is_killed_and_told(bench: Bench) -> None:
    bench.module("orphans", ORPHANS)
    token = bench.python("orphans:make", {"linger": False})
    assert bench.end(token).outcome.result == "success"
    assert all(gone(int(pid)) for pid in (bench.root / "pids").read_text().split())
    assert "outlived the task was killed: " in bench.text()
    assert "sleep (pid " in bench.text()


def test_a_stopped_task_runs_out_of_time_all_the_same(bench: Bench) -> None:
    """EXE-07, fault 6"""
    token = bench.shell("kill -STOP $$", timeout_seconds=0.3)
    finished = bench.end(token)
    assert finished.killed_for == "timeout"
    assert finished.outcome.error is not None
    assert finished.outcome.error.kind is ErrorKind.TIMEOUT
    assert "0.3 s" in finished.outcome.error.message


def test_a_kill_that_comes_before_the_start_is_not_lost(bench: Bench) -> None:
    token = bench.shell("sleep 100")
    bench.executor.kill(token, "cancel", 0.2)
    assert bench.end(token).killed_for == "cancel"


def test_a_checkpoint_returns_when_it_is_acknowledged_and_not_before(bench: Bench) -> None:
    """CKP-02"""
    source = "def f(ctx):\n    ctx.checkpoint.save({'page': 7})\n    return {'seen': ctx.checkpoint.load()}\n"
    bench.module("pages", source)
    token = bench.python("pages:f")
    offered = bench.of(token, CheckpointOffered)
    assert offered.value == {"page": 7}
    bench.executor.acknowledge(token, offered.number + 1)
    second = bench.shell("true", log="other.jsonl")
    bench.end(second)
    assert not any(isinstance(one, Finished) and one.token == token for one in bench.reports)
    bench.executor.acknowledge(token, offered.number)
    assert bench.end(token).outcome.outputs == {"seen": {"page": 7}}


def test_when_the_zygote_dies_its_attempts_are_lost_and_a_new_one_carries_on(bench: Bench) -> None:
    """Invariant E: the loss is told when no process is left; `setsid` children included."""
    token = bench.shell("setsid sleep 1000 & echo $! > pid.part; mv pid.part pid; wait")
    inner = int(bench.marked("pid").read_text())
    outer = bench.started(token).pid
    os.kill(bench.executor.vitals()["zygote_pid"], signal.SIGKILL)
    lost = bench.of(token, Vanished)
    assert "signal 9" in lost.reason
    assert gone(outer)
    assert gone(inner)
    assert bench.end(bench.shell("true")).outcome.result == "success"
    assert bench.executor.alive()


def test_a_zygote_that_cannot_start_is_a_loss_with_a_reason_not_a_hot_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, runner="no.such.module:run")
    token = bench.shell("true")
    assert "No module named 'no'" in bench.of(token, Vanished).reason
    until(lambda: not bench.executor.alive())
    assert bench.executor.vitals()["zygote_deaths"] < 12
    monkeypatch.setattr("engine.executors.nursery.Nursery.link", lambda _self, heavy: None)
    monkeypatch.setattr("engine.executors.supervisor.START_WITHIN", 0.2)
    assert "No attempt can be started" in bench.of(bench.shell("true"), Vanished).reason
    monkeypatch.setattr("engine.executors.supervisor.START_WITHIN", 20.0)
    held = bench.shell("true")
    bench.executor.submit(make_spec(held, "shell", {"command": "true"}))  # twice: ignored
    bench.executor.kill(held, "cancel", 1.0)
    assert bench.end(held).killed_for == "cancel"
    bench.close()
    assert not any(isinstance(one, Vanished) and one.token == held for one in bench.reports)


def test_what_cannot_be_submitted_is_a_loss(bench: Bench) -> None:
    for fields in ({"log": "../../outside"}, {"context": {"x": object()}}):
        token = bench.submit("shell", {"command": "true"}, **fields)
        assert "could not be prepared" in bench.of(token, Vanished).reason
    bench.executor.submit(make_spec("short", "shell", {}))
    assert bench.of("short", Vanished)


@pytest.mark.parametrize(("left", "reason"), [(2, "out of file descriptors."), (3, "fork: Too many open files.")])
def test_what_the_zygote_cannot_fork_is_a_loss_with_its_reason(tmp_path: Path, left: int, reason: str) -> None:
    """Fault 20: no descriptor is left to take an order with, or none to mind the child by."""
    code = FEW_DESCRIPTORS.format(folder=str(tmp_path), left=left)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip().endswith(reason), done.stdout + done.stderr


FEW_DESCRIPTORS = """
import os
import resource
from pathlib import Path
from engine.ports.executor import Vanished
from tests.runtime.attempt_bench import Bench
bench = Bench(Path({folder!r}), spares=0)  # a spare would be taken, and need nothing more
bench.end(bench.shell("true"))
pid = bench.executor.vitals()["zygote_pid"]
used = {{int(name) for name in os.listdir(f"/proc/{{pid}}/fd")}}
cap = [number for number in range(100) if number not in used][{left}]
resource.prlimit(pid, resource.RLIMIT_NOFILE, (cap, cap))
print(bench.of(bench.shell("true"), Vanished).reason)
bench.executor.stop(0.1)
"""


def test_a_dead_engine_leaves_no_process(tmp_path: Path) -> None:
    """Invariant E: kill -9 of the engine; its zygote kills what it has and ends."""
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE.format(folder=str(tmp_path))], stdout=subprocess.PIPE, text=True
    )
    assert engine.stdout is not None
    zygote, attempt = (int(pid) for pid in engine.stdout.readline().split())
    orphan = tmp_path / "pid"
    until(orphan.exists)
    engine.kill()
    engine.wait()
    engine.stdout.close()
    for pid in (zygote, attempt, int(orphan.read_text())):
        until(lambda pid=pid: gone(pid))  # type: ignore[misc]


ENGINE = """
import time
from pathlib import Path
from tests.runtime.attempt_bench import Bench
bench = Bench(Path({folder!r}))
token = bench.shell("trap '' TERM; setsid sleep 1000 & echo $! > pid.part; mv pid.part pid; wait")
attempt = bench.started(token).pid
print(bench.executor.vitals()["zygote_pid"], attempt, flush=True)
time.sleep(1000)
"""


def test_a_new_engine_finds_and_kills_what_an_old_one_left(tmp_path: Path) -> None:
    """Both the engine and its zygote died: by pid and start time, and by token."""
    bench = Bench(tmp_path)
    environment = {**os.environ, processes.TOKEN: "token_of_a_dead_engine"}
    by_token = subprocess.Popen(["sleep", "1000"], env=environment, start_new_session=True)
    by_pid = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    bystander = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        started = processes.start_time(by_pid.pid)
        assert started is not None
        attempts = [
            stale("token_of_a_dead_engine"),
            stale("token_two_two", by_pid.pid, started),
            stale("token_three_3", bystander.pid, started + 1000.0),  # the pid is used again by somebody else
        ]
        found = bench.executor.reap_stale(attempts)
        assert {one.pid for one in found} == {by_token.pid, by_pid.pid}
        assert all(one.killed for one in found)
        assert gone(by_token.pid)
        assert gone(by_pid.pid)
        assert not gone(bystander.pid)
    finally:
        for process in (by_token, by_pid, bystander):
            process.kill()
            process.wait()
        bench.close()


def stale(token: str, pid: int | None = None, started: float | None = None) -> Attempt:
    return Attempt(
        token=token,
        execution_id="e",
        run_id="r",
        task_id="t",
        map_index=None,
        number=1,
        epoch=1,
        submitted_at=datetime.now(UTC),
        pid=pid,
        pid_started=started,
    )


def test_stop_ends_every_attempt_as_a_shutdown(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    token = bench.shell("touch up; sleep 1000")
    bench.marked("up")
    zygote = bench.executor.vitals()["zygote_pid"]
    bench.executor.stop(0.2)
    finished = bench.end(token)
    assert finished.killed_for == "shutdown"
    assert finished.outcome.error is not None
    assert finished.outcome.error.kind is ErrorKind.LOST
    assert gone(zygote)
    assert not bench.executor.alive()


def test_a_long_attempt_is_sampled_with_everything_it_started(bench: Bench) -> None:
    """MET-01, MET-10: a child's memory and processor time count."""
    bench.module(
        "hungry", "import subprocess, sys\ndef f(ctx):\n    subprocess.run([sys.executable, '-c', HOG])\n" + HOG
    )
    token = bench.python("hungry:f")
    sampled = bench.wait(lambda one: isinstance(one, Sampled) and one.token == token and one.rss_mb > 60)
    assert isinstance(sampled, Sampled)
    bench.executor.kill(token, "cancel", 0.1)
    assert sampled.cpu_seconds > 0
    finished = bench.end(token)
    assert finished.peak_mb is not None
    assert finished.peak_mb >= sampled.peak_mb
    assert finished.read_bytes is not None


HOG = 'HOG = "import time; held = bytearray(60_000_000); time.sleep(1000)"\n'


def test_a_zygote_that_does_not_answer_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("CHECK_EVERY", 0.05), ("PING_AFTER", 0.1), ("DEAF_AFTER", 1.5)):
        monkeypatch.setattr(f"engine.executors.nursery.{name}", seconds)
    bench = Bench(tmp_path)
    token = bench.shell("sleep 1000")
    attempt = bench.started(token).pid
    os.kill(bench.executor.vitals()["zygote_pid"], signal.SIGSTOP)
    assert bench.of(token, Vanished)
    assert gone(attempt)
    assert bench.end(bench.shell("true")).outcome.result == "success"
    bench.close()


def test_a_start_that_is_not_reported_in_time_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DESIGN 3: and what starts all the same afterwards is killed."""
    monkeypatch.setattr("engine.executors.supervisor.START_WITHIN", 0.3)
    bench = Bench(tmp_path)
    zygote = bench.executor.vitals
    until(lambda: zygote()["zygote_pid"])
    pid = zygote()["zygote_pid"]
    os.kill(pid, signal.SIGSTOP)
    token = bench.shell("touch ran")
    assert "not reported" in bench.of(token, Vanished).reason
    os.kill(pid, signal.SIGCONT)
    bench.close()
    assert not any(isinstance(one, Started | Finished) for one in bench.reports)


def test_stop_does_not_wait_for_a_zygote_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.executors.local.FORCE_AFTER", 0.1)
    bench = Bench(tmp_path)
    token = bench.shell("sleep 1000")
    attempt = bench.started(token).pid
    os.kill(bench.executor.vitals()["zygote_pid"], signal.SIGSTOP)
    bench.executor.stop(0.1)
    assert bench.of(token, Vanished)
    assert gone(attempt)


def test_heavy_attempts_have_a_zygote_of_their_own_that_goes_when_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.executors.nursery.CHECK_EVERY", 0.05)
    monkeypatch.setattr("engine.executors.nursery.HEAVY_IDLE", 0.2)
    bench = Bench(tmp_path, heavy_preload=("decimal", "fractions"))
    bench.module("looks", "import sys\ndef f(ctx): return 'fractions' in sys.modules\n")
    bench.module("pools", "import pyarrow\ndef f(ctx): return pyarrow.default_memory_pool().backend_name\n")
    assert bench.end(bench.python("looks:f", heavy=True)).outcome.outputs == {"result": True}
    assert bench.end(bench.python("pools:f", heavy=True)).outcome.outputs == {"result": "system"}
    assert bench.end(bench.python("looks:f")).outcome.outputs == {"result": False}
    vitals = bench.executor.vitals
    until(lambda: vitals()["heavy_zygote_pid"] is None)
    assert vitals()["zygote_pid"] is not None
    assert bench.end(bench.python("looks:f", heavy=True)).outcome.outputs == {"result": True}
    bench.close()
