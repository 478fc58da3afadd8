"""From the fork to the author's code: what turns a copy of the zygote into an attempt.

Law: everything here happens in the child, and nothing of the zygote survives it: session, descriptors, signal
handlers and environment are the attempt's own before the first line of the author's code runs. It never returns.
What needs no order is done before the order is asked for: a spare child does it while nobody waits.

It is written for few pages, not for few lines. A page that fork shares is copied when the child first writes on it,
and a reference counted is a write: each function called and each object named here costs a copy of its page, some
three microseconds. What every attempt has alike, it inherits (`settle`); what few ask for is made when they ask.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.executors import processes
from engine.model.run import Outcome
from engine.ports import failpoint
from engine.rules.classify import classify
from engine.sdk import signals
from engine.sdk.attempt import attempt_environment
from engine.sdk.channel import ChannelClosed, Runner, SocketChannel, Workplace

TOKEN_ROOM = 64  # bytes kept free for an attempt's token in the environment the zygote is started with
OPEN_FILES = 4096
LARGEST_ORDER = 1 << 16
_HIGHEST = resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # as the zygote was started: no descriptor is above
_THREE = struct.Struct("3i")  # the handles that go with an order
_ROOM = socket.CMSG_LEN(_THREE.size)
# These reach attempt processes for the tests' sake, never the author's code.
_INTERNAL = [name for name in ("PENSTOCK_FAILPOINT",) if name in os.environ]


class TokenSlot:
    """The place in this process's original environment that /proc/<pid>/environ shows for the token.

    A forked attempt shows the environment the zygote was started with; writing the token into the room kept
    there is what makes the attempt and everything it starts findable by it."""

    def __init__(self) -> None:
        address = self._find(f"{processes.TOKEN}=".encode())
        room = None if address is None else (ctypes.c_char * TOKEN_ROOM).from_address(address)
        self._room = None if room is None else memoryview(room).cast("B")

    def write(self, token: str) -> None:
        """Put the token there; at most TOKEN_ROOM bytes."""
        if self._room is not None:
            self._room[:] = token.encode("ascii")[:TOKEN_ROOM].ljust(TOKEN_ROOM, b"\0")

    @staticmethod
    def _find(mark: bytes) -> int | None:
        entries = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
        place = 0
        while (address := entries[place]) is not None:
            text = ctypes.string_at(address)
            if text.startswith(mark):
                return address + len(mark) if len(text) - len(mark) == TOKEN_ROOM else None
            place += 1
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the engine asks a zygote to fork; the AttemptSpec itself comes over the attempt's own socket."""

    token: str
    nice: int = 0
    memory_mb: int | None = None


Commission = Callable[[], tuple[Order, list[int]] | None]
"""Gives the order and its handles (control socket, stdout, stderr), at once or in time; None: none will come."""

Rehearsal = Callable[[], None]
"""Does once what an attempt does, and leaves nothing of it."""

read_order = msgspec.json.Decoder(Order).decode


def settle() -> None:
    """Once, in the zygote: what all its children are to inherit."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
    os.umask(0o077)


def live(commission: Commission, parent: int, slot: TokenSlot, place: Workplace, run: Runner) -> None:
    """Be the attempt, then end."""
    code = 70
    try:
        _stand_alone(parent)
        given = commission()
        if given is not None:
            code = _carry_out(*given, slot, place, run)
    except ChannelClosed:
        code = 71  # the engine is gone, and so will this process be in a moment
    except BaseException:  # noqa: BLE001 - the last frame of the process: what fails here is seen on stderr
        sys.excepthook(*sys.exc_info())
    finally:
        _flush()
        os._exit(code)


def await_order(link: socket.socket, rehearse: Rehearsal) -> tuple[Order, list[int]] | None:
    """The commission of a spare: wait for the order on a socket of its own, and rehearse before."""
    # A copy of the zygote's socket, or of another spare's, would keep its end from being seen.
    number = link.fileno()
    os.closerange(3, number)
    os.closerange(number + 1, _HIGHEST)
    # An order may come meanwhile, and TERM after it: that is for the attempt, and keeps until there is one.
    signals.mask(signals.BLOCK, (signals.TERM,))
    with suppress(Exception):  # nothing depends on it: what it would have written, the attempt writes
        rehearse()
    signals.mask(signals.UNBLOCK, (signals.TERM,))
    data, handles, _, _ = link.recvmsg(LARGEST_ORDER, _ROOM)
    return (read_order(data), list(_THREE.unpack(handles[0][2]))) if data else None


def _carry_out(order: Order, handles: list[int], slot: TokenSlot, place: Workplace, run: Runner) -> int:
    link = _take_handles(handles)
    slot.write(order.token)
    if order.nice:
        os.nice(order.nice)
    if order.memory_mb:
        _limit_memory(order.memory_mb)
    return _work(SocketChannel(link), place.of(order.token), run)


def _stand_alone(parent: int) -> None:
    os.setsid()
    processes.prctl(processes.PR_SET_PDEATHSIG, signals.KILL)
    if os.getppid() != parent:  # it died between fork and prctl: nobody would ever end this process
        os._exit(71)
    # What this attempt leaves behind falls to it while it lives and to the zygote when it ends, never to init.
    processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 1)
    processes.set_name()


def _take_handles(handles: list[int]) -> socket.socket:
    control, out, err = handles
    os.dup2(out, 1)
    os.dup2(err, 2)
    if control == 3:
        os.set_inheritable(3, False)
    else:
        os.dup2(control, 3, inheritable=False)
    os.closerange(4, _HIGHEST)  # above the three that were handed over nothing is kept
    # Kind and family are named: asked for, the kernel would be asked three times.
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, 3)


def _limit_memory(megabytes: int) -> None:
    # The limit counts address space, of which a Python that has done nothing already holds a good deal.
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    cap = held + megabytes * (1 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (cap, cap))


def _work(channel: SocketChannel, place: Workplace, run: Runner) -> int:
    spec = channel.receive_spec()
    for name in _INTERNAL:
        os.environ.pop(name, None)
    for name, value in attempt_environment(spec).items():
        os.environ[name] = value
    os.chdir(place.root)
    gc.enable()
    me = os.getpid()
    try:
        outcome = run(spec, channel, place)
    except ChannelClosed:
        raise
    except BaseException as error:  # noqa: BLE001 - a fault of the runner itself is still an outcome
        sys.excepthook(*sys.exc_info())
        outcome = Outcome(result="failed", error=classify(error, attempt=spec.attempt))
    if os.getpid() != me:
        return 0  # a fork of user code came back through here; the outcome is not its to tell
    _flush()
    failpoint.hit("attempt.before_outcome")
    _report(channel, outcome)
    failpoint.hit("attempt.after_outcome")
    return _exit_code(outcome)


def _report(channel: SocketChannel, outcome: Outcome) -> None:
    signals.handle(signals.TERM, signals.IGNORE)  # it has ended; being asked to end changes nothing now
    try:
        channel.outcome(outcome)
    except (TypeError, ValueError, RecursionError) as error:
        channel.outcome(Outcome(result="failed", error=classify(error)))


def _exit_code(outcome: Outcome) -> int:
    kind, _, number = (outcome.error.type if outcome.error else "").partition(" ")
    if kind == "exit" and number.isdigit() and 0 < int(number) < 256:
        return int(number)
    return 0 if outcome.error is None else 1


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed by the author's code, or the reader is gone; there is nobody left to tell
