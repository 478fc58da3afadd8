"""Streams of the Redis server on loopback."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.contract.queue_rig import QueueRig


@contextmanager
def open_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisRig]:
    client = redis.Redis(host="127.0.0.1", socket_connect_timeout=3)
    try:
        client.ping()
    except redis.ConnectionError as error:
        pytest.skip(f"Redis does not answer: {error}")
    rig = RedisRig("redis", {"host": "127.0.0.1"}, tmp_path)
    rig.client = client
    try:
        yield rig
    finally:
        rig.close()
        for name in rig.used:
            client.delete(name, *client.scan_iter(f"penstock:sent:{{{name}}}:*"))
        client.close()


class RedisRig(QueueRig):
    client: Any

    def put(self, name: str, payloads: Sequence[bytes]) -> None:
        with self.client.pipeline(transaction=False) as line:
            for each in payloads:
                line.xadd(name, {"payload": each})
            line.execute()

    def first(self, name: str) -> bytes | None:
        found = self.client.xrange(name, count=1)
        payload: bytes | None = found[0][1][b"payload"] if found else None
        return payload

    def count(self, name: str) -> int:
        return int(self.client.xlen(name))
