"""`extract` on web services and queues: what a second attempt asks for, and when messages are confirmed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.connectors.registry import Connectors
from engine.dataflow.staging import StagedDataset
from engine.model.errors import ConfigurationError
from engine.model.workspace import Connection
from engine.tasks.extract import ExtractTask
from tests.contract.brokers import KINDS, Broker, broker
from tests.contract.web_service import Answer, Asked, WebService, serving

ROWS = [{"id": n, "name": f"name {n}"} for n in range(25)]


class Checkpoint:
    """Survives its attempt, as JSON."""

    def __init__(self) -> None:
        self._kept = "null"

    def load(self) -> Any:
        return json.loads(self._kept)

    def save(self, value: Any) -> None:
        self._kept = json.dumps(value)


class Attempt:
    """What an extract sees of the attempt it runs in."""

    watermarks: tuple[Any, ...] = ()
    map_index, item = None, None
    task_id, pipeline_id, profile, load_token = "extract", "p", None, "run1/extract/-/0"

    def __init__(
        self, root: Path, number: int, connection: Connection, config: dict[str, Any], checkpoint: Checkpoint
    ) -> None:
        self.config = {"connection": connection.id, **config}
        self.staging, self.staging_folder = root, root / f"attempt-{number}"
        self.checkpoint = checkpoint
        self.touched: list[Any] = []
        self._connection = connection

    def connection(self, name: str) -> Connection:
        return self._connection

    def progress(self, done: int, total: int | None = None) -> None:
        pass

    def metric(self, name: str, value: Any) -> None:
        pass

    def touch(self, touch: Any) -> None:
        self.touched.append(touch)


def extract(attempt: Attempt) -> list[dict[str, Any]]:
    outcome = ExtractTask(Connectors(Path.cwd()).source).run(attempt)  # type: ignore[arg-type]
    assert outcome.outputs is not None
    dataset = StagedDataset(outcome.outputs["dataset"], attempt.staging)
    return [row for batch in dataset for row in batch.to_pylist()]


@pytest.fixture
def service() -> Iterator[WebService]:
    with serving(lambda asked: []) as found:
        yield found


def test_another_attempt_asks_for_the_page_that_failed_and_no_other(service: WebService, tmp_path: Path) -> None:
    """SRC-11: retry failed requests without refetching successful pages."""

    def answer(asked: Asked) -> Any:
        at = int(asked.query.get("cursor", 0))
        if at == 20 and broken:
            return Answer(403)
        return {"data": ROWS[at : at + 10], "next_cursor": str(at + 10) if at < 20 else None}

    broken, checkpoint = True, Checkpoint()
    service.answer = answer
    api = Connection(id="api", type="rest", config={"base_url": service.url})
    with pytest.raises(Exception, match="answered 403"):
        extract(Attempt(tmp_path, 1, api, {"endpoint": "/rows"}, checkpoint))
    broken = False
    service.asked.clear()
    second = Attempt(tmp_path, 2, api, {"endpoint": "/rows"}, checkpoint)
    assert extract(second) == ROWS
    assert [each.query for each in service.asked] == [{"cursor": "20"}]
    (touch,) = second.touched
    assert (touch.dataset, touch.uri, touch.rows) == ("api:/rows", f"{service.url}/rows", 25)


@pytest.fixture(params=KINDS)
def queue(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with broker(request.param) as found:
        yield found


def test_messages_are_confirmed_when_the_dataset_is_committed(queue: Broker, tmp_path: Path) -> None:
    queue.put([json.dumps(row).encode() for row in ROWS])
    config = {"path": queue.name, "max_messages": 25, "max_seconds": 20}
    found = extract(Attempt(tmp_path, 1, queue.connection(), config, Checkpoint()))
    assert {row["id"] for row in found} == set(range(25))
    again = extract(Attempt(tmp_path / "again", 1, queue.connection(), {**config, "max_seconds": 1}, Checkpoint()))
    assert again == []


def test_an_attempt_that_was_lost_after_its_commit_reads_nothing_again(queue: Broker, tmp_path: Path) -> None:
    """Staged and committed, and lost before it could say so: the rows stand, whatever comes again."""
    queue.put([json.dumps(row).encode() for row in ROWS])
    config = {"path": queue.name, "max_messages": 25, "max_seconds": 20}
    checkpoint = Checkpoint()
    first = extract(Attempt(tmp_path, 1, queue.connection(), config, checkpoint))
    assert extract(Attempt(tmp_path, 2, queue.connection(), config, checkpoint)) == first


def test_a_queue_that_is_misnamed_is_told(tmp_path: Path) -> None:
    with broker("redis") as queue, pytest.raises(ConfigurationError, match="stream 'gone"):
        extract(Attempt(tmp_path, 1, queue.connection(), {"path": "gone_stream"}, Checkpoint()))
