"""Buckets to try object stores on: one in memory, and one of each kind on a server of this machine.

`make emulators` installs the servers: moto for S3, Azurite for Azure. Google's is tests/contract/google_front.py.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import os
import shutil
import subprocess
import threading
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from engine.connectors.files.connector import FileConnector, connect
from engine.connectors.files.object_target import ObjectTarget
from engine.connectors.files.objects import ObjectStore
from engine.model.workspace import Connection
from tests.contract.google_front import ServiceAccount, google
from tests.contract.ports import lasting_port

EMULATORS = Path(os.environ.get("PENSTOCK_EMULATORS", ".venv-emulators")).absolute()
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Of Azurite, and of everybody who has one: it is in its manual."""


class Memory:
    """A bucket in memory."""

    def __init__(self) -> None:
        from obstore.store import MemoryStore

        self.store = MemoryStore()

    def files(self, prefix: str = "data") -> FileConnector:
        connection = Connection(id="lake", type="s3", config={})
        place = ObjectStore("lake", self.store, "s3://bucket", prefix)
        return FileConnector(connection, place, ObjectTarget(place, connection))


@dataclass(frozen=True)
class Served:
    """A bucket on a server, through the connection as it is configured."""

    type: str
    config: dict[str, Any]
    root: Path = Path()

    @cached_property
    def store(self) -> Any:
        return self.files()._place.store  # type: ignore[attr-defined]

    def files(self, prefix: str = "data", **config: Any) -> FileConnector:
        told = {**self.config, "prefix": prefix, **config}
        return connect(Connection(id="lake", type=self.type, config=told), self.root)


Bucket = Memory | Served


@dataclass
class Servers:
    """Those that a test has asked for, each started once."""

    _running: ExitStack
    _moto: int | None = None
    _google: int | None = None
    _azurite: int | None = None
    _account: ServiceAccount = field(default_factory=ServiceAccount)

    def bucket(self, kind: str) -> Served:
        """A new one, empty."""
        name = f"b{uuid.uuid4().hex[:12]}"
        if kind == "azure":
            _put(self.azurite, f"/{ACCOUNT}/{name}", "restype=container", signed=True)
            where = {"endpoint": f"http://127.0.0.1:{self.azurite}/{ACCOUNT}"}
            return Served(kind, {"container": name, "account": ACCOUNT, "access_key": KEY, **where})
        _put(self.moto, f"/{name}")
        if kind == "gcs":
            where = {"endpoint": f"http://127.0.0.1:{self.google}"}
            return Served(kind, {"bucket": name, "service_account_key": self._account.key, **where})
        login = {"region": "us-east-1", "access_key_id": "test", "secret_access_key": "test"}
        return Served(kind, {"bucket": name, "endpoint": f"http://127.0.0.1:{self.moto}", **login})

    @property
    def moto(self) -> int:
        if self._moto is None:
            self._moto = self._running.enter_context(moto())
        return self._moto

    @property
    def google(self) -> int:
        if self._google is None:
            self._google = self._running.enter_context(google(self.moto, self._account))
        return self._google

    @property
    def azurite(self) -> int:
        if self._azurite is None:
            self._azurite = self._running.enter_context(azurite())
        return self._azurite


@contextmanager
def servers() -> Iterator[Servers]:
    with ExitStack() as running:
        yield Servers(running)


@contextmanager
def moto() -> Iterator[int]:
    """The port of an S3 server."""
    program = EMULATORS / "bin/moto_server"
    if not program.exists():
        pytest.skip(f"no S3 server: there is no {program} (`make emulators` makes it)")
    port = lasting_port()
    with _started([program, "-H", "127.0.0.1", "-p", str(port)], "Running on"):
        yield port


@contextmanager
def azurite() -> Iterator[int]:
    """The port of an Azure blob server."""
    program = EMULATORS / "node_modules/.bin/azurite-blob"
    if not program.exists() or shutil.which("node") is None:
        pytest.skip(f"no Azure server: there is no {program} (`make emulators` makes it where npm is), or no node")
    port = lasting_port()
    # The client's version of the protocol may be newer than the emulator: it need not know all of it.
    options = ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent"]
    with _started([program, "--blobPort", str(port), *options], "successfully listen"):
        yield port


@contextmanager
def _started(command: Sequence[object], ready: str) -> Iterator[None]:
    """A program that runs until the end, from when it says that it is ready."""
    words = [str(each) for each in command]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        # What it says later has to be taken from it, or it would wait at last.
        later = threading.Thread(target=deque, args=(process.stdout, 0), daemon=True)
        try:
            before = []
            for line in process.stdout:
                before.append(line)
                if ready in line:
                    break
            else:
                raise AssertionError("".join(before))
            later.start()
            yield
        finally:
            process.kill()
            process.wait()
            if later.ident is not None:
                later.join()


def shared_access(container: str, rights: str) -> str:
    """A token of Azure that lets whoever has it do this much in a container."""
    until, version = "2100-01-01T00:00:00Z", "2020-12-06"
    fields = [rights, "", until, f"/blob/{ACCOUNT}/{container}", "", "", "", version, "c", *([""] * 7)]
    told = {"sp": rights, "se": until, "sv": version, "sr": "c", "sig": _signed("\n".join(fields))}
    return urlencode(told)


def _signed(text: str) -> str:
    return base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()


def _put(port: int, path: str, query: str = "", *, signed: bool = False) -> None:
    """Make a bucket or container: object stores' own clients do not."""
    headers = {"Content-Length": "0"}
    if signed:
        at = dt.datetime.now(dt.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers |= {"x-ms-date": at, "x-ms-version": "2021-12-02"}
        lines = ["PUT", *([""] * 11), f"x-ms-date:{at}", "x-ms-version:2021-12-02", f"/{ACCOUNT}{path}"]
        text = "\n".join([*lines, query.replace("=", ":")])
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{_signed(text)}"
    link = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        link.request("PUT", f"{path}?{query}" if query else path, headers=headers)
        answer = link.getresponse()
        assert answer.status in (200, 201), (answer.status, answer.read())
    finally:
        link.close()
