"""`penstock web` from outside: who is let in, what a browser gets, and that nothing outlives the server."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from tests.acceptance.workspaces import LIMIT_SECONDS, Workspace, command, eventually, made_in

pytest.importorskip("textual_serve", reason="the extra `web` is not installed")


@dataclass
class Serving:
    process: subprocess.Popen[str]
    address: str  # with its token

    @property
    def origin(self) -> str:
        return self.address.partition("/?")[0]

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]

    @property
    def cookies(self) -> dict[str, str]:
        return {f"penstock_{self.origin.rpartition(':')[2]}": self.token}

    def consoles(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def served(root: Path) -> Iterator[Serving]:
    """A server of its own for a new workspace; killed with the block, whatever became of it."""
    workspace = made_in(root)
    workspace.pipeline("p", '  - {id: a, type: shell, config: {command: "true"}}')
    with subprocess.Popen(
        command("-w", str(workspace.root), "web", "--read-only"),
        env={**os.environ, **workspace.environment, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            yield Serving(process, found[0])
        finally:
            process.kill()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with served(tmp_path_factory.mktemp("web") / "ws") as found:
        yield found


def test_without_the_token_nothing_is_told(serving: Serving) -> None:
    for path in ("/", "/ws", "/static/js/textual.js", "/?token=wrong", "/nowhere"):
        answer = requests.get(serving.origin + path, timeout=LIMIT_SECONDS, allow_redirects=False)
        assert answer.status_code == 403, path
        assert serving.token not in answer.text


def test_with_the_token_comes_the_page_and_the_address_forgets_it(serving: Serving) -> None:
    with requests.Session() as browser:
        first = browser.get(serving.address, timeout=LIMIT_SECONDS, allow_redirects=False)
        assert (first.status_code, first.headers["Location"]) == (303, "/")
        assert "HttpOnly" in first.headers["Set-Cookie"] and "SameSite=Strict" in first.headers["Set-Cookie"]
        page = browser.get(serving.origin + "/", timeout=LIMIT_SECONDS)
        assert page.status_code == 200
        assert 'id="terminal"' in page.text and serving.token not in page.text
        assert browser.get(serving.origin + "/static/js/textual.js", timeout=LIMIT_SECONDS).status_code == 200


def test_the_page_loads_nothing_from_elsewhere(serving: Serving) -> None:
    page = requests.get(serving.origin + "/", cookies=serving.cookies, timeout=LIMIT_SECONDS)
    assert set(re.findall(r"(?:https?|wss?)://[^/\"']+", page.text)) == {serving.origin.replace("http", "ws", 1)}
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "127.0.0.1"}, {"Origin": "http://evil.example"}, {"Origin": "null"}],
)
def test_another_host_or_origin_is_refused_even_with_the_token(serving: Serving, headers: dict[str, str]) -> None:
    """A page of another site, or a name that was bent to point here, reaches loopback as well."""
    answer = requests.get(
        serving.address, headers=headers, cookies=serving.cookies, timeout=LIMIT_SECONDS, allow_redirects=False
    )
    assert answer.status_code == 403


def test_it_listens_on_loopback_alone(serving: Serving) -> None:
    held = [each for each in psutil.Process(serving.process.pid).net_connections() if each.status == "LISTEN"]
    assert [each.laddr.ip for each in held] == ["127.0.0.1"]


def test_a_browser_gets_the_console_and_its_end_is_the_consoles(serving: Serving) -> None:
    asyncio.run(_watch(serving, until=b"penstock"))
    eventually(lambda: not serving.consoles())
    assert serving.process.poll() is None


@pytest.mark.parametrize("name", [signal.SIGKILL, signal.SIGTERM])
def test_no_console_outlives_the_server(tmp_path: Path, name: signal.Signals) -> None:
    with served(tmp_path / "ws") as serving:
        _end_and_look(serving, name)


def _end_and_look(serving: Serving, name: signal.Signals) -> None:
    left: list[psutil.Process] = []

    def end() -> None:
        left.extend(serving.consoles())
        serving.process.send_signal(name)

    asyncio.run(_watch(serving, until=b"penstock", then=end))
    assert left
    eventually(lambda: not any(_lives(each) for each in left))
    code = serving.process.wait(timeout=LIMIT_SECONDS)
    assert code == (0 if name is signal.SIGTERM else -signal.SIGKILL)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False  # it went between the two questions


def test_without_the_extra_it_says_which(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "textual_serve" else found(name, *more)
    )
    said = workspace.penstock("web")
    assert said.code == 2
    assert "penstock[web]" in said.err


def test_a_port_that_is_taken_is_said(workspace: Workspace, serving: Serving) -> None:
    said = workspace.penstock("web", "--port", serving.origin.rpartition(":")[2])
    assert said.code == 2
    assert "take another" in said.err


async def _watch(serving: Serving, *, until: bytes, then: object = None) -> None:
    """Open the console like the page does, and look until it shows something."""
    import aiohttp

    headers = {"Origin": serving.origin}
    address = serving.origin.replace("http", "ws", 1) + "/ws?width=100&height=30"
    async with (
        aiohttp.ClientSession(cookies=serving.cookies, headers=headers, cookie_jar=_jar()) as session,
        session.ws_connect(address) as channel,
    ):
        seen = b""
        async with asyncio.timeout(LIMIT_SECONDS):
            while until not in seen:
                message = await channel.receive()
                assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
                seen += message.data if isinstance(message.data, bytes) else b""
        if callable(then):
            then()


def _jar() -> object:
    import aiohttp

    return aiohttp.CookieJar(unsafe=True)  # of an address, as browsers keep them
