"""kill -9 of a process that sends to a broker, at any byte of the wire: nothing is lost, and what is there twice is
told by its id.

NATS knows each message and Redis each batch, so nothing is there twice; RabbitMQ and Kafka know none. The Kafka
cluster lives in the process of the test, the others are servers: all of them outlive whoever is killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.brokers import KINDS, Broker, broker
from tests.contract.send_kill import LIBRARY, SEED, WIRE, Kill, Lives, Sink, kills, named, opened_lives, prove

PORTS = {"rabbitmq": 5672, "redis": 6379, "nats": 4222, "kafka": 0}
SMALL = {"batch.num.messages": 7, "linger.ms": 0}  # so that a batch is many requests, and a kill falls between them
TIMES, OFTEN = 5, 50


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    with opened_lives() as found:
        yield found


def sink(queue: Broker) -> Sink:
    def config(port: int) -> dict[str, object]:
        at = {
            "nats": {"url": f"nats://127.0.0.1:{port}"},
            "kafka": {"settings": SMALL},
        }.get(queue.kind, {"port": port})
        return {**queue.connection().config, **at}

    return Sink(
        type=queue.kind,
        target=queue.name,
        config=config,
        port=PORTS[queue.kind],
        look=lambda: [(identity, json.loads(payload)) for identity, payload in queue.look()],
        once=queue.kind in ("redis", "nats"),
        whole=queue.kind == "redis",
        drop=None if queue.kind == "kafka" else queue.drop,
    )


def points(seed: int, count: int) -> list[tuple[str, Kill]]:
    return [
        (kind, kill)
        for kind in KINDS
        for kill in kills(f"{kind} {seed}", count, LIBRARY if kind == "kafka" else WIRE)
    ]


def name(seed: int) -> object:
    words = named(seed)
    return lambda given: given if isinstance(given, str) else words(given)


@pytest.mark.parametrize(("kind", "kill"), points(SEED, TIMES), ids=name(SEED))
def test_a_killed_sender_loses_nothing(lives: Lives, tmp_path: Path, kind: str, kill: Kill) -> None:
    """FAULTS 2: A and B; TXN-06: what is done again finds what was done."""
    with broker(kind) as queue:
        prove(lives, sink(queue), kill, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "kill"), points(SEED + 1, OFTEN), ids=name(SEED + 1))
def test_a_killed_sender_fifty_times(lives: Lives, tmp_path: Path, kind: str, kill: Kill) -> None:
    with broker(kind) as queue:
        prove(lives, sink(queue), kill, tmp_path)
