"""What a process tree uses, as psutil sees it.

Law: looks only. Bytes read and written by processes that have ended since the last look still count; those of
processes that lived between two looks are not seen.
"""

from __future__ import annotations

import psutil

from engine.executors.live import Usage
from engine.executors.processes import descendants

MEGA = 1 << 20


class TreeSampler:
    """One attempt's tree over time."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._cpu: dict[int, float] = {}
        self._io: dict[int, tuple[int, int]] = {}

    def sample(self, usage: Usage) -> None:
        """Look once, into `usage`."""
        resident = 0
        for pid in (self._pid, *descendants(self._pid)):
            resident += self._look(pid)
        usage.taken = True
        usage.rss_mb = round(resident / MEGA, 1)
        usage.peak_mb = max(usage.peak_mb, usage.rss_mb)
        usage.cpu_seconds = max(usage.cpu_seconds, round(sum(self._cpu.values()), 3))
        usage.read_bytes = sum(read for read, _ in self._io.values())
        usage.write_bytes = sum(written for _, written in self._io.values())

    def _look(self, pid: int) -> int:
        """Bytes resident; 0 for a process that is gone or not ours to look at."""
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                times = process.cpu_times()
                resident: int = process.memory_info().rss
            self._cpu[pid] = times.user + times.system
            counters = process.io_counters()
            self._io[pid] = (counters.read_bytes, counters.write_bytes)
        except (psutil.Error, AttributeError):  # AttributeError: no io_counters on this system
            return 0
        return resident
