"""Queues of the RabbitMQ server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika.exceptions import ChannelNotFoundEntity

from tests.contract.queue_rig import QueueRig


def ask(work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Something of the server, on a connection of its own."""

    async def asked() -> Any:
        async with await aio_pika.connect(host="127.0.0.1", timeout=5) as connection:
            return await work(await connection.channel())

    return asyncio.run(asked())


@contextmanager
def open_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RabbitRig]:
    rig = RabbitRig("rabbitmq", {"host": "127.0.0.1"}, tmp_path)
    try:
        rig.count("penstock_test_nowhere")
    except OSError as error:
        pytest.skip(f"RabbitMQ does not answer: {error}")
    try:
        yield rig
    finally:
        rig.close()
        for name in rig.used:
            ask(lambda channel, name=name: channel.queue_delete(name))


class RabbitRig(QueueRig):
    def put(self, name: str, payloads: Sequence[bytes]) -> None:
        async def sent(channel: Any) -> None:
            await channel.declare_queue(name, durable=True)
            for at in range(0, len(payloads), 500):
                messages = [aio_pika.Message(each) for each in payloads[at : at + 500]]
                publish = channel.default_exchange.publish
                await asyncio.gather(*(publish(each, routing_key=name) for each in messages))

        ask(sent)

    def first(self, name: str) -> bytes | None:
        async def got(channel: Any) -> bytes | None:
            queue = await channel.declare_queue(name, passive=True)
            message = await queue.get(fail=False)
            if message is None:
                return None
            await message.nack()  # back to its place
            payload: bytes = message.body
            return payload

        return self._or_nothing(got)

    def count(self, name: str) -> int:
        async def counted(channel: Any) -> int:
            queue = await channel.declare_queue(name, passive=True)
            return int(queue.declaration_result.message_count or 0)

        return self._or_nothing(counted) or 0

    def _or_nothing(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            return ask(work)
        except ChannelNotFoundEntity:
            return None
