"""The server behind `penstock web`: textual-serve with a lock on the door.

Law: no request passes without this server's own Host, an Origin that is none or ours, and the token; the page loads
nothing from elsewhere; the command is an argument list and never meets a shell; a console that does not end when
asked is killed.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server

from engine.model.errors import RequestError

_END_SECONDS = 4.0  # between asking a console to end and killing it
_MOST = 8  # consoles at a time: each is a process
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self' {socket}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="stylesheet" href="/static/css/xterm.css"><script src="/static/js/textual.js"></script>
<style>
@font-face {{ font-family: "Roboto Mono"; src: url("/static/fonts/RobotoMono-VariableFont_wght.ttf"); }}
body {{ background: #0c0c0c; color: #ddd; margin: 0; font-family: "Roboto Mono", monospace; }}
#start, .closed-dialog {{ display: none; }}
body.-closed .closed-dialog {{ display: block; padding: 2em; }}
body.-closed .textual-terminal {{ display: none; }}
a {{ color: inherit; }}
</style></head><body>
<button type="button" id="start">Start</button>
<div class="closed-dialog">This console has ended. <a href="/">Open another</a></div>
<div id="terminal" class="textual-terminal" data-session-websocket-url="{socket}" data-font-size="15"></div>
</body></html>
"""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What is served, and where."""

    root: str
    options: Sequence[str] = ()
    port: int = 0
    title: str = "penstock"


class Console(AppService):
    """One console process, for one browser."""

    argv: Sequence[str] = ()

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        environment = self._build_environment(width=width, height=height)
        environment |= {"PENSTOCK_SERVED_BY": str(os.getpid()), "PYTHONUTF8": "1", "TEXTUAL_FPS": "15"}
        self._process = await asyncio.create_subprocess_exec(
            *self.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
        self._stdin = self._process.stdin
        return self._process

    async def end(self) -> None:
        """Ask, insist, kill; back when the process is gone."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            await self.send_meta({"type": "quit"})
        for insist in (None, signal.SIGTERM, signal.SIGKILL):
            if process.returncode is not None:
                break
            if insist is not None:
                process.send_signal(insist)
            try:
                await asyncio.wait_for(process.wait(), _END_SECONDS / 2)
            except TimeoutError:
                continue
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None


class LockedServer(Server):
    """textual-serve's protocol behind a token."""

    def __init__(self, served: Served, port: int, token: str) -> None:
        super().__init__("penstock", host="127.0.0.1", port=port, title=served.title)
        self._served, self._token = served, token
        self._cookie = f"penstock_{port}"
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._consoles: set[Console] = set()

    @property
    def address(self) -> str:
        """What is opened first; the token leaves the address bar at once."""
        return f"http://127.0.0.1:{self.port}/?token={self._token}"

    async def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._guarded], client_max_size=64 << 10)
        app.router.add_get("/", self._index)
        app.router.add_get("/ws", self.handle_websocket)
        app.router.add_static("/static", self.statics_path, show_index=False)
        app.on_shutdown.append(self._end_all)
        return app

    async def application(self) -> web.Application:
        """The routes, locked."""
        return await self._make_app()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            response: web.StreamResponse = web.Response(status=403, text=refusal + "\n")
        elif "token" in request.query:
            response = web.Response(status=303, headers={"Location": "/"})
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict", path="/")
        else:
            response = await handler(request)
        if not response.prepared:
            response.headers.update(self._headers(request))
        return response

    def _refusal(self, request: web.Request) -> str | None:
        """Why not, or None. A page of another site reaches loopback too: with its own Host or Origin."""
        if request.host not in self._hosts:
            return "This address is not served here."
        origin = request.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in self._hosts}:
            return "Pages of other sites are not let in."
        given = request.query.get("token") or request.cookies.get(self._cookie, "")
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return "Open the address that `penstock web` printed: it carries the token."
        return None

    def _headers(self, request: web.Request) -> dict[str, str]:
        return {
            "Content-Security-Policy": _POLICY.format(socket=f"ws://{request.host}"),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }

    async def _index(self, request: web.Request) -> web.StreamResponse:
        page = _PAGE.format(title=escape(self.title), socket=escape(f"ws://{request.host}/ws"))
        return web.Response(text=page, content_type="text/html")

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One browser, one console."""
        if len(self._consoles) >= _MOST:
            raise web.HTTPServiceUnavailable(text=f"{_MOST} consoles are open already; close one.\n")
        channel = web.WebSocketResponse(heartbeat=15, max_msg_size=1 << 20)
        await channel.prepare(request)
        console = Console(
            "penstock",
            write_bytes=channel.send_bytes,
            write_str=channel.send_str,
            close=_closing(channel),
            download_manager=self.download_manager,
        )
        console.argv = [sys.executable, "-m", "console", "-w", self._served.root, *self._served.options]
        self._consoles.add(console)
        try:
            await console.start(_cells(request, "width", 80), _cells(request, "height", 24))
            await self._process_messages(channel, console)
        except (ConnectionError, ValueError, TypeError, KeyError, AssertionError):
            await channel.close()  # the browser went away, or what came was no message of its script
        finally:
            await console.end()
            self._consoles.discard(console)
        return channel

    async def _end_all(self, _app: web.Application) -> None:
        await asyncio.gather(*(console.end() for console in list(self._consoles)), return_exceptions=True)


def _closing(channel: web.WebSocketResponse) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        await channel.close()

    return close


def _cells(request: web.Request, name: str, usual: int) -> int:
    text = request.query.get(name, "")
    return min(max(int(text), 20), 500) if text.isdecimal() and len(text) < 6 else usual


def serve(served: Served, ready: Callable[[str], None]) -> None:
    """Until SIGINT, SIGTERM or SIGHUP."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", served.port))
    except OSError as error:
        listening.close()
        raise RequestError(
            f"Port {served.port} of 127.0.0.1 cannot be had ({error.strerror}); take another."
        ) from error
    asyncio.run(_serve(served, listening, ready))


async def _serve(served: Served, listening: socket.socket, ready: Callable[[str], None]) -> None:
    server = LockedServer(served, listening.getsockname()[1], secrets.token_urlsafe(32))
    ended = asyncio.Event()
    loop: Any = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, ended.set)
    runner = web.AppRunner(await server.application(), handle_signals=False, shutdown_timeout=_END_SECONDS)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    try:
        ready(server.address)
        await ended.wait()
    finally:
        await runner.cleanup()
