"""Spare children: forked ahead of their orders, so that an order waits for no fork.

Law: a spare is nobody's attempt until it is given an order, and then it is that attempt like any other. Until then
it stands alone, holds its own socket and nothing else, and ends when that socket does. Spares are made only after
an order has come and only when nothing else is to be done; without orders they are given up. A system that refuses
one costs nothing: the order is then forked for when it comes.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Set
from dataclasses import dataclass

from engine.executors import birth, processes

GIVE_UP_AFTER = 30.0  # seconds without an order
FEW = (
    1  # not made anew before so few are left: the zygote writes on fewer shared pages when it forks several at once
)


@dataclass(frozen=True, slots=True)
class Spare:
    """A child that waits for an order."""

    pid: int
    handle: int  # a pidfd, watched by the zygote
    link: socket.socket


Fork = Callable[[birth.Commission], tuple[int, int]]
"""Forks a child that carries out the commission: its pid and its pidfd. OSError: refused."""


class Spares:
    """The spares of one zygote, at most `most`."""

    def __init__(self, most: int, fork: Fork, rehearse: birth.Rehearsal, awaited: Callable[[], bool]) -> None:
        self._most = most
        self._fork = fork
        self._rehearse = rehearse
        self._awaited = awaited  # whether an order, or an end, is there by now
        self._waiting: dict[int, Spare] = {}
        self._leaving: dict[int, Spare] = {}  # let go, and not reaped yet
        self._wanted = False
        self._ordered_at = 0.0

    def pids(self) -> Set[int]:
        """Processes that are neither attempts nor what one left behind."""
        return self._waiting.keys() | self._leaving.keys()

    def give(self, order: bytes, handles: list[int]) -> Spare | None:
        """The order given to a spare, which is none any more; None: there was none."""
        self._ordered_at = time.monotonic()
        given = self._hand_over(order, handles)
        self._wanted = len(self._waiting) <= FEW and self._most > 0
        return given

    def _hand_over(self, order: bytes, handles: list[int]) -> Spare | None:
        while self._waiting:
            pid = next(iter(self._waiting))
            spare = self._waiting.pop(pid)
            try:
                socket.send_fds(spare.link, [order], handles)
            except OSError:  # it has died, and waits to be reaped
                processes.send(pid, signal.SIGKILL)
                self._leaving[pid] = spare
            else:
                return spare
            finally:
                spare.link.close()
        return None

    def ended(self, pid: int) -> bool:
        """Whether the child that has ended was a spare. It is not replaced before the next order: what kills
        spares would have the zygote fork for nothing else."""
        spare = self._waiting.pop(pid, None) or self._leaving.pop(pid, None)
        if spare is None:
            return False
        spare.link.close()
        os.close(spare.handle)
        return True

    def patience(self) -> float | None:
        """Seconds until `tend` has something to do; None: not before the next order."""
        if self._wanted:
            return 0.0
        return max(0.0, self._ordered_at + GIVE_UP_AFTER - time.monotonic()) if self._waiting else None

    def tend(self) -> None:
        """Make what is wanted, give up what is not."""
        if self._wanted:
            self._fill()
        elif self.patience() == 0.0:
            self.give_up()

    def _fill(self) -> None:
        try:
            while len(self._waiting) < self._most:
                self._add()
                if self._awaited():
                    return  # the rest is made when that is done
        except OSError:
            pass  # no process or descriptor to be had; the next order tries again, and is told if it must fail
        self._wanted = False

    def _add(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid, handle = self._fork(lambda: birth.await_order(theirs, self._rehearse))
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._waiting[pid] = Spare(pid, handle, ours)

    def give_up(self) -> None:
        """Let them all go; they end by themselves."""
        for spare in self._waiting.values():
            spare.link.close()
        self._leaving |= self._waiting
        self._waiting.clear()
