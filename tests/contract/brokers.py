"""Real brokers on loopback: a queue of one's own on each, filled and looked into without the code under test."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.model.workspace import Connection

KINDS = ("rabbitmq", "redis", "nats", "kafka")
REDELIVER = 2.0  # where a test waits for it; long enough for a busy machine to say in time that it lives


@dataclass
class Broker:
    """One queue of one broker."""

    kind: str
    name: str
    config: dict[str, Any]
    put: Callable[[Sequence[bytes]], None]
    look: Callable[[], list[tuple[str, bytes]]]  # id and payload of each message, which stay; none in no queue
    drop: Callable[[], None] = lambda: None
    extra: dict[str, Any] = field(default_factory=dict)

    def redeliver_soon(self) -> None:
        """For tests that wait until a silent reader's messages come back."""
        self.config["redeliver_seconds"] = REDELIVER

    def connection(self, **config: Any) -> Connection:
        given = {"redeliver_seconds": 60, "timeout_seconds": 60, **self.config, **config}
        return Connection(id="broker", type=self.kind, config=given)


def fresh_name() -> str:
    return f"penstock_test_{uuid.uuid4().hex[:12]}"


@contextmanager
def broker(kind: str) -> Iterator[Broker]:
    """Skips with the reason where the server is missing."""
    made = {"rabbitmq": _rabbit, "redis": _redis, "nats": _nats, "kafka": _kafka}[kind](fresh_name())
    try:
        yield made
    finally:
        made.drop()


def _rabbit(name: str) -> Broker:
    import aio_pika

    async def with_channel(work: Callable[[Any], Any]) -> Any:
        connection = await aio_pika.connect(host="127.0.0.1", timeout=5)
        async with connection:
            return await work(await connection.channel())

    async def put(channel: Any, payloads: Sequence[bytes]) -> None:
        for number, payload in enumerate(payloads):
            message = aio_pika.Message(payload, message_id=f"m{number}")
            await channel.default_exchange.publish(message, routing_key=name)

    async def look(channel: Any) -> list[tuple[str, bytes]]:
        try:
            queue = await channel.declare_queue(name, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return []
        left, found, full = queue.declaration_result.message_count, [], asyncio.Event()

        async def take(message: Any) -> None:  # not confirmed: they go back with the connection
            found.append((str(message.message_id), message.body))
            if len(found) == left:
                full.set()

        if left:
            await queue.consume(take)
            await full.wait()
        return found

    async def declare(channel: Any) -> None:
        await channel.declare_queue(name, durable=True)

    async def delete(channel: Any) -> None:
        await channel.queue_delete(name)

    try:
        asyncio.run(with_channel(declare))
    except OSError as error:
        pytest.skip(f"RabbitMQ does not answer: {error}")
    return Broker(
        "rabbitmq",
        name,
        {"host": "127.0.0.1"},
        lambda payloads: asyncio.run(with_channel(lambda channel: put(channel, payloads))),
        lambda: asyncio.run(with_channel(look)),
        lambda: asyncio.run(with_channel(delete)),
    )


def _redis(name: str) -> Broker:
    import redis

    client = redis.Redis(host="127.0.0.1", socket_connect_timeout=3)
    try:
        client.ping()
    except redis.ConnectionError as error:
        pytest.skip(f"Redis does not answer: {error}")

    def put(payloads: Sequence[bytes]) -> None:
        for number, payload in enumerate(payloads):
            client.xadd(name, {"payload": payload, "id": f"m{number}"})

    def look() -> list[tuple[str, bytes]]:
        return [(fields[b"id"].decode(), fields[b"payload"]) for _, fields in client.xrange(name)]

    def drop() -> None:
        client.delete(name, *client.scan_iter(f"penstock:sent:{{{name}}}:*"))
        client.close()

    client.xadd(name, {"payload": b"{}"})
    client.xtrim(name, 0)  # the stream stays, empty
    return Broker("redis", name, {"host": "127.0.0.1"}, put, look, drop, {"client": client})


def _nats(name: str) -> Broker:
    import nats
    from nats.js.api import StreamConfig
    from nats.js.errors import NotFoundError

    async def with_stream(work: Callable[[Any], Any]) -> Any:
        connection = await nats.connect("nats://127.0.0.1:4222", allow_reconnect=False, connect_timeout=3)
        try:
            return await work(connection.jetstream(timeout=60))  # its disk may be busy
        finally:
            await connection.close()

    async def put(stream: Any, payloads: Sequence[bytes]) -> None:
        for number, payload in enumerate(payloads):
            await stream.publish(name, payload, headers={"Nats-Msg-Id": f"m{number}"})

    async def look(stream: Any) -> list[tuple[str, bytes]]:
        try:
            count = (await stream.stream_info(name)).state.messages
        except NotFoundError:
            return []
        found = [await stream.get_msg(name, at + 1) for at in range(count)]
        return [(each.headers["Nats-Msg-Id"], each.data) for each in found]

    try:
        asyncio.run(with_stream(lambda stream: stream.add_stream(StreamConfig(name=name, subjects=[name]))))
    except (OSError, nats.errors.Error) as error:
        pytest.skip(f"NATS does not answer: {error}")
    return Broker(
        "nats",
        name,
        {"url": "nats://127.0.0.1:4222"},
        lambda payloads: asyncio.run(with_stream(lambda stream: put(stream, payloads))),
        lambda: asyncio.run(with_stream(look)),
        lambda: asyncio.run(with_stream(lambda stream: stream.delete_stream(name))),
    )


def _kafka(name: str) -> Broker:
    """The mock cluster inside librdkafka: real connections on loopback, to brokers in this process."""
    import confluent_kafka as kafka

    home = kafka.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    found = home.list_topics(timeout=10)
    address = ",".join(f"{each.host}:{each.port}" for each in found.brokers.values())
    producer = kafka.Producer({"bootstrap.servers": address, "log_level": 0})

    def put(payloads: Sequence[bytes]) -> None:
        for number, payload in enumerate(payloads):
            producer.produce(name, payload, headers=[("penstock-id", f"m{number}".encode())])
        assert producer.flush(20) == 0

    home.list_topics(name, timeout=10)  # asking makes it

    def look() -> list[tuple[str, bytes]]:
        reader = kafka.Consumer({
            "bootstrap.servers": address, "log_level": 0, "group.id": "of-the-test", "enable.auto.commit": False,
        })  # fmt: skip
        try:
            parts = [
                kafka.TopicPartition(name, at, 0)
                for at in reader.list_topics(name, timeout=10).topics[name].partitions
            ]
            left = sum(reader.get_watermark_offsets(each, timeout=10)[1] for each in parts)
            reader.assign(parts)
            found: list[tuple[str, bytes]] = []
            while len(found) < left:
                for each in reader.consume(left - len(found), 1):
                    assert each.error() is None
                    found.append((dict(each.headers())["penstock-id"].decode(), each.value()))
            return found
        finally:
            reader.close()

    def drop() -> None:
        producer.flush(1)
        home.flush(1)

    return Broker("kafka", name, {"bootstrap_servers": address}, put, look, drop, {"home": home})
