"""Topics of the mock cluster inside librdkafka: real connections on loopback, to a broker in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka as kafka
import pytest

from tests.contract.queue_rig import QueueRig

SECONDS = 20


@contextmanager
def open_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KafkaRig]:
    home = kafka.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = home.list_topics(timeout=SECONDS).brokers.values()
    address = ",".join(f"{each.host}:{each.port}" for each in brokers)
    settings = {"partitioner": "consistent"}  # without a key, all into one partition: their order is then known
    rig = KafkaRig("kafka", {"bootstrap_servers": address, "settings": settings}, tmp_path)
    rig.settings = {"bootstrap.servers": address, "log_level": 0}
    try:
        yield rig
    finally:
        rig.close()
        home.flush(1)  # the cluster goes with it


class KafkaRig(QueueRig):
    """Seeds go into one partition, so that they are read in order."""

    strict = False  # the mock makes every topic that is asked for
    roomy = False  # and keeps 5 MB of each partition
    settings: dict[str, Any]

    def put(self, name: str, payloads: Sequence[bytes]) -> None:
        producer = kafka.Producer(self.settings)
        for each in payloads:
            producer.produce(name, each, partition=0)
        assert producer.flush(SECONDS) == 0

    def first(self, name: str) -> bytes | None:
        reader = self._reader()
        try:
            if not reader.list_topics(name, timeout=SECONDS).topics[name].partitions:
                return None
            low, high = reader.get_watermark_offsets(kafka.TopicPartition(name, 0), timeout=SECONDS)
            if low == high:
                return None
            reader.assign([kafka.TopicPartition(name, 0, low)])
            found = reader.poll(SECONDS)
            assert found is not None and found.error() is None
            payload: bytes | None = found.value()
            return payload
        finally:
            reader.close()

    def count(self, name: str) -> int:
        reader = self._reader()
        try:
            parts = reader.list_topics(name, timeout=SECONDS).topics[name].partitions
            ends = [
                reader.get_watermark_offsets(kafka.TopicPartition(name, each), timeout=SECONDS) for each in parts
            ]
            return sum(high - low for low, high in ends)
        finally:
            reader.close()

    def _reader(self) -> Any:
        return kafka.Consumer({**self.settings, "group.id": "of-the-test", "enable.auto.commit": False})
