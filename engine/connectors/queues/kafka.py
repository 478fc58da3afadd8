"""Kafka through confluent-kafka.

Law: a read begins at each partition's committed offset of its group; offsets are committed by `acknowledge` only.
Partitions are assigned, not balanced: one read of a group at a time. The producer is idempotent and waits for all
replicas. Config: bootstrap_servers, user, password, mechanism, tls, settings (of librdkafka, as they are).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka as kafka

from engine.connectors.queues.connector import QueueConnector
from engine.connectors.queues.messages import Message, Outgoing
from engine.model.errors import ConfigurationError, NetworkError, PermissionFailure, TaskFailure, TimeoutFailure
from engine.model.workspace import Connection

GROUP = "penstock"
_PREFETCH_KB = 16_384
_AUTH = frozenset({
    "_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
})  # fmt: skip
_UNKNOWN = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "TOPIC_EXCEPTION",
                      "_INVALID_ARG", "MSG_SIZE_TOO_LARGE"})  # fmt: skip
_LATE = frozenset({"_TIMED_OUT", "_MSG_TIMED_OUT", "REQUEST_TIMED_OUT"})


def connect(connection: Connection, root: Path) -> KafkaConnector:
    """A connector for a `kafka` connection."""
    return KafkaConnector(connection, root)


class KafkaConnector(QueueConnector):
    """One cluster."""

    name = "topic"

    def place(self) -> str:
        return f"kafka://{self._servers().partition(',')[0]}"

    def _servers(self) -> str:
        here = f"{self.config.get('host', 'localhost')}:{self.config.get('port', 9092)}"
        return str(self.config.get("bootstrap_servers") or here)

    def settings(self) -> dict[str, Any]:
        """What producers and consumers are given."""
        config = self.config
        tls, login = self.tls, self.user
        protocol = ("SASL_" if login else "") + ("SSL" if tls else "PLAINTEXT")
        made: dict[str, Any] = {
            "bootstrap.servers": self._servers(),
            "security.protocol": protocol,
            "socket.timeout.ms": int(self.operation * 1000),
            "log_level": 0,
        }
        if tls:
            files = {"ssl.ca.location": tls.ca, "ssl.certificate.location": tls.cert, "ssl.key.location": tls.key}
            made |= {key: file for key, file in files.items() if file}
        if login:
            made |= {
                "sasl.mechanism": str(config.get("mechanism", "PLAIN")),
                "sasl.username": str(login),
                "sasl.password": str(config.get("password", "")),
            }
        return {**made, **(config.get("settings") or {})}

    def test(self) -> str:
        """Ask for the brokers."""
        found = self._metadata()
        return f"Kafka answers at {self.place()}: {len(found.brokers)} broker(s), {len(found.topics)} topic(s)."

    def names(self) -> Sequence[str]:
        return [each for each in self._metadata().topics if not each.startswith("__")]

    def consumer(self, name: str, options: Mapping[str, Any]) -> _Consumer:
        return _Consumer(self, name, str(options.get("group", GROUP)))

    def producer(self, name: str, create: bool) -> _Producer:
        return _Producer(self, name)

    def fail(self, error: Any, name: str) -> TaskFailure:
        """The failure that a KafkaError stands for."""
        code, where = error.name(), f"{self.where(name)}: {self.place()}"
        if code in _AUTH:
            return PermissionFailure(f"{where} refuses the login, or it may not do this ({code}).")
        if code in _UNKNOWN:
            return ConfigurationError(f"{where} has no such topic, or does not take what was sent ({code}).")
        if code in _LATE:
            return TimeoutFailure(f"{where} did not answer in time ({code}).")
        return NetworkError(f"{where} cannot be reached, or the connection broke ({code}).")

    def asked(self, ask: Any, name: str) -> Any:
        """What is asked of the library; its errors as ours."""
        try:
            return ask()
        except kafka.KafkaException as error:
            raise self.fail(error.args[0], name) from None

    def _metadata(self) -> Any:
        admin = kafka.Producer(self.settings())
        return self.asked(lambda: admin.list_topics(timeout=self.connecting), "")


class _Consumer:
    def __init__(self, connector: KafkaConnector, name: str, group: str) -> None:
        self._connector, self._name, self._group = connector, name, group
        self._client: Any = None
        self._next: dict[int, int] = {}

    def pull(self, limit: int, seconds: float) -> list[Message]:
        found: list[Message] = self._connector.asked(lambda: self._pull(limit, seconds), self._name)
        return found

    def acknowledge(self) -> None:
        offsets = [kafka.TopicPartition(self._name, part, offset) for part, offset in self._next.items()]
        if offsets:
            self._connector.asked(lambda: self._client.commit(offsets=offsets, asynchronous=False), self._name)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _pull(self, limit: int, seconds: float) -> list[Message]:
        if self._client is None:
            self._begin()
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            taken = [self._taken(each) for each in self._client.consume(limit, max(0.05, min(left, 1.0)))]
            found = [each for each in taken if each is not None]
            if found or left <= 0:
                return found

    def _begin(self) -> None:
        settings = {
            **self._connector.settings(),
            "group.id": self._group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": _PREFETCH_KB,
            "max.poll.interval.ms": 86_400_000,  # a load takes as long as it takes
        }
        client = kafka.Consumer(settings)
        try:
            client.assign(self._parts(client))
        except BaseException:
            client.close()
            raise
        self._client = client

    def _parts(self, client: Any) -> list[Any]:
        seconds = self._connector.connecting
        topic = client.list_topics(self._name, timeout=seconds).topics.get(self._name)
        if topic is None or topic.error is not None:
            raise ConfigurationError(
                f"{self._connector.where(self._name)}: {self._connector.place()} has no such topic."
            )
        parts = [kafka.TopicPartition(self._name, number) for number in topic.partitions]
        committed = client.committed(parts, timeout=seconds)
        for each in committed:
            low, _ = client.get_watermark_offsets(each, timeout=seconds)
            each.offset = max(low, each.offset) if each.offset >= 0 else low
        return list(committed)

    def _taken(self, one: Any) -> Message | None:
        if one.error() is not None:
            if one.error().code() == kafka.KafkaError._PARTITION_EOF:
                return None
            raise kafka.KafkaException(one.error())
        self._next[one.partition()] = one.offset() + 1
        return _message(one)


class _Producer:
    def __init__(self, connector: KafkaConnector, name: str) -> None:
        self._connector, self._name = connector, name
        self._client = kafka.Producer({
            **connector.settings(),
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": int(connector.operation * 1000),
        })  # fmt: skip
        self._failed: Any = None

    def send(self, batch: Sequence[Outgoing]) -> None:
        for each in batch:
            headers = [("penstock-id", each.id.encode())]
            key = each.key.encode() if each.key is not None else None
            self._connector.asked(
                lambda each=each, headers=headers, key=key: self._client.produce(
                    self._name, each.payload, key=key, headers=headers, on_delivery=self._delivered
                ),
                self._name,
            )
        left = self._client.flush(self._connector.operation)
        if self._failed is not None:
            raise self._connector.fail(self._failed, self._name)
        if left:
            raise TimeoutFailure(
                f"{self._connector.where(self._name)}: {left} messages were not confirmed in time."
            )

    def close(self) -> None:
        self._client.purge()

    def _delivered(self, error: Any, message: Any) -> None:
        self._failed = self._failed or error


def _message(one: Any) -> Message:
    kind, stamp = one.timestamp()
    named = dict(one.headers() or []).get("penstock-id")
    key = one.key()
    return Message(
        payload=one.value() or b"",
        id=named.decode() if named else f"{one.topic()}:{one.partition()}:{one.offset()}",
        at=None if kind == kafka.TIMESTAMP_NOT_AVAILABLE else datetime.fromtimestamp(stamp / 1000, UTC),
        key=None if key is None else key.decode("utf-8", "replace"),
    )
