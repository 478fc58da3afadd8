"""Processes of attempts whose engine is gone.

Law: a process is killed only when it carries an attempt's token, or has its pid and its start time, or is a zygote
that works in our scratch folder and is not ours. What may not be killed is reported, so that its task keeps waiting
for it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from engine.executors import processes
from engine.model.run import Attempt
from engine.ports.executor import StaleProcess

GONE_WITHIN = 5.0


def end_zygotes(scratch: Path) -> None:
    """End the zygotes of earlier engines. Orders may lie unread in their sockets, and an attempt forked from one
    after this look would run beside its repetition."""
    mark = json.dumps(str(scratch)).encode()
    until = time.monotonic() + GONE_WITHIN
    while time.monotonic() < until:
        ours = {os.getpid(), *processes.descendants(os.getpid())}
        left = [pid for pid in processes.zygotes(mark) if pid not in ours]
        # Tried on each look: what we may not kill is another user's, and its attempts are told as foreign.
        if not [pid for pid in left if processes.kill_tree(pid)]:
            return
        time.sleep(0.01)


def reap_stale(attempts: Sequence[Attempt]) -> list[StaleProcess]:
    """Find and kill them all; returns when the killed are gone."""
    found: dict[tuple[int, float], StaleProcess] = {}
    until = time.monotonic() + GONE_WITHIN
    while True:
        living = _look(attempts)
        for pid, started, token in living:
            user = processes.user_of(pid)
            killed = processes.kill_tree(pid)
            found[pid, started] = StaleProcess(token=token, pid=pid, pid_started=started, user=user, killed=killed)
        ours = [pid for pid, started, _ in living if found[pid, started].killed]
        if not ours or time.monotonic() >= until:
            break
        time.sleep(0.01)
    return sorted(found.values(), key=lambda one: one.pid)


def _look(attempts: Sequence[Attempt]) -> list[tuple[int, float, str]]:
    """Pid, start time and token of everything that is left."""
    living = {
        attempt.pid: attempt.token
        for attempt in attempts
        if attempt.pid is not None
        and attempt.pid_started is not None
        and processes.start_time(attempt.pid) == attempt.pid_started
    }
    living |= processes.carriers(attempt.token for attempt in attempts)
    seen = [(pid, processes.start_time(pid), token) for pid, token in living.items()]
    return [(pid, started, token) for pid, started, token in seen if started is not None]
