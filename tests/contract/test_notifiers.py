"""Notifiers against a real HTTP server: what arrives, and which failure each refusal becomes."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from engine.model.errors import (
    ConfigurationError,
    NetworkError,
    PermissionFailure,
    RateLimited,
    TaskFailure,
    TimeoutFailure,
)
from engine.model.workspace import Connection
from engine.notifiers.registry import Notifiers, of_url
from engine.ports.notifier import Message, Notifier
from tests.contract.ports import nobody_listens

MESSAGE = Message(title="orders failed", body="2 < 3 & done", severity="error", key="run-1/failure")

PATIENCE = 60.0  # a deadline for a loaded machine, not a measurement
SHORT = 0.3  # where nothing comes, however long one waits

Make = Callable[..., Connection]


def webhook(server: HTTPServer, seconds: float = PATIENCE) -> Connection:
    config = {
        "url": server.url_for("/canary-path"), "headers": {"X-Token": "canary-token"}, "timeout_seconds": seconds,
    }  # fmt: skip
    return Connection(id="hook", type="webhook", config=config)


def slack(server: HTTPServer, seconds: float = PATIENCE) -> Connection:
    return Connection(
        id="ops", type="slack", config={"url": server.url_for("/canary-path"), "timeout_seconds": seconds}
    )


def bot(server: HTTPServer, seconds: float = PATIENCE) -> Connection:
    config = {
        "token": "xoxb-canary", "channel": "#ops", "api_url": server.url_for("/api"), "timeout_seconds": seconds,
    }  # fmt: skip
    return Connection(id="bot", type="slack", config=config)


def apprise(server: HTTPServer, seconds: float = PATIENCE) -> Connection:
    url = f"json://127.0.0.1:{server.port}/canary-path?cto=60&rto=60"
    return Connection(id="any", type="apprise", config={"url": url, "timeout_seconds": seconds})


EVERY = pytest.mark.parametrize("make", [webhook, slack, bot, apprise], ids=lambda make: make.__name__)


@pytest.fixture
def notifiers() -> Notifier:
    return Notifiers()


class TestEveryService:
    """The contract of engine.ports.notifier, for each adapter that goes out over HTTP."""

    @EVERY
    def test_a_message_arrives_once(self, notifiers: Notifier, httpserver: HTTPServer, make: Make) -> None:
        httpserver.expect_request("/canary-path").respond_with_data("ok")
        httpserver.expect_request("/api/chat.postMessage").respond_with_json({"ok": True})
        connection = make(httpserver)
        assert notifiers.accepts(connection)
        notifiers.send(connection, MESSAGE)
        assert len(httpserver.log) == 1
        assert "orders failed" in httpserver.log[0][0].get_data(as_text=True)

    @EVERY
    @pytest.mark.parametrize(
        ("status", "failure"),
        [
            (429, RateLimited),
            (401, PermissionFailure),
            (403, PermissionFailure),
            (404, ConfigurationError),
            (500, NetworkError),
            (503, NetworkError),
        ],
    )
    def test_a_refusal_becomes_the_failure_it_stands_for(
        self, notifiers: Notifier, httpserver: HTTPServer, make: Make, status: int, failure: type[TaskFailure]
    ) -> None:
        httpserver.expect_request("/canary-path").respond_with_data("no", status=status)
        httpserver.expect_request("/api/chat.postMessage").respond_with_data("no", status=status)
        with pytest.raises(failure) as caught:
            notifiers.send(make(httpserver), MESSAGE)
        assert "canary" not in str(caught.value)

    @EVERY
    def test_nobody_there_is_a_network_error(self, notifiers: Notifier, make: Make) -> None:
        with nobody_listens() as port, pytest.raises(NetworkError) as caught:
            notifiers.send(make(HTTPServer(port=port)), MESSAGE)
        assert "canary" not in str(caught.value)

    @EVERY
    def test_silence_ends(self, notifiers: Notifier, make: Make) -> None:
        released = threading.Event()

        def wait(request: Request) -> Response:
            released.wait(PATIENCE)
            return Response("late")

        with HTTPServer() as server:  # of its own: its answer comes after the test has seen the timeout
            server.expect_request("/canary-path").respond_with_handler(wait)
            server.expect_request("/api/chat.postMessage").respond_with_handler(wait)
            try:
                with pytest.raises(TimeoutFailure):
                    notifiers.send(make(server, SHORT), MESSAGE)
            finally:
                released.set()

    @pytest.mark.parametrize("make", [webhook, slack, bot], ids=lambda make: make.__name__)
    def test_a_redirect_is_not_followed(self, notifiers: Notifier, httpserver: HTTPServer, make: Make) -> None:
        """FAULTS 43: credentials never travel to where nobody sent them."""
        away = {"Location": httpserver.url_for("/elsewhere")}
        httpserver.expect_request("/canary-path").respond_with_data("", status=307, headers=away)
        httpserver.expect_request("/api/chat.postMessage").respond_with_data("", status=307, headers=away)
        with pytest.raises(ConfigurationError, match="redirect that is not followed"):
            notifiers.send(make(httpserver), MESSAGE)
        assert len(httpserver.log) == 1

    @EVERY
    def test_a_test_sends_nothing(self, httpserver: HTTPServer, make: Make) -> None:
        said = Notifiers().test(make(httpserver))
        assert "nothing was sent" in said
        assert "canary" not in said
        assert httpserver.log == []


class TestWebhook:
    def test_the_document_and_the_headers(self, notifiers: Notifier, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/canary-path", headers={"X-Token": "canary-token"}).respond_with_data("")
        notifiers.send(webhook(httpserver), MESSAGE)
        sent = json.loads(httpserver.log[0][0].get_data())
        assert sent == {
            "title": "orders failed",
            "message": "2 < 3 & done",
            "severity": "error",
            "key": "run-1/failure",
        }

    def test_patience_is_told(self, notifiers: Notifier, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/canary-path").respond_with_data("", status=429, headers={"Retry-After": "17"})
        with pytest.raises(RateLimited) as caught:
            notifiers.send(webhook(httpserver), MESSAGE)
        assert caught.value.retry_after == 17.0

    @pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://x/y", "hooks.example.com"])
    def test_only_the_web_is_posted_to(self, notifiers: Notifier, url: str) -> None:
        with pytest.raises(ConfigurationError, match="https:// or http://"):
            notifiers.send(Connection(id="hook", type="webhook", config={"url": url}), MESSAGE)


class TestSlack:
    def test_text_is_escaped_so_that_nobody_is_called(self, notifiers: Notifier, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/canary-path").respond_with_data("ok")
        notifiers.send(slack(httpserver), Message(title="", body="<!channel> a & b"))
        text = json.loads(httpserver.log[0][0].get_data())["text"]
        assert "&lt;!channel&gt; a &amp; b" in text

    def test_a_bot_names_its_channel_and_shows_its_token(self, notifiers: Notifier, httpserver: HTTPServer) -> None:
        token = {"Authorization": "Bearer xoxb-canary"}
        httpserver.expect_request("/api/chat.postMessage", headers=token).respond_with_json({"ok": True})
        notifiers.send(bot(httpserver), MESSAGE)
        assert json.loads(httpserver.log[0][0].get_data())["channel"] == "#ops"

    @pytest.mark.parametrize(
        ("word", "failure"),
        [
            ("ratelimited", RateLimited),
            ("invalid_auth", PermissionFailure),
            ("missing_scope", PermissionFailure),
            ("channel_not_found", ConfigurationError),
            ("internal_error", NetworkError),
        ],
    )
    def test_a_polite_refusal_is_a_failure_all_the_same(
        self, notifiers: Notifier, httpserver: HTTPServer, word: str, failure: type[TaskFailure]
    ) -> None:
        answer = {"ok": False, "error": word}
        httpserver.expect_request("/api/chat.postMessage").respond_with_json(answer)
        with pytest.raises(failure, match=word):
            notifiers.send(bot(httpserver), MESSAGE)

    def test_what_is_missing_is_named(self, notifiers: Notifier) -> None:
        with pytest.raises(ConfigurationError, match="`token` and a `channel`"):
            notifiers.send(Connection(id="ops", type="slack", config={"token": "x"}), MESSAGE)


class TestApprise:
    def test_severity_and_title_travel(self, notifiers: Notifier, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/canary-path").respond_with_data("ok")
        notifiers.send(apprise(httpserver), MESSAGE)
        sent = json.loads(httpserver.log[0][0].get_data())
        assert (sent["title"], sent["message"], sent["type"]) == ("orders failed", "2 < 3 & done", "failure")

    def test_its_own_log_lines_stay_inside(
        self, notifiers: Notifier, httpserver: HTTPServer, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """FAULTS 42: they may quote the address."""
        seen: list[str] = []

        class Root(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                seen.append(record.name)

        root = Root()
        logging.getLogger().addHandler(root)
        httpserver.expect_request("/canary-path").respond_with_data("no", status=500)
        try:
            with pytest.raises(NetworkError):
                notifiers.send(apprise(httpserver), MESSAGE)
        finally:
            logging.getLogger().removeHandler(root)
        assert not [name for name in seen if name.startswith("apprise")]
        assert "JSON" not in capfd.readouterr().err

    @pytest.mark.parametrize("url", ["nosuch://canary", "", "/etc/passwd"])
    def test_a_url_it_does_not_know_is_refused_without_quoting_it(self, notifiers: Notifier, url: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            notifiers.send(Connection(id="any", type="apprise", config={"url": url}), MESSAGE)
        assert "canary" not in str(caught.value)

    def test_it_is_imported_for_its_first_message_only(self) -> None:
        """The import budget: apprise is heavy."""
        import subprocess

        code = (
            "import sys; import engine.notifiers.registry as r; r.Notifiers(); sys.exit('apprise' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_log_takes_everything(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.notify")
    with caplog.at_level(logging.INFO, logger="tests.notify"):
        Notifiers(logger).send(Connection(id="trail", type="log"), MESSAGE)
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "[trail] orders failed: 2 < 3 & done")


def test_a_type_that_cannot_tell_is_refused(notifiers: Notifier) -> None:
    connection = Connection(id="db", type="postgresql")
    assert not notifiers.accepts(connection)
    with pytest.raises(ConfigurationError, match="through which nothing can be told"):
        notifiers.send(connection, MESSAGE)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://example.com/x", "webhook"),
        ("HTTP://example.com", "webhook"),
        ("log:", "log"),
        ("mailto://u:p@example.com", "apprise"),
        ("slack://a/b/c", "apprise"),
    ],
)
def test_a_bare_url_says_by_its_scheme_who_serves_it(url: str, kind: str) -> None:
    assert of_url(url).type == kind
