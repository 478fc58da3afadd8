"""NATS JetStream, read by a durable pull consumer.

Law: what was handed out and not confirmed comes back: at once when the read is closed, after `redeliver_seconds`
when it died; a living read says that it is at work. Every message is published with its id, which the server knows
for its window of duplicates. Config: url (or servers, a list), user, password, token, tls.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.errors import TimeoutError as NothingCame
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import NoStreamResponseError, NotFoundError

from engine.connectors.queues.connector import QueueConnector
from engine.connectors.queues.loop import MARGIN, Link
from engine.connectors.queues.messages import Message, Outgoing
from engine.connectors.queues.reading import MAX_MESSAGES
from engine.model.workspace import Connection

DURABLE = "penstock"
_SLICE = 1.0  # seconds that one request for messages stands
_AT_ONCE = 100  # publications that wait for their confirmation


def connect(connection: Connection, root: Path) -> NatsConnector:
    """A connector for a `nats` connection."""
    return NatsConnector(connection, root)


class NatsConnector(QueueConnector):
    """One NATS."""

    name = "stream"

    def place(self) -> str:
        parts = urlsplit(self._servers()[0])
        return f"nats://{parts.hostname or 'localhost'}:{parts.port or 4222}"

    def _servers(self) -> list[str]:
        config = self.config
        here = f"nats://{config.get('host', 'localhost')}:{config.get('port', 4222)}"
        return [str(each) for each in config.get("servers") or [config.get("url") or here]]

    async def open(self) -> Any:
        """A connection that is not mended behind our back."""
        config = self.config

        async def told(error: Exception) -> None:
            """The call that was under way tells it."""

        given = {"user": self.user, "password": config.get("password"), "token": config.get("token")}
        login = {key: str(value) for key, value in given.items() if value}
        return await nats.connect(
            self._servers(),
            allow_reconnect=False,
            connect_timeout=self.connecting,
            reconnect_time_wait=0.1,
            max_reconnect_attempts=1,  # with 0 it would try without end
            error_cb=told,
            **login,
            **({"tls": self.tls.context()} if self.tls else {}),
        )

    def test(self) -> str:
        """Connect."""
        link = Link(self, "")
        link.close()
        return f"NATS answers at {self.place()}."

    def names(self) -> Sequence[str]:
        link = Link(self, "")
        try:
            found = link.run(link.connection.jetstream().streams_info(), self.operation)
        finally:
            link.close()
        return [each.config.name for each in found]

    def consumer(self, name: str, options: Mapping[str, Any]) -> _Consumer:
        return _Consumer(self, name, options)

    def producer(self, name: str, create: bool) -> _Producer:
        return _Producer(self, name, create)


class _Consumer:
    def __init__(self, connector: NatsConnector, name: str, options: Mapping[str, Any]) -> None:
        self._connector, self._name = connector, name
        self._durable = str(options.get("group", DURABLE))
        self._most = int(options.get("max_messages", MAX_MESSAGES))
        self._link: Link | None = None
        self._subscription: Any = None
        self._stream = ""
        self._held: list[str] = []  # where each message that is not confirmed waits for an answer
        self._keeper: asyncio.Task[None] | None = None

    def pull(self, limit: int, seconds: float) -> list[Message]:
        link = self._opened()
        found: list[Message] = link.run(self._pull(limit, seconds), seconds + self._connector.operation)
        return found

    def acknowledge(self) -> None:
        if self._link is not None and self._held:
            self._link.run(self._acknowledge(self._link.connection), self._connector.operation)

    def close(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        try:
            link.run(self._give_back(link.connection), MARGIN)
        except Exception:  # noqa: BLE001, S110  they come back by themselves, after redeliver_seconds
            pass
        link.close()

    def _opened(self) -> Link:
        if self._link is None:
            link = Link(self._connector, self._name)
            try:
                link.run(self._begin(link.connection), self._connector.operation)
            except BaseException:
                link.close()
                raise
            self._link = link
        return self._link

    async def _begin(self, connection: Any) -> None:
        stream = connection.jetstream(timeout=self._connector.operation)
        subject = None
        try:
            self._stream = (await stream.stream_info(self._name)).config.name
        except (NotFoundError, ValueError):
            self._stream, subject = await stream.find_stream_name_by_subject(self._name), self._name
        try:
            info = await stream.consumer_info(self._stream, self._durable)
        except NotFoundError:
            info = await stream.add_consumer(self._stream, self._config(subject))
        self._subscription = await stream.pull_subscribe_bind(self._durable, self._stream)
        wait = float(info.config.ack_wait or self._connector.redeliver)
        self._keeper = asyncio.get_running_loop().create_task(self._keep(connection, wait / 3))

    def _config(self, subject: str | None) -> Any:
        return ConsumerConfig(
            durable_name=self._durable,
            ack_wait=self._connector.redeliver,
            max_ack_pending=max(1000, self._most),
            filter_subject=subject,
        )

    async def _pull(self, limit: int, seconds: float) -> list[Message]:
        left = seconds
        while True:
            try:
                found = await self._subscription.fetch(limit, timeout=max(0.05, min(left, _SLICE)))
            except (NothingCame, TimeoutError):
                found = []
                if not self._link_alive():
                    raise ConnectionError from None
            left -= _SLICE
            if found or left <= 0:
                self._held += [each.reply for each in found]
                return [_message(self._stream, each) for each in found]

    def _link_alive(self) -> bool:
        return self._link is None or bool(self._link.connection.is_connected)

    async def _keep(self, connection: Any, every: float) -> None:
        """Say that we are at work: the server else hands the messages to somebody else."""
        while True:
            await asyncio.sleep(every)
            for reply in list(self._held):
                await connection.publish(reply, b"+WPI")

    async def _acknowledge(self, connection: Any) -> None:
        held, self._held = self._held, []
        for reply in held[:-1]:
            await connection.publish(reply, b"+ACK")
        # Confirming is not answered unless asked for; the last one's answer comes behind all others.
        await connection.request(held[-1], b"+ACK", timeout=self._connector.operation)

    async def _give_back(self, connection: Any) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        for reply in self._held:
            await connection.publish(reply, b"-NAK")
        await connection.flush(timeout=MARGIN)


class _Producer:
    def __init__(self, connector: NatsConnector, name: str, create: bool) -> None:
        self._connector, self._name, self._create = connector, name, create
        self._link: Link | None = None

    def send(self, batch: Sequence[Outgoing]) -> None:
        if self._link is None:
            self._link = Link(self._connector, self._name)
        self._link.run(self._send(self._link.connection, batch), self._connector.operation)

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    async def _send(self, connection: Any, batch: Sequence[Outgoing]) -> None:
        stream = connection.jetstream(timeout=self._connector.operation)
        if self._create:
            await self._ensure(stream)
        for at in range(0, len(batch), _AT_ONCE):
            await asyncio.gather(*(self._publish(stream, each) for each in batch[at : at + _AT_ONCE]))

    async def _ensure(self, stream: Any) -> None:
        self._create = False
        try:
            await stream.find_stream_name_by_subject(self._name)
        except (NotFoundError, NoStreamResponseError):
            name = re.sub(r"[^A-Za-z0-9_-]", "_", self._name)
            await stream.add_stream(StreamConfig(name=name, subjects=[self._name]))

    async def _publish(self, stream: Any, one: Outgoing) -> None:
        headers = {"Nats-Msg-Id": one.id}
        if one.key is not None:
            headers["Penstock-Key"] = re.sub(r"[\r\n]", " ", one.key)
        await stream.publish(self._name, one.payload, headers=headers)


def _message(stream: str, one: Any) -> Message:
    headers = one.headers or {}
    named = headers.get("Nats-Msg-Id") or f"{stream}:{one.metadata.sequence.stream}"
    return Message(
        payload=one.data, id=named, at=one.metadata.timestamp, key=headers.get("Penstock-Key") or one.subject
    )
