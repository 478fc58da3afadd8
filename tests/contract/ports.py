"""Ports for servers that are not ours to bind: they are chosen beforehand and have to be free later."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOWEST = 15_000


def lasting_port() -> int:
    """A port the kernel gives nobody by itself: it stays free until its server starts, and while that is away."""
    lowest_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(100):
        port = random.randrange(LOWEST, max(lowest_given, LOWEST + 1))
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError(f"no port between {LOWEST} and {lowest_given} is free")


@contextmanager
def nobody_listens() -> Iterator[int]:
    """A port that refuses whoever comes: it is taken, so that no neighbour's server gets it meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])
