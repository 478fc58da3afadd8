"""Sending rows to a web service, and asking one by GraphQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.connectors.registry import Connectors
from engine.dataflow.kinds import field
from engine.dataflow.streams import Batches
from engine.model.dataset import DataKind
from engine.model.errors import (
    ConfigurationError,
    DataQualityError,
    NetworkError,
    PermissionFailure,
    RateLimited,
)
from engine.model.workspace import Connection
from engine.ports.destination import Destination, Mode, Order
from engine.ports.source import Selection
from tests.contract.web_service import Answer, Asked, WebService, serving


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TIME_SCALE", "0.001")


@pytest.fixture
def service() -> Iterator[WebService]:
    with serving(lambda asked: {}) as found:
        yield found


def destination(service: WebService, **config: Any) -> Destination:
    connection = Connection(id="api", type="rest", config={"base_url": service.url, **config})
    return Connectors(Path.cwd()).destination(connection)


def numbers(count: int, size: int = 70) -> Batches:
    table = pa.table({"id": list(range(count))})
    return Batches(table.schema, table.to_batches(max_chunksize=size))


def keys(service: WebService) -> list[str]:
    return [each.headers["idempotency-key"] for each in service.asked]


class TestSending:
    """DST-09: POST and PUT with batching."""

    def test_rows_go_in_batches_each_with_its_key(self, service: WebService) -> None:
        progress: list[int] = []
        loaded = destination(service).load(
            numbers(250), Order(token="r/t/1", target="/rows", progress=progress.append)
        )
        assert loaded.rows == 250
        assert loaded.uri == f"{service.url}/rows"
        assert [len(each.json()) for each in service.asked] == [100, 100, 50]
        assert [row["id"] for each in service.asked for row in each.json()] == list(range(250))
        assert len(set(keys(service))) == 3
        assert progress == [100, 200, 250]

    def test_another_attempt_sends_the_same_keys_and_changed_rows_another(self, service: WebService) -> None:
        """At least once, with a key: what changed is not taken for what was sent."""
        order = Order(token="r/t/1", target="/rows")
        destination(service).load(numbers(150, size=70), order)
        destination(service).load(numbers(150, size=20), order)
        destination(service).load(numbers(149), order)
        sent = keys(service)
        assert sent[0] == sent[2] == sent[4]
        assert sent[1] == sent[3] != sent[5]

    def test_a_retry_inside_an_attempt_repeats_the_key(self, service: WebService) -> None:
        answers = iter([Answer(503), Answer(429), Answer(201)])
        service.answer = lambda asked: next(answers)
        destination(service).load(numbers(3), Order(token="t", target="/rows"))
        assert len(set(keys(service))) == 1
        assert len(service.asked) == 3

    def test_values_keep_their_digits_and_kinds(self, service: WebService) -> None:
        schema = pa.schema([
            field("price", DataKind.DECIMAL, type=pa.decimal128(30, 2)),
            field("tags", DataKind.JSON),
            field("ratio", DataKind.FLOAT),
            field("raw", DataKind.BINARY),
        ])  # fmt: skip
        row = {
            "price": Decimal("12345678901234567890.10"),
            "tags": '{"a":[1]}',
            "ratio": float("nan"),
            "raw": b"\0",
        }
        batch = pa.RecordBatch.from_pylist([row], schema=schema)
        destination(service).load(Batches(schema, [batch]), Order(token="t", target="/rows"))
        assert service.asked[0].body == (
            b'[{"price":12345678901234567890.10,"tags":{"a":[1]},"ratio":null,"raw":"AA=="}]'
        )

    def test_one_row_each_goes_to_its_own_address(self, service: WebService) -> None:
        """FAULTS 39: a value is one step of the path, whatever is in it."""
        table = pa.table({"id": ["a", "../b?x=1"]})
        order = Order(token="t", target="/rows/{id}", options={"method": "PUT"})
        destination(service).load(Batches(table.schema, table.to_batches()), order)
        assert [(each.method, each.path) for each in service.asked] == [
            ("PUT", "/rows/a"),
            ("PUT", "/rows/..%2Fb%3Fx%3D1"),
        ]
        assert service.asked[0].json() == {"id": "a"}

    def test_a_failure_in_the_middle_says_what_is_there(self, service: WebService) -> None:
        service.answer = lambda asked: Answer(200 if len(service.asked) < 3 else 422)
        with pytest.raises(DataQualityError, match=r"refuses the rows \(422\).*200 rows were accepted before"):
            destination(service).load(numbers(250), Order(token="t", target="/rows"))

    def test_a_dead_service_is_a_network_error(self, service: WebService) -> None:
        service.answer = lambda asked: Answer(503)
        with pytest.raises(NetworkError):
            destination(service, retries=1).load(numbers(1), Order(token="t", target="/rows"))
        assert len(service.asked) == 2

    def test_only_append_and_no_way_back(self, service: WebService) -> None:
        target = destination(service)
        with pytest.raises(ConfigurationError, match="takes `mode: append`"):
            target.load(numbers(1), Order(token="t", target="/rows", mode=Mode.REPLACE))
        with pytest.raises(ConfigurationError, match="cannot be taken back"):
            target.undo({}, Order(token="t", target="/rows"))
        assert service.asked == []

    def test_what_is_staged_is_sent_when_published(self, service: WebService, tmp_path: Path) -> None:
        order = Order(token="t", target="/rows", options={"scratch": str(tmp_path)})
        staged = json.loads(json.dumps(destination(service).stage(numbers(250), order)))
        assert service.asked == []
        assert destination(service).publish(staged, order).rows == 250
        assert len(service.asked) == 3
        destination(service).discard(staged)
        destination(service).discard(staged)
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(ConfigurationError, match="are gone"):
            destination(service).publish(staged, order)


QUERY = (
    "query($after: String, $owner: String) { issues(owner: $owner, after: $after) { nodes { id } pageInfo { x } } }"
)


def issues(asked: Asked) -> Any:
    at = int(asked.json()["variables"].get("after") or 0)
    info = {"hasNextPage": at < 20, "endCursor": str(at + 10)}
    return {"data": {"repo": {"issues": {"nodes": [{"id": n} for n in range(at, at + 10)], "pageInfo": info}}}}


def ask(service: WebService, query: str = QUERY, **options: Any) -> list[Any]:
    connection = Connection(id="gql", type="graphql", config={"base_url": f"{service.url}/graphql"})
    selection = Selection(query=query, parameters={"owner": "canary"}, options=options)
    return [row for batch in Connectors(Path.cwd()).source(connection).read(selection) for row in batch.to_pylist()]


class TestGraphql:
    """SRC-14: GraphQL as a source, walked by cursors."""

    def test_pages_are_walked_by_their_end_cursor(self, service: WebService) -> None:
        service.answer = issues
        assert [row["id"] for row in ask(service)] == list(range(30))
        sent = [each.json()["variables"] for each in service.asked]
        assert sent == [{"owner": "canary"}, {"owner": "canary", "after": "10"}, {"owner": "canary", "after": "20"}]
        assert {each.path for each in service.asked} == {"/graphql"}

    def test_edges_are_unwrapped(self, service: WebService) -> None:
        edges = [{"node": {"id": 1}, "cursor": "x"}]
        service.answer = lambda asked: {"data": {"users": {"edges": edges, "pageInfo": {"hasNextPage": False}}}}
        assert ask(service, data_path="users.edges") == ask(service) == [{"id": 1}]

    def test_more_pages_without_a_variable_are_an_error(self, service: WebService) -> None:
        service.answer = issues
        with pytest.raises(ConfigurationError, match="declare \\$after: String"):
            ask(service, query="{ issues { nodes { id } pageInfo { hasNextPage } } }")

    @pytest.mark.parametrize(
        ("error", "data", "kind"),
        [
            ({"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}, None, PermissionFailure),
            ({"message": "slow", "type": "RATE_LIMITED"}, None, RateLimited),
            ({"message": "oops", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}, None, NetworkError),
            ({"message": "Cannot query field x"}, None, ConfigurationError),
            ({"message": "half", "path": ["repo", 0]}, {"repo": []}, DataQualityError),
        ],
    )
    def test_errors_are_failures_of_their_kind(
        self, service: WebService, error: dict[str, Any], data: Any, kind: type[Exception]
    ) -> None:
        service.answer = lambda asked: {"data": data, "errors": [error]}
        with pytest.raises(kind, match=f"query answered with errors: {error['message']}"):
            ask(service)

    def test_an_error_does_not_repeat_what_was_sent(self, service: WebService) -> None:
        """FAULTS 42."""
        service.answer = lambda asked: Answer(400, {"errors": [{"message": 'Variable "$owner" got "canary"'}]})
        with pytest.raises(ConfigurationError) as caught:
            ask(service)
        assert "canary" not in str(caught.value)

    def test_a_graphql_connection_is_no_target(self, service: WebService) -> None:
        connection = Connection(id="gql", type="graphql", config={"base_url": service.url})
        with pytest.raises(ConfigurationError, match="cannot be written to"):
            Connectors(Path.cwd()).destination(connection)

    def test_a_rest_connection_asks_below_graphql(self, service: WebService) -> None:
        service.answer = issues
        connection = Connection(id="api", type="rest", config={"base_url": service.url})
        opened = Connectors(Path.cwd()).source(connection).read(Selection(query=QUERY))
        assert sum(batch.num_rows for batch in opened) == 30
        assert service.asked[0].path == "/graphql"
