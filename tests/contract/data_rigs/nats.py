"""JetStream streams of the NATS server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from tests.contract.queue_rig import QueueRig

URL = "nats://127.0.0.1:4222"


def ask(work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Something of the server, on a connection of its own; None where there is no such stream."""

    async def asked() -> Any:
        connection = await nats.connect(URL, allow_reconnect=False, connect_timeout=3)
        try:
            return await work(connection.jetstream())
        except NotFoundError:
            return None
        finally:
            await connection.close()

    return asyncio.run(asked())


@contextmanager
def open_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NatsRig]:
    rig = NatsRig("nats", {"url": URL}, tmp_path)
    try:
        rig.count("penstock_test_nowhere")
    except (OSError, nats.errors.Error) as error:
        pytest.skip(f"NATS does not answer: {error}")
    try:
        yield rig
    finally:
        rig.close()
        for name in rig.used:
            ask(lambda stream, name=name: stream.delete_stream(name))


class NatsRig(QueueRig):
    def put(self, name: str, payloads: Sequence[bytes]) -> None:
        async def sent(stream: Any) -> None:
            await stream.add_stream(StreamConfig(name=name, subjects=[name]))
            for at in range(0, len(payloads), 500):
                await asyncio.gather(*(stream.publish(name, each) for each in payloads[at : at + 500]))

        ask(sent)

    def first(self, name: str) -> bytes | None:
        async def got(stream: Any) -> bytes | None:
            state = (await stream.stream_info(name)).state
            payload: bytes | None = (await stream.get_msg(name, state.first_seq)).data if state.messages else None
            return payload

        found: bytes | None = ask(got)
        return found

    def count(self, name: str) -> int:
        async def counted(stream: Any) -> int:
            return int((await stream.stream_info(name)).state.messages)

        return ask(counted) or 0
