"""The Snowflake emulator (fakesnow) as a server of its own, in the environment that `make soak` makes for it."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

PYTHON = Path(os.environ.get("PENSTOCK_EMULATORS", ".venv-emulators")).absolute() / "bin" / "python"
# Snowflake aborts the transaction of a session whose client is gone, once it is idle for five minutes and keeps
# others waiting. The emulator never does: /left?keep=... does it now for every session but those that are named,
# after what they run has come to its end.
SERVER = """
import asyncio, collections, socket, sys, urllib.parse
import duckdb, uvicorn, fakesnow.server as fake

turns = collections.defaultdict(asyncio.Lock)

async def left(keep, send):
    for token in [each for each in fake.sessions if each not in keep]:
        async with turns[token]:
            session = fake.sessions.pop(token)
            try:
                session._duck_conn.rollback()
            except duckdb.TransactionException:
                pass  # it was in none
            session._duck_conn.close()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})

async def app(scope, receive, send):
    if scope.get("path") == "/left":
        return await left(urllib.parse.parse_qs(scope["query_string"].decode()).get("keep", []), send)
    said = dict(scope.get("headers", [])).get(b"authorization", b"").decode()[17:-1]
    if not said:
        return await fake.app(scope, receive, send)
    async with turns[said]:
        await fake.app(scope, receive, send)

server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
listening = socket.socket(fileno=int(sys.argv[1]))
server.run(sockets=[listening])
"""


@contextmanager
def emulator() -> Iterator[int]:
    """The port of a running emulator; the test is skipped where it is not installed."""
    if not PYTHON.exists():
        pytest.skip(f"no Snowflake emulator: there is no {PYTHON} (`make emulators` makes it)")
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        # It listens before the server runs: a client waits for the answer instead of being refused.
        number = listening.fileno()
        command = [str(PYTHON), "-c", SERVER, str(number)]
        process = subprocess.Popen(
            command, pass_fds=(number,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield listening.getsockname()[1]
        finally:
            process.kill()
            process.wait()


def left(port: int, keep: str) -> None:
    """End all sessions but the one of this token, as Snowflake ends those whose clients are gone."""
    link = HTTPConnection("127.0.0.1", port)
    with closing(link):
        link.request("GET", f"/left?{urlencode({'keep': keep})}")
        assert link.getresponse().status == 200


def config(port: int) -> dict[str, object]:
    """A connection's config with a database and schema of its own."""
    name = f"DB{secrets.token_hex(6).upper()}"
    return {
        "account": "fakesnow", "host": "127.0.0.1", "port": port, "protocol": "http", "user": "fake",
        "password": "snow", "database": name, "schema": "S1", "timeout_seconds": 10,
    }  # fmt: skip
