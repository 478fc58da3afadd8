"""The bounds of one exchange: time and bytes hold whatever a server does; nothing leaves its origin."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.connectors.registry import Connectors
from engine.model.errors import ConfigurationError, ResourceExhaustion, TimeoutFailure
from engine.model.workspace import Connection
from engine.ports.source import Selection
from tests.contract.web_service import Answer, WebService, serving


@pytest.fixture
def service() -> Iterator[WebService]:
    with serving(lambda asked: []) as found:
        yield found


def rest(service: WebService, **config: Any) -> Connection:
    return Connection(id="api", type="rest", config={"base_url": service.url, "retries": 0, **config})


def dripping(service: WebService, head: bytes, drop: bytes) -> Any:
    """Bytes one by one, each in time, without an end."""

    def drip(handler: Any) -> None:
        handler.wfile.write(head)
        handler.wfile.flush()
        while not service.ended.wait(0.02):
            handler.wfile.write(drop)
            handler.wfile.flush()

    return lambda asked: Answer(drip=drip)


class TestTime:
    """FAULTS 32: slow loris. Each byte comes in time; the whole does not."""

    @pytest.mark.parametrize(
        ("head", "drop"),
        [
            (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x")[:10],
                b"\x00\x00\x00\xff\xff",
            ),
        ],
        ids=["header", "length", "chunks", "gzip"],
    )
    def test_a_drip_ends_at_the_deadline(self, service: WebService, head: bytes, drop: bytes) -> None:
        service.answer = dripping(service, head, drop)
        with pytest.raises(TimeoutFailure):
            Connectors(Path.cwd()).fetch(rest(service, timeout_seconds=0.5), "x")

    def test_a_read_is_bounded_as_well(self, service: WebService) -> None:
        service.answer = dripping(service, b"HTTP/1.1 200 OK\r\n\r\n", b" ")
        source = Connectors(Path.cwd()).source(rest(service, timeout_seconds=1.5))
        with pytest.raises(TimeoutFailure, match=r"within 1\.5 s"):
            list(source.read(Selection(endpoint="x")))


class TestBytes:
    def test_an_endless_body_is_cut(self, service: WebService) -> None:
        """FAULTS 32."""

        def pour(handler: Any) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in itertools.takewhile(lambda _: not service.ended.is_set(), itertools.count()):
                handler.wfile.write(b"x" * 65_536)

        service.answer = lambda asked: Answer(drip=pour)
        with pytest.raises(ResourceExhaustion, match="more than 1000000 bytes"):
            list(Connectors(Path.cwd()).source(rest(service, max_bytes=1_000_000)).read(Selection(endpoint="x")))

    @pytest.mark.parametrize("layers", [1, 2])
    def test_a_bomb_is_cut_before_it_is_unfolded(self, service: WebService, layers: int) -> None:
        """FAULTS 32: bytes are counted after decompression, and never all made first."""
        import tracemalloc

        bomb, names = b"\0" * 100_000_000, []
        for _ in range(layers):
            bomb = gzip.compress(bomb)
            names.append("gzip")
        service.answer = lambda asked: Answer(200, bomb, {"Content-Encoding": ", ".join(names)})
        tracemalloc.start()
        try:
            with pytest.raises(ResourceExhaustion):
                Connectors(Path.cwd()).fetch(rest(service, max_bytes=1_000_000), "x")
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


class TestOrigins:
    def test_a_post_is_not_handed_on(self, service: WebService) -> None:
        """FAULTS 43: a body goes where it was meant to."""
        with serving(lambda asked: []) as other:
            service.answer = lambda asked: Answer(307, b"", {"Location": f"{other.url}/x"})
            source = Connectors(Path.cwd()).source(rest(service))
            with pytest.raises(ConfigurationError, match="not handed on"):
                list(source.read(Selection(endpoint="x", options={"method": "POST", "body": {"a": 1}})))
            assert other.asked == []

    def test_a_post_is_handed_on_at_home(self, service: WebService) -> None:
        service.answer = lambda asked: (
            [{"got": asked.json()["a"]}] if asked.path == "/y" else Answer(308, b"", {"Location": "/y"})
        )
        source = Connectors(Path.cwd()).source(rest(service))
        (batch,) = source.read(Selection(endpoint="x", options={"method": "POST", "body": {"a": 1}}))
        assert batch.to_pylist() == [{"got": 1}]

    def test_a_key_in_the_query_does_not_travel_to_another_origin(self, service: WebService) -> None:
        """FAULTS 43: credentials dropped across origins."""
        with serving(lambda asked: [{"id": 1}]) as other:
            service.answer = lambda asked: Answer(302, b"", {"Location": f"{other.url}/x"})
            auth = {"type": "api_key", "query": "key", "key": "canary"}
            list(Connectors(Path.cwd()).source(rest(service, auth=auth)).read(Selection(endpoint="x")))
            assert (other.asked[0].query, "canary" in str(other.asked[0].headers)) == ({}, False)

    def test_without_a_base_the_first_address_is_home(self, service: WebService) -> None:
        """FAULTS 43: headers of a connection without base_url do not follow a redirect or a next address."""
        with serving(lambda asked: [{"id": 1}]) as other:
            free = Connection(id="any", type="http", config={"headers": {"X-Key": "canary"}})
            service.answer = lambda asked: Answer(302, b"", {"Location": f"{other.url}/x"})
            Connectors(Path.cwd()).fetch(free, f"{service.url}/x")
            assert service.asked[0].headers["x-key"] == "canary"
            assert "canary" not in str(other.asked[0].headers)
            service.answer = lambda asked: {"data": [{"id": 1}], "next": f"{other.url}/x"}
            with pytest.raises(ConfigurationError, match="credentials are not sent"):
                list(Connectors(Path.cwd()).source(free).read(Selection(endpoint=f"{service.url}/x")))
            assert len(other.asked) == 1

    def test_one_connection_serves_many_pages(self, service: WebService) -> None:
        """Keep-alive: every page would else pay for a handshake."""
        opened: set[int] = set()
        serve = service.serve

        def noting(handler: Any) -> None:
            opened.add(handler.client_address[1])
            serve(handler)

        service.serve = noting  # type: ignore[method-assign]
        service.answer = lambda asked: {
            "data": [{"id": len(service.asked)}],
            "next_cursor": str(len(service.asked)) if len(service.asked) < 5 else None,
        }
        list(Connectors(Path.cwd()).source(rest(service)).read(Selection(endpoint="x")))
        assert (len(service.asked), len(opened)) == (5, 1)
