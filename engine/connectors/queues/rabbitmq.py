"""RabbitMQ through aio-pika.

Law: messages are fetched one request each, so no more than asked for is ever held; the broker takes back what was
not confirmed as soon as the connection ends, however it ends. Messages are published persistent, mandatory and
with confirmation. Config: url, or host, port, user, password, vhost, tls; exchange (default: straight to the
queue).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aio_pika

from engine.connectors.queues.connector import QueueConnector
from engine.connectors.queues.loop import Link
from engine.connectors.queues.messages import Message, Outgoing
from engine.model.workspace import Connection

_POLL = 0.05  # seconds between two looks into an empty queue


def connect(connection: Connection, root: Path) -> RabbitConnector:
    """A connector for a `rabbitmq` connection."""
    return RabbitConnector(connection)


class RabbitConnector(QueueConnector):
    """One RabbitMQ."""

    name = "queue"

    def place(self) -> str:
        url = self.config.get("url")
        parts = urlsplit(str(url)) if url else None
        host = (parts.hostname if parts else None) or self.config.get("host", "localhost")
        port = (parts.port if parts else None) or self.config.get("port", 5672)
        return f"amqp://{host}:{port}"

    def test(self) -> str:
        """Connect."""
        link = Link(self, "")
        link.close()
        return f"RabbitMQ answers at {self.place()}."

    def consumer(self, name: str, options: Mapping[str, Any]) -> _Consumer:
        return _Consumer(self, name)

    def producer(self, name: str, create: bool) -> _Producer:
        return _Producer(self, name, create)

    async def open(self) -> Any:
        """A connection that is not mended behind our back: a broken one is a failure of the attempt."""
        config = self.config
        if config.get("url"):
            return await aio_pika.connect(str(config["url"]), timeout=self.connecting)
        return await aio_pika.connect(
            host=str(config.get("host", "localhost")),
            port=int(config.get("port", 5672)),
            login=str(config.get("user", "guest")),
            password=str(config.get("password", "guest")),
            virtualhost=str(config.get("vhost", "/")),
            ssl=bool(config.get("tls", False)),
            timeout=self.connecting,
        )


class _Consumer:
    def __init__(self, connector: RabbitConnector, name: str) -> None:
        self._connector, self._name = connector, name
        self._link: Link | None = None
        self._channel: Any = None
        self._queue: Any = None
        self._last: Any = None

    def pull(self, limit: int, seconds: float) -> list[Message]:
        link = self._opened()
        found: list[Message] = link.run(self._pull(limit, seconds), seconds + self._connector.operation)
        return found

    def acknowledge(self) -> None:
        if self._last is not None and self._link is not None:
            self._link.run(self._acknowledge(), self._connector.operation)
            self._last = None

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _opened(self) -> Link:
        if self._link is None:
            self._link = Link(self._connector, self._name)
            self._link.run(self._begin(self._link.connection), self._connector.operation)
        return self._link

    async def _begin(self, connection: Any) -> None:
        self._channel = await connection.channel()
        self._queue = await self._channel.get_queue(self._name, ensure=True)

    async def _pull(self, limit: int, seconds: float) -> list[Message]:
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while True:
            first = await self._get()
            if first is not None:
                break
            if clock() >= until:
                return []
            await asyncio.sleep(_POLL)
        more = min(limit - 1, first.message_count or 0)
        rest = [each for each in await asyncio.gather(*(self._get() for _ in range(more))) if each is not None]
        found = [first, *rest]
        self._last = max(found, key=lambda each: each.delivery_tag)
        return [_message(each) for each in found]

    async def _get(self) -> Any:
        return await self._queue.get(no_ack=False, fail=False, timeout=self._connector.operation)

    async def _acknowledge(self) -> None:
        await self._last.ack(multiple=True)
        # Confirming is not answered; a question behind it on the same channel is.
        await self._channel.get_queue(self._name, ensure=True)


class _Producer:
    def __init__(self, connector: RabbitConnector, name: str, create: bool) -> None:
        self._connector, self._name, self._create = connector, name, create
        self._link: Link | None = None
        self._exchange: Any = None

    def send(self, batch: Sequence[Outgoing]) -> None:
        if self._link is None:
            self._link = Link(self._connector, self._name)
            self._link.run(self._begin(self._link.connection), self._connector.operation)
        self._link.run(self._send(batch), self._connector.operation)

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    async def _begin(self, connection: Any) -> None:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        named = self._connector.config.get("exchange")
        if named:
            self._exchange = await channel.get_exchange(str(named), ensure=True)
            return
        if self._create:
            await channel.declare_queue(self._name, durable=True, passive=False)
        self._exchange = channel.default_exchange

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        await asyncio.gather(*(self._publish(each) for each in batch))

    async def _publish(self, one: Outgoing) -> None:
        message = aio_pika.Message(
            one.payload,
            message_id=one.id,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            headers={"key": one.key} if one.key is not None else {},
        )
        await self._exchange.publish(
            message, routing_key=self._name, mandatory=True, timeout=self._connector.operation
        )


def _message(one: Any) -> Message:
    key = (one.headers or {}).get("key")
    return Message(payload=one.body, id=one.message_id, at=one.timestamp, key=None if key is None else str(key))
