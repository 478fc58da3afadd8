"""The zygote: a small process that forks attempts, and minds that nothing of them is left.

Law: single-threaded, started by exec, no handle on any state. It does what the engine's socket says, and when
that socket closes it kills every descendant and ends. An attempt's exit is told only when no process of it is
left: attempts are subreapers, so whatever an ended attempt leaves behind becomes a child of this process, and
a child that is neither a living attempt nor a spare is killed.
"""

from __future__ import annotations

import _random
import gc
import importlib
import json
import os
import pkgutil
import random
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from engine.executors import birth, processes
from engine.executors.spares import Spares
from engine.ports import failpoint
from engine.sdk.channel import Runner, Workplace

LEFTOVERS_TOLD = 20
LEFTOVERS_EVERY = 0.01  # seconds between looks at what has been killed and is not gone yet
REHEARSALS = 10  # the interpreter specialises what it has seen eight times
UNKILLABLE_AFTER = 5.0  # seconds: what may not be killed (another user's) is told instead of waited for


@dataclass(slots=True)
class Child:
    """A living attempt, or one that has ended and whose leftovers are being killed."""

    token: str
    pid: int
    handle: int  # a pidfd: readable when the process has ended
    status: int = 0
    cpu: float = 0.0
    peak_kb: int = 0
    leftovers: list[str] = field(default_factory=list)
    ended_at: float = 0.0


class Zygote:
    """The loop."""

    def __init__(
        self, engine: socket.socket, run: Runner, place: Workplace, *, spares: int, rehearse: birth.Rehearsal
    ) -> None:
        self._engine = engine
        self._run = run
        self._place = place
        self._slot = birth.TokenSlot()
        self._oom = processes.OomScore()
        self._pid = os.getpid()
        self._living: dict[int, Child] = {}
        self._spares = Spares(spares, self._bear, rehearse, self._awaited)
        self._ended: list[Child] = []
        self._noted: set[int] = set()  # leftovers that have been put down under their attempt
        self._untouchable: set[int] = set()  # leftovers that may not be killed
        self._ending = False
        # No handler for SIGCHLD, nor for anything else: children inherit none and need not undo any.
        self._poll = select.epoll()
        self._poll.register(engine.fileno(), select.EPOLLIN)

    def serve(self) -> None:
        """Until the engine is gone."""
        processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 1)
        self._say(op="ready")
        while not self._ending:
            ready = self._poll.poll(LEFTOVERS_EVERY if self._ended else self._spares.patience())
            if not ready and not self._ended:
                self._spares.tend()  # only now: nothing has ended and nobody waits
                continue
            if len(ready) != 1 or ready[0][0] != self._engine.fileno():
                self._reap()
            if any(handle == self._engine.fileno() for handle, _ in ready) and not self._obey():
                break
        self._kill_all()

    def _awaited(self) -> bool:
        return bool(self._poll.poll(0))

    # ------------------------------------------------------------------------------- what the engine says

    def _obey(self) -> bool:
        """One message. False: the engine is gone."""
        try:
            data, handles, flags, _ = socket.recv_fds(self._engine, birth.LARGEST_ORDER, 3)
        except OSError:
            return False
        if not data:
            return False
        message = msgspec.json.decode(data)
        if message["op"] == "fork":
            self._start(message["token"], data, handles, truncated=bool(flags & socket.MSG_CTRUNC))
        elif message["op"] == "kill":
            self._signal(message["token"], message["signal"])
        elif message["op"] == "ping":
            self._say(op="pong")
        return True

    def _start(self, token: str, order: bytes, handles: list[int], *, truncated: bool) -> None:
        try:
            if truncated or len(handles) != 3:
                self._spares.give_up()  # theirs are enough for the next order
                self._say(op="refused", token=token, reason="out of file descriptors")
                return
            failpoint.hit("zygote.before_fork")
            spare = self._spares.give(order, handles)
            if spare is not None:
                pid, watch = spare.pid, spare.handle
            else:
                pid, watch = self._bear(lambda: (birth.read_order(order), handles))
            failpoint.hit("zygote.after_fork")
            self._living[pid] = Child(token=token, pid=pid, handle=watch)
            self._say(op="started", token=token, pid=pid)
        except OSError as error:
            self._say(op="refused", token=token, reason=f"fork: {error.strerror}")
        finally:
            for handle in handles:
                os.close(handle)

    def _bear(self, commission: birth.Commission) -> tuple[int, int]:
        """A child that carries out the commission: its pid and a watched pidfd."""
        _reseed(_generator)  # each child inherits a state of its own
        pid = self._fork()
        if pid == 0:
            birth.live(commission, self._pid, self._slot, self._place, self._run)
        handle = _watch(pid)
        self._poll.register(handle, select.EPOLLIN)
        return pid, handle

    def _fork(self) -> int:
        self._oom.offer()
        try:
            pid = processes.bare_fork()
        except OSError:
            self._oom.take_back()
            raise
        if pid:
            self._oom.take_back()
        return pid

    def _signal(self, token: str, number: int) -> None:
        for child in self._living.values():
            if child.token == token:
                processes.send(child.pid, number, group=True)
                processes.send(child.pid, number)  # before its setsid it has no group of its own yet
                if number != signal.SIGKILL:
                    processes.send(child.pid, signal.SIGCONT, group=True)  # one that is stopped hears nothing

    # --------------------------------------------------------------------------------------- what ended

    def _reap(self) -> None:
        swept = False
        while (pid := _ended_child()) is not None:
            child = self._living.pop(pid, None)
            if child is not None:
                self._ended.append(child)
                child.ended_at = time.monotonic()
                # What it leaves behind became ours before its end could be seen: no stranger here, none anywhere.
                swept = not self._blame_leftovers()
                if not swept:
                    # Not reaped yet: the pid is still taken, so the group cannot be anybody else's.
                    processes.send(pid, signal.SIGKILL, group=True)
            _, status, usage = os.wait4(pid, 0)
            self._noted.discard(pid)
            if child is None:
                self._spares.ended(pid)
            else:
                os.close(child.handle)
                child.status, child.cpu = status, usage.ru_utime + usage.ru_stime
                child.peak_kb = usage.ru_maxrss
        if self._ended and (swept or not self._sweep()):
            for child in self._ended:
                self._report(child)
            self._ended.clear()

    def _sweep(self) -> bool:
        """Kill what ended attempts left behind. True: some of it is still there."""
        left = self._blame_leftovers()
        for pid in left:
            allowed = processes.kill_tree(pid)
            if not allowed and time.monotonic() - self._ended[0].ended_at > UNKILLABLE_AFTER:
                self._untouchable.add(pid)
        return bool(left)

    def _blame_leftovers(self) -> list[int]:
        """The children that are no living attempt; each is noted once, under the attempt it belongs to."""
        known = self._living.keys() | self._spares.pids() | self._untouchable | {child.pid for child in self._ended}
        left = [pid for pid in processes.own_children() if pid not in known]
        for pid in left:
            if pid not in self._noted and processes.start_time(pid) is not None:
                self._noted.add(pid)
                token = processes.token_of(pid)
                owner = next((child for child in self._ended if child.token == token), self._ended[-1])
                if len(owner.leftovers) < LEFTOVERS_TOLD:
                    owner.leftovers.append(f"{processes.name_of(pid)} (pid {pid})")
        return left

    def _report(self, child: Child) -> None:
        self._say(
            op="exit",
            token=child.token,
            status=child.status,
            cpu=round(child.cpu, 6),
            peak_kb=child.peak_kb,
            leftovers=child.leftovers,
        )

    def _kill_all(self) -> None:
        """The engine is gone: leave nothing behind. Bounded, because what hangs in the kernel may not die."""
        until = time.monotonic() + 10.0
        while time.monotonic() < until:
            for pid in processes.own_children():
                processes.kill_tree(pid)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.005)

    def _say(self, **message: Any) -> None:
        try:
            self._engine.send(msgspec.json.encode(message))
        except OSError:
            self._ending = True


_generator: random.Random = random.seed.__self__  # type: ignore[attr-defined]  # the one behind random's functions
_reseed = _random.Random.seed  # without Python's layer on top, which looks for seeds that are not given


def _watch(pid: int) -> int:
    """A pidfd of a child just forked; without one it cannot be minded, so it does not live."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _ended_child() -> int | None:
    """A child that has ended and still waits to be reaped."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _nothing() -> None:
    """No rehearsal."""


def main() -> None:
    """`argv`: the settings as JSON (paths and names, nothing secret) and the number of the engine's socket."""
    settings = json.loads(sys.argv[1])
    engine = socket.socket(fileno=int(sys.argv[2]))
    processes.set_name(settings["name"])
    run: Runner = _named(settings["runner"])
    for name in settings["preload"]:
        importlib.import_module(name)
    rehearse = _named(settings["rehearsal"]) if settings["rehearsal"] else _nothing
    place = Workplace(
        root=Path(settings["root"]), scratch=Path(settings["scratch"]), staging=Path(settings["staging"])
    )
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]  # text streams
    # The finders are made here, empty; each attempt lists the folders itself and sees them as they are then.
    sys.path[:0] = [str(place.root), str(place.root / "udfs")]
    for folder in sys.path[:2]:
        pkgutil.get_importer(folder)
    birth.settle()
    for _ in range(REHEARSALS):
        rehearse()
    zygote = Zygote(engine, run, place, spares=settings["spares"], rehearse=rehearse)
    # Nothing that exists now will ever be garbage; frozen, its pages stay shared with every attempt.
    gc.collect()
    gc.disable()
    gc.freeze()
    zygote.serve()


if __name__ == "__main__":
    main()
