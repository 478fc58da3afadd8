"""A small web service on loopback that says what a test wants it to, and remembers who asked for what."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    """What goes back; `drip` writes the rest itself."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = MappingProxyType({})
    drip: Callable[[Any], None] | None = None


Answering = Callable[[Asked], Any]


class WebService:
    """Answers with `answer`; JSON for what is no Answer."""

    def __init__(self, answer: Answering, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.answer = answer
        self.ended = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # header and body in one packet: two would wait for each other

            def do(self) -> None:
                service.serve(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' * (tls is not None)}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        asked = Asked(handler.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
        self.asked.append(asked)
        said = self.answer(asked)
        answer = said if isinstance(said, Answer) else Answer(200, said)
        try:
            self._send(handler, answer)
        except OSError:
            handler.close_connection = True  # the client cut us off, which is what some tests want

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.drip is not None:
            handler.close_connection = True
            answer.drip(handler)
            return
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.status != 304:
            handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if answer.status != 304:
            handler.wfile.write(data)

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(answer: Answering, tls: ssl.SSLContext | None = None) -> Iterator[WebService]:
    """A service for as long as the block lasts."""
    service = WebService(answer, tls)
    try:
        yield service
    finally:
        service.close()
