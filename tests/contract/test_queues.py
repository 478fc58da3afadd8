"""Queues on real brokers: bounded reads that lose nothing, confirmed writes, and the kind of each failure."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest

from engine.connectors.registry import Connectors
from engine.dataflow.streams import Batches
from engine.model.errors import ConfigurationError, DataQualityError, NetworkError, TaskFailure
from engine.model.workspace import Connection
from engine.ports.destination import Mode, Order
from engine.ports.source import Reading, Selection, Window
from tests.contract.brokers import KINDS, REDELIVER, Broker, broker, fresh_name

ROOT = Path(__file__).resolve().parents[2]

PATIENCE = 60  # seconds: a deadline for a loaded machine, not a measurement
SOON = 1.5


@pytest.fixture(params=KINDS)
def queue(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with broker(request.param) as found:
        yield found


def _but(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("queue", [each for each in KINDS if each not in kinds], indirect=True)


def opened(queue: Broker, **options: Any) -> Reading:
    """A read that ends with its number of messages however long they take, or else soon."""
    source = Connectors(Path.cwd()).source(queue.connection())
    seconds = PATIENCE if "max_messages" in options else SOON
    return source.read(Selection(path=queue.name, options={"max_seconds": seconds, **options}))


def rows(reading: Reading) -> list[dict[str, Any]]:
    return [row for batch in reading for row in batch.to_pylist()]


def taken(queue: Broker, **options: Any) -> list[dict[str, Any]]:
    """Read and confirmed."""
    with closing(opened(queue, **options)) as reading:
        found = rows(reading)
        reading.acknowledge()
    return found


def objects(count: int) -> list[bytes]:
    return [json.dumps({"id": n, "name": f"näme {n}", "tags": [n]}).encode() for n in range(count)]


def numbers(count: int) -> Batches:
    table = pa.table({"id": list(range(count)), "who": [f"k{n % 3}" for n in range(count)]})
    return Batches(table.schema, table.to_batches(max_chunksize=40))


def load(queue: Broker, count: int, token: str = "r/t/1", **options: Any) -> Any:
    target = Connectors(Path.cwd()).destination(queue.connection())
    with closing(target):
        return target.load(numbers(count), Order(token=token, target=queue.name, options=options))


class TestReading:
    def test_objects_become_columns_and_messages_are_named(self, queue: Broker) -> None:
        queue.put(objects(7))
        found = sorted(taken(queue, max_messages=7), key=lambda row: row["id"])
        assert [row["id"] for row in found] == list(range(7))
        assert (found[3]["name"], found[3]["tags"], found[3]["_id"]) == ("näme 3", "[3]", "m3")
        if queue.kind != "rabbitmq":  # messages of RabbitMQ have a time where their sender gives one
            assert abs(datetime.now(UTC) - found[3]["_at"]) < timedelta(minutes=10)

    def test_what_was_confirmed_does_not_come_again(self, queue: Broker) -> None:
        queue.redeliver_soon()
        queue.put(objects(5))
        assert len(taken(queue, max_messages=5)) == 5
        assert taken(queue, max_seconds=REDELIVER * 1.5) == []

    def test_what_was_not_confirmed_comes_back(self, queue: Broker) -> None:
        """A read whose load failed: everything is there for the next one."""
        queue.put(objects(5))
        with closing(opened(queue, max_messages=5)) as reading:
            assert len(rows(reading)) == 5
        assert {row["id"] for row in taken(queue, max_messages=5)} == set(range(5))

    def test_a_killed_reader_loses_nothing(self, queue: Broker) -> None:
        """FAULTS 2: kill -9 after reading, before the load is confirmed."""
        queue.redeliver_soon()
        queue.put(objects(20))
        reader = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.queue_reader", queue.kind, queue.name,
             json.dumps(dict(queue.connection().config))],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert reader.stdout is not None
            assert reader.stdout.readline().strip() == "20"
        finally:
            os.kill(reader.pid, signal.SIGKILL)
            reader.communicate()
        assert {row["id"] for row in taken_until(queue, 20)} == set(range(20))

    def test_a_read_ends_at_its_number_of_messages(self, queue: Broker) -> None:
        queue.put(objects(30))
        first = taken(queue, max_messages=10)
        rest = taken(queue, max_messages=20)
        assert (len(first), len(rest)) == (10, 20)
        assert {row["id"] for row in first + rest} == set(range(30))

    def test_an_empty_queue_ends_at_its_time(self, queue: Broker) -> None:
        reading = opened(queue, max_seconds=0.3)
        with closing(reading):
            assert rows(reading) == []
            assert {"_id", "_at", "_key"} <= set(reading.schema.names)
            reading.acknowledge()

    @_but("kafka")  # a group of Kafka is read by one at a time
    def test_a_living_reader_keeps_what_it_holds(self, queue: Broker) -> None:
        """A load that takes longer than redeliver_seconds: nobody else gets the messages meanwhile."""
        queue.redeliver_soon()
        queue.put(objects(5))
        with closing(opened(queue, max_messages=5)) as reading:
            assert len(rows(reading)) == 5
            for _ in range(2):  # what was silent for long is claimed when a read begins
                assert taken(queue, max_seconds=REDELIVER * 1.2) == []
            reading.acknowledge()
        assert taken(queue, max_seconds=0.5) == []

    def test_texts_and_bytes_are_one_column(self, queue: Broker) -> None:
        queue.put([b"one", b"[2]"])
        assert {row["value"] for row in taken(queue, max_messages=2)} == {"one", "[2]"}
        queue.put([b"\xff\0", b"x"])
        if queue.kind != "nats":  # the same ids within its window of duplicates
            assert {row["value"] for row in taken(queue, max_messages=2)} == {b"\xff\0", b"x"}

    @_but("kafka")  # the order over its partitions is open: the poison may come among the first
    def test_a_message_that_is_no_object_among_objects_is_told(self, queue: Broker) -> None:
        """FAULTS 29: a poison message; the remedy takes it."""
        queue.put([b'{"id": %d}' % n for n in range(1200)])
        queue.put([b"poison"] if queue.kind != "nats" else [*[b"{}"] * 1200, b"poison"])  # by new ids only
        bounds = {"max_messages": 1201}
        refused = pytest.raises(DataQualityError, match=r"is no JSON object.*types: \{value: string\}")
        with closing(opened(queue, **bounds)) as reading, refused:
            rows(reading)
        again = taken(queue, **bounds, types={"value": "string"})
        assert len(again) == 1201
        assert "poison" in {row["value"] for row in again}

    def test_a_payloads_own_id_is_kept(self, queue: Broker) -> None:
        queue.put([b'{"_id": "mine"}'])
        (row,) = taken(queue, max_messages=1)
        assert (row["_id"], row["_id_"]) == ("m0", "mine")

    def test_incremental_is_refused(self, queue: Broker) -> None:
        source = Connectors(Path.cwd()).source(queue.connection())
        with pytest.raises(ConfigurationError, match="leave `incremental` out"):
            source.read(Selection(path=queue.name, window=Window()))

    def test_columns_of_a_look_go_back(self, queue: Broker) -> None:
        queue.put(objects(3))
        source = Connectors(Path.cwd()).source(queue.connection())
        look = Selection(path=queue.name, options={"max_seconds": PATIENCE, "max_messages": 3})
        assert {"id", "name", "tags", "_id"} <= set(source.schema_of(look).names)
        assert len(taken(queue, max_messages=3)) == 3


def taken_until(queue: Broker, count: int) -> list[dict[str, Any]]:
    """Brokers give a dead reader's messages back after a while: as often as it takes."""
    found: list[dict[str, Any]] = []
    while len({row["id"] for row in found}) < count:
        found += taken(queue, max_messages=count, max_seconds=SOON)
    return found


class TestSending:
    def test_rows_arrive_as_objects_each_with_its_id(self, queue: Broker) -> None:
        loaded = load(queue, 1200, key_column="who")
        assert loaded.rows == 1200
        assert "guest" not in loaded.uri
        found = taken(queue, max_messages=1200)
        assert sorted(row["id"] for row in found) == list(range(1200))
        assert len({row["_id"] for row in found}) == 1200
        assert {row["_key"] for row in found} == {"k0", "k1", "k2"}

    def test_another_attempt_sends_the_same_ids(self, queue: Broker) -> None:
        """At least once: NATS and Redis leave known ones out, the others' duplicates have the same `_id`."""
        load(queue, 90)
        load(queue, 90)
        doubled = queue.kind in ("rabbitmq", "kafka")
        found = taken(queue, max_messages=180 if doubled else 90)
        assert len(found) == (180 if doubled else 90)
        assert taken(queue) == []
        assert len({row["_id"] for row in found}) == 90
        assert {row["id"] for row in found} == set(range(90))

    def test_another_load_is_another(self, queue: Broker) -> None:
        load(queue, 10, token="one")
        load(queue, 10, token="two")
        assert len(taken(queue, max_messages=20)) == 20

    def test_only_append(self, queue: Broker) -> None:
        target = Connectors(Path.cwd()).destination(queue.connection())
        with pytest.raises(ConfigurationError, match="takes `mode: append`"):
            target.load(numbers(1), Order(token="t", target=queue.name, mode=Mode.UPSERT, keys=("id",)))

    def test_a_missing_key_column_is_named(self, queue: Broker) -> None:
        with pytest.raises(ConfigurationError, match="no `key_column: nobody`"):
            load(queue, 1, key_column="nobody")

    def test_staged_rows_are_sent_when_published(self, queue: Broker, tmp_path: Path) -> None:
        target = Connectors(Path.cwd()).destination(queue.connection())
        order = Order(token="t", target=queue.name, options={"scratch": str(tmp_path)})
        staged = target.stage(numbers(5), order)
        assert taken(queue, max_seconds=0.3) == []
        assert target.publish(staged, order).rows == 5
        target.discard(staged)
        assert len(taken(queue, max_messages=5)) == 5


class TestFailures:
    def test_nobody_there_is_a_network_error_without_the_password(self, queue: Broker) -> None:
        """FAULTS 42."""
        if queue.kind == "kafka":
            gone = queue.connection(bootstrap_servers="127.0.0.1:1", timeout_seconds=1)
        elif queue.kind == "nats":
            gone = queue.connection(url="nats://127.0.0.1:1", user="u", password="canary")
        else:
            gone = queue.connection(port=1, user="u", password="canary")
        for work in (
            lambda: Connectors(Path.cwd()).test(gone),
            lambda: rows(Connectors(Path.cwd()).source(gone).read(Selection(path="x"))),
            lambda: Connectors(Path.cwd()).destination(gone).load(numbers(1), Order(token="t", target="x")),
        ):
            with pytest.raises(TaskFailure, match="Connection 'broker'") as caught:
                work()
            assert caught.value.kind.value in ("NetworkError", "TimeoutError")
            assert "canary" not in str(caught.value)

    @_but("kafka")  # its mock makes every topic that is asked for
    def test_a_missing_queue_is_the_configurations_fault(self, queue: Broker) -> None:
        source = Connectors(Path.cwd()).source(queue.connection())
        with pytest.raises(ConfigurationError, match="has no such"):
            rows(source.read(Selection(path=fresh_name(), options={"max_seconds": 1})))

    def test_a_test_says_who_answered_and_queues_are_listed(self, queue: Broker) -> None:
        connectors = Connectors(Path.cwd())
        assert " answers at " in connectors.test(queue.connection())
        if queue.kind != "rabbitmq":  # listing queues is not part of its protocol
            assert queue.name in connectors.source(queue.connection()).discover("penstock_test_*")

    @_but("kafka")  # its clients go to the addresses that the broker names, past any proxy
    def test_a_broker_that_goes_away_in_the_middle_is_a_network_error(self, queue: Broker) -> None:
        """FAULTS 12: the connection is cut between two messages."""
        queue.redeliver_soon()
        queue.put(objects(5))
        with Proxy({"rabbitmq": 5672, "redis": 6379, "nats": 4222}[queue.kind]) as proxy:
            config = {"url": f"nats://127.0.0.1:{proxy.port}"} if queue.kind == "nats" else {"port": proxy.port}
            source = Connectors(Path.cwd()).source(queue.connection(**config))
            options = {"max_messages": 50, "max_seconds": PATIENCE}
            with closing(source.read(Selection(path=queue.name, options=options))) as reading:
                assert reading.schema is not None
                proxy.cut()
                with pytest.raises(NetworkError, match="broke"):
                    rows(reading)
        assert {row["id"] for row in taken_until(queue, 5)} == set(range(5))

    @_but("redis", "nats", "kafka")  # these servers ask for no login here
    def test_a_refused_login_is_no_secret(self, queue: Broker) -> None:
        with pytest.raises(TaskFailure) as caught:
            Connectors(Path.cwd()).test(queue.connection(user="guest", password="canary"))
        assert caught.value.kind.value == "PermissionError"
        assert "canary" not in str(caught.value)


class Proxy:
    """Passes bytes both ways until it is cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Proxy:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        for end in (self._server, *self._ends):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def _start(self, work: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            self._ends += [near, far]
            self._start(self._pass, near, far)
            self._start(self._pass, far, near)

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        try:
            while data := near.recv(65_536):
                far.sendall(data)
        except OSError:
            pass


def test_a_connection_says_which_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats", None)
    for name in [each for each in sys.modules if each.startswith("engine.connectors.queues.nats")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigurationError, match=r"pip install 'penstock\[nats\]'"):
        Connectors(Path.cwd()).source(Connection(id="n", type="nats"))


def test_a_broker_is_found_by_host_and_port_and_a_login_by_either_name(queue: Broker) -> None:
    """As every other connection says it; `url` and `servers` say it in one."""
    told = queue.connection().config
    whole = told.get("bootstrap_servers") or f"{told.get('host')}:{told.get('port') or ''}"
    parts = urlsplit(str(told.get("url") or f"//{whole}"))
    given = {
        "host": parts.hostname,
        "port": parts.port,
        "username": told.get("user"),
        "password": told.get("password"),
    }
    config = {key: value for key, value in given.items() if value is not None}
    with closing(Connectors(Path.cwd()).open(replace(queue.connection(), config=config))) as opened:
        assert f"//{parts.hostname}:{parts.port or ''}" in opened.test()
