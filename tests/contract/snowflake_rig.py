"""The Snowflake emulator (fakesnow) as a server of its own, in the environment that `make soak` makes for it."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

PYTHON = Path(os.environ.get("PENSTOCK_EMULATORS", ".venv-emulators")).absolute() / "bin" / "python"
SERVER = """
import socket, sys, uvicorn, fakesnow.server
server = uvicorn.Server(uvicorn.Config(fakesnow.server.app, log_level="critical"))
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


def config(port: int) -> dict[str, object]:
    """A connection's config with a database and schema of its own."""
    name = f"DB{secrets.token_hex(6).upper()}"
    return {
        "account": "fakesnow", "host": "127.0.0.1", "port": port, "protocol": "http", "user": "fake",
        "password": "snow", "database": name, "schema": "S1", "timeout_seconds": 10,
    }  # fmt: skip
