"""Connectors against real databases and a real HTTP server: answers, bounds, and the kind of each failure."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from engine.connectors.registry import Connectors
from engine.model.errors import (
    ConfigurationError,
    NetworkError,
    NotInThisVersion,
    PermissionFailure,
    ResourceExhaustion,
    TimeoutFailure,
)
from engine.model.workspace import Connection

SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
PATIENCE = 60  # a deadline for a loaded machine, not a measurement


def impatient(connection: Connection, seconds: float = 0.2) -> Connection:
    """The same, for what does not end however long one waits."""
    return replace(connection, config={**connection.config, "timeout_seconds": seconds})


@pytest.fixture
def connectors(tmp_path: Path) -> Connectors:
    return Connectors(tmp_path)


class TestSqlite:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Connection:
        link = sqlite3.connect(tmp_path / "my shop#1.db")
        link.executescript("CREATE TABLE orders (id INTEGER, note TEXT); INSERT INTO orders VALUES (1, 'it''s')")
        link.close()
        return Connection(id="shop", type="sqlite", config={"path": "my shop#1.db", "timeout_seconds": PATIENCE})

    def test_the_first_cell_is_given_and_values_are_bound(self, connectors: Connectors, shop: Connection) -> None:
        """SEC-02: SQL values are parameterised (FAULTS 38)."""
        query = "SELECT id FROM orders WHERE note = :note"
        assert connectors.scalar(shop, query, {"note": "it's"}) == 1
        assert connectors.scalar(shop, query, {"note": "' OR 1=1 --"}) is None

    def test_a_look_cannot_write(self, connectors: Connectors, shop: Connection) -> None:
        with pytest.raises(PermissionFailure, match="readonly"):
            connectors.scalar(shop, "DELETE FROM orders RETURNING id", {})
        assert connectors.scalar(shop, "SELECT count(*) FROM orders", {}) == 1

    def test_an_endless_query_is_stopped(self, connectors: Connectors, shop: Connection) -> None:
        with pytest.raises(TimeoutFailure):
            connectors.scalar(impatient(shop), SLOW, {})

    def test_a_missing_file_is_named_and_not_made(self, connectors: Connectors, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"there is no file .*gone\.db"):
            connectors.test(Connection(id="x", type="sqlite", config={"path": "gone.db"}))
        assert not (tmp_path / "gone.db").exists()

    @pytest.mark.parametrize("query", ["SELECT * FROM nowhere", "SELEKT 1"])
    def test_a_wrong_statement_is_the_definitions_fault(
        self, connectors: Connectors, shop: Connection, query: str
    ) -> None:
        with pytest.raises(ConfigurationError, match="Connection 'shop': "):
            connectors.scalar(shop, query, {})

    def test_a_locked_database_is_worth_another_try(
        self, connectors: Connectors, shop: Connection, tmp_path: Path
    ) -> None:
        other = sqlite3.connect(tmp_path / "my shop#1.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            with pytest.raises(ResourceExhaustion, match="locked"):
                connectors.scalar(impatient(shop), "SELECT 1 FROM orders", {})
        finally:
            other.close()

    def test_a_test_says_who_answered(self, connectors: Connectors, shop: Connection) -> None:
        assert connectors.test(shop).endswith("my shop#1.db: 1 table(s).")


class TestPostgres:
    @pytest.fixture
    def warehouse(self, postgres_url: str) -> Connection:
        with psycopg.connect(postgres_url) as link:
            link.execute("CREATE TABLE loads AS SELECT 7 AS rows")
        parts = urlsplit(postgres_url)
        config = {"host": parts.hostname, "port": parts.port or 5432, "user": parts.username}
        config |= {"password": parts.password or "canary-password", "database": parts.path[1:]}
        return Connection(id="warehouse", type="postgresql", config={**config, "timeout_seconds": PATIENCE})

    def test_the_first_cell_is_given(self, connectors: Connectors, warehouse: Connection) -> None:
        assert connectors.scalar(warehouse, "SELECT rows FROM loads WHERE rows > :least", {"least": 5}) == 7

    def test_a_url_serves_as_well(self, connectors: Connectors, postgres_url: str) -> None:
        connection = Connection(id="w", type="postgresql", config={"url": postgres_url})
        assert connectors.test(connection).startswith("PostgreSQL ")

    def test_a_look_cannot_write(self, connectors: Connectors, warehouse: Connection) -> None:
        with pytest.raises(ConfigurationError, match="read-only transaction"):
            connectors.scalar(warehouse, "DELETE FROM loads RETURNING rows", {})

    def test_a_long_statement_is_stopped(self, connectors: Connectors, warehouse: Connection) -> None:
        with pytest.raises(TimeoutFailure, match="statement timeout"):
            connectors.scalar(impatient(warehouse, 2.0), "SELECT pg_sleep(300)", {})

    def test_a_wrong_statement_is_the_definitions_fault(
        self, connectors: Connectors, warehouse: Connection
    ) -> None:
        with pytest.raises(ConfigurationError, match="nowhere"):
            connectors.scalar(warehouse, "SELECT * FROM nowhere", {})

    def test_nobody_there_is_a_network_error_without_the_password(
        self, connectors: Connectors, warehouse: Connection
    ) -> None:
        """FAULTS 42: no secret in an error."""
        gone = Connection(id="gone", type="postgresql", config={**warehouse.config, "port": 1})
        with pytest.raises(NetworkError) as caught:
            connectors.test(gone)
        assert "canary-password" not in str(caught.value)

    def test_a_missing_database_is_the_configurations_fault(
        self, connectors: Connectors, warehouse: Connection
    ) -> None:
        gone = Connection(id="gone", type="postgresql", config={**warehouse.config, "database": "no_such_db"})
        with pytest.raises(ConfigurationError, match="does not exist"):
            connectors.test(gone)


class TestHttp:
    @pytest.fixture
    def other(self) -> Iterator[HTTPServer]:
        """Another origin: the same host on another port."""
        with HTTPServer() as server:
            yield server

    def rest(self, server: HTTPServer, **config: object) -> Connection:
        headers = {"X-Api-Key": "canary-key"}
        auth = {"type": "bearer", "token": "canary-token"}
        config = {"base_url": server.url_for("/v1"), "headers": headers, "auth": auth, **config}
        return Connection(id="api", type="rest", config=config)

    def test_credentials_go_to_their_own_origin(self, connectors: Connectors, httpserver: HTTPServer) -> None:
        seen = {"X-Api-Key": "canary-key", "Authorization": "Bearer canary-token"}
        httpserver.expect_oneshot_request("/v1/ready", headers=seen).respond_with_data("yes")
        fetched = connectors.fetch(self.rest(httpserver), "/ready")
        assert (fetched.status, fetched.body) == (200, b"yes")

    def test_a_redirect_elsewhere_takes_no_credentials_along(
        self, connectors: Connectors, httpserver: HTTPServer, other: HTTPServer
    ) -> None:
        """FAULTS 43: credentials dropped across origins."""
        arrived: list[Request] = []

        def receive(request: Request) -> Response:
            arrived.append(request)
            return Response("there")

        other.expect_request("/x").respond_with_handler(receive)
        cookie = {"Location": other.url_for("/x"), "Set-Cookie": "session=canary-cookie"}
        httpserver.expect_request("/v1/go").respond_with_data("", status=302, headers=cookie)
        assert connectors.fetch(self.rest(httpserver), "go").body == b"there"
        assert "canary" not in str(arrived[0].headers)

    def test_a_redirect_at_home_keeps_them(self, connectors: Connectors, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/v1/a").respond_with_data("", status=307, headers={"Location": "/v1/b"})
        httpserver.expect_request("/v1/b", headers={"X-Api-Key": "canary-key"}).respond_with_data("home")
        assert connectors.fetch(self.rest(httpserver), "a").body == b"home"

    @pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://x/", "ftp://127.0.0.1/x"])
    def test_a_redirect_out_of_the_web_is_refused(
        self, connectors: Connectors, httpserver: HTTPServer, target: str
    ) -> None:
        """FAULTS 43: file: URLs."""
        httpserver.expect_request("/a").respond_with_data("", status=302, headers={"Location": target})
        with pytest.raises(ConfigurationError, match="Only http"):
            connectors.fetch(None, httpserver.url_for("/a"))

    def test_a_circle_of_redirects_ends(self, connectors: Connectors, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/a").respond_with_data("", status=302, headers={"Location": "/a"})
        with pytest.raises(ConfigurationError, match="redirects more than"):
            connectors.fetch(None, httpserver.url_for("/a"))

    def test_a_connection_is_not_lent_to_another_host(
        self, connectors: Connectors, httpserver: HTTPServer, other: HTTPServer
    ) -> None:
        with pytest.raises(ConfigurationError, match="credentials are not sent"):
            connectors.fetch(self.rest(httpserver), other.url_for("/x"))
        assert other.log == []

    def test_a_long_answer_is_cut_off(self, connectors: Connectors, httpserver: HTTPServer) -> None:
        """FAULTS 32: bounded bytes, counted after decompression."""
        import gzip

        bomb = gzip.compress(b"0" * 5_000_000)
        httpserver.expect_request("/v1/bomb").respond_with_data(bomb, headers={"Content-Encoding": "gzip"})
        with pytest.raises(ResourceExhaustion, match="more than 100000 bytes"):
            connectors.fetch(self.rest(httpserver, max_bytes=100_000), "bomb")

    def test_silence_ends_in_a_timeout(self, connectors: Connectors, httpserver: HTTPServer) -> None:
        released = threading.Event()

        def wait(request: Request) -> Response:
            released.wait(PATIENCE)
            return Response("late")

        httpserver.expect_request("/v1/slow").respond_with_handler(wait)
        try:
            with pytest.raises(TimeoutFailure, match="did not answer in time"):
                connectors.fetch(self.rest(httpserver, timeout_seconds=0.2), "slow")
        finally:
            released.set()

    def test_a_drip_ends_in_a_timeout(self, connectors: Connectors, httpserver: HTTPServer) -> None:
        """FAULTS 32: slow loris. Each byte is in time, the whole is not."""
        released = threading.Event()

        def drip() -> Iterator[bytes]:
            while not released.wait(0.05):
                yield b"x" * 70_000

        httpserver.expect_request("/v1/drip").respond_with_handler(lambda request: Response(drip()))
        try:
            with pytest.raises(TimeoutFailure):
                connectors.fetch(self.rest(httpserver, timeout_seconds=0.4), "drip")
        finally:
            released.set()

    def test_nobody_there_is_a_network_error_without_the_query(self, connectors: Connectors) -> None:
        with pytest.raises(NetworkError, match=r"http://127\.0\.0\.1:1 cannot be reached") as caught:
            connectors.fetch(None, "http://127.0.0.1:1/x?token=canary")
        assert "canary" not in str(caught.value)

    def test_a_token_that_cannot_be_a_header_is_told_without_it(
        self, connectors: Connectors, httpserver: HTTPServer
    ) -> None:
        auth = {"type": "bearer", "token": "canary\r\nX-Evil: 1"}
        with pytest.raises(ConfigurationError, match="header or token") as caught:
            connectors.fetch(self.rest(httpserver, auth=auth), "x")
        assert "canary" not in str(caught.value)
        assert httpserver.log == []

    def test_netrc_is_not_consulted(
        self, connectors: Connectors, httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "netrc").write_text("machine localhost login me password canary\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        httpserver.expect_request("/a").respond_with_data("ok")
        connectors.fetch(None, httpserver.url_for("/a"))
        assert "Authorization" not in httpserver.log[0][0].headers

    def test_a_test_tells_a_refusal(self, connectors: Connectors, httpserver: HTTPServer) -> None:
        httpserver.expect_oneshot_request("/v1").respond_with_data("", status=404)
        assert connectors.test(self.rest(httpserver)).endswith("answers with status 404.")
        httpserver.expect_oneshot_request("/v1").respond_with_data("", status=401)
        with pytest.raises(PermissionFailure):
            connectors.test(self.rest(httpserver))


def test_a_later_type_is_refused_as_not_in_this_version(connectors: Connectors) -> None:
    with pytest.raises(NotInThisVersion, match="'bigquery', which is not in this version"):
        connectors.test(Connection(id="x", type="bigquery"))


def test_an_unknown_type_gets_the_near_spelling(connectors: Connectors) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'postgresql'"):
        connectors.test(Connection(id="x", type="postgressql"))


def test_a_connector_is_asked_only_for_what_it_can(connectors: Connectors) -> None:
    with pytest.raises(ConfigurationError, match="cannot answer SQL"):
        connectors.scalar(Connection(id="x", type="rest"), "SELECT 1", {})
