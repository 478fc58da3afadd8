"""RabbitMQ through aio-pika.

Law: each pull is a consumer of its own that is sent no more than was asked for; the broker takes back what was not
confirmed as soon as the connection ends, however it ends. Messages are published persistent, mandatory and
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

_QUIET = 0.02  # seconds without a message after which a queue is taken for empty


def connect(connection: Connection, root: Path) -> RabbitConnector:
    """A connector for a `rabbitmq` connection."""
    return RabbitConnector(connection, root)


class RabbitConnector(QueueConnector):
    """One RabbitMQ."""

    name = "queue"
    unsafe = ("amqp://",)

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
            context = self.tls.context() if self.tls else None
            return await aio_pika.connect(str(config["url"]), timeout=self.connecting, ssl_context=context)
        return await aio_pika.connect(
            host=str(config.get("host", "localhost")),
            port=int(config.get("port", 5672)),
            login=str(self.user or "guest"),
            password=str(config.get("password", "guest")),
            virtualhost=str(config.get("vhost", "/")),
            ssl=self.tls is not None,
            ssl_context=self.tls.context() if self.tls else None,
            timeout=self.connecting,
        )


class _Inbox:
    """What one pull is sent, until it is full or nothing more comes."""

    def __init__(self, limit: int) -> None:
        self.messages: list[Any] = []
        self._limit = limit
        self._news = asyncio.Event()

    async def put(self, message: Any) -> None:
        """One delivery."""
        self.messages.append(message)
        self._news.set()

    async def fill(self, seconds: float, broken: asyncio.Future[Any]) -> None:
        """Wait for the first one, then for those that follow at once."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while len(self.messages) < self._limit and not broken.done():
            left = until - clock()
            patience = min(left, _QUIET) if self.messages else left
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            done, _ = await asyncio.wait({news, broken}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            if not done:
                return


class _Consumer:
    def __init__(self, connector: RabbitConnector, name: str) -> None:
        self._connector, self._name = connector, name
        self._link: Link | None = None
        self._channel: Any = None
        self._taken = self._confirmed = 0

    def pull(self, limit: int, seconds: float) -> list[Message]:
        link = self._opened()
        found: list[Message] = link.run(self._pull(limit, seconds), seconds + self._connector.operation)
        return found

    def acknowledge(self) -> None:
        if self._taken > self._confirmed and self._link is not None:
            self._link.run(self._acknowledge(), self._connector.operation)

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
        # The plain protocol, one layer below: an object per message with all that can be done to it is not needed.
        self._channel = await (await connection.channel()).get_underlay_channel()
        await self._channel.queue_declare(self._name, passive=True)

    async def _pull(self, limit: int, seconds: float) -> list[Message]:
        channel, inbox = self._channel, _Inbox(limit)
        await channel.basic_qos(prefetch_count=limit)  # of the next consumer alone: what others hold does not count
        consuming, broken = await channel.basic_consume(self._name, inbox.put), channel.closing
        try:
            await inbox.fill(seconds, broken)
        finally:
            await channel.basic_cancel(
                consuming.consumer_tag
            )  # what was sent meanwhile is here when it is answered
        self._taken += len(inbox.messages)
        return [_message(each) for each in inbox.messages]

    async def _acknowledge(self) -> None:
        # Deliveries of a channel are numbered from 1 on, so all that were taken are confirmed and not one more.
        await self._channel.basic_ack(self._taken, multiple=True)
        # Confirming is not answered; a question behind it on the same channel is.
        await self._channel.queue_declare(self._name, passive=True)
        self._confirmed = self._taken


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
    said = one.header.properties
    key = (said.headers or {}).get("key")
    return Message(payload=one.body, id=said.message_id, at=said.timestamp, key=None if key is None else str(key))
