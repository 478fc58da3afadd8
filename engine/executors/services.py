"""Helper processes of a workspace (`services:` in penstock.yaml), started on first use and ended with whoever uses
them.

Law: a helper listens on loopback, on the port it is given in PENSTOCK_SERVICE_PORT; its address is handed out when
it answers. A `port` that somebody else has is refused, for what is sent there may be secret. A helper has the
environment of an attempt: no secret of a connection. One that died is started again, a few times a minute at most.
None outlives this process, however it ends: see service_guard.
"""

from __future__ import annotations

import errno
import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.model.errors import ConfigurationError
from engine.model.workspace import Service

START_SECONDS = 20.0
MOST_STARTS = 5  # within START_WINDOW
START_WINDOW = 60.0
FREED_SECONDS = 5.0  # a port of its own is waited for: the helper of an engine that has just ended may be on it
OTHER_PORTS = 2  # are tried where somebody takes a free one before the helper does
_LOOK = 0.02


class Services:
    """The helpers of one workspace. Thread-safe."""

    def __init__(
        self,
        services: Mapping[str, Service],
        *,
        root: Path,
        logs: Path,
        environment: Callable[[], Mapping[str, str]],
    ) -> None:
        self._services = services
        self._root, self._logs, self._environment = root, logs, environment
        self._lock = threading.Lock()
        self._running: dict[str, _Helper] = {}
        self._starts: dict[str, list[float]] = {}

    def address(self, name: str) -> str:
        """http://127.0.0.1:PORT of the helper, which answers. ConfigurationError says why it does not."""
        with self._lock:
            found = self._running.get(name)
            if found is not None and not found.alive():
                found.leave()
                found = None
            if found is None:
                found = self._running[name] = self._start(name)
            return found.address

    def close(self) -> None:
        """End all of them; returns when they are gone."""
        with self._lock:
            helpers, self._running = list(self._running.values()), {}
        for helper in helpers:
            helper.let_go()
        for helper in helpers:
            helper.leave()

    def _start(self, name: str) -> _Helper:
        service = self._services.get(name)
        if service is None:
            known = ", ".join(sorted(self._services)) or "none"
            raise ConfigurationError(f"There is no service '{name[:80]}'. penstock.yaml has: {known}.")
        now = time.monotonic()
        recent = [at for at in self._starts.get(name, ()) if now - at < START_WINDOW]
        if len(recent) >= MOST_STARTS:
            raise ConfigurationError(
                f"Service '{name}' has ended {len(recent)} times within a minute; see {self._log(name)}."
            )
        port = _own_port(service) if service.port else _free_port()
        self._starts[name] = [*recent, now]
        return self._started(service, port, 0 if service.port else OTHER_PORTS)

    def _started(self, service: Service, port: int, others: int) -> _Helper:
        """A helper that answers on this port, or on one of so many others where somebody took it first."""
        helper = self._spawn(service, port)
        try:
            helper.ready(service.ready, START_SECONDS)
        except TimeoutError:
            helper.leave()
            raise ConfigurationError(
                f"Service '{service.name}' did not answer on {helper.address}{service.ready or ''} within "
                f"{START_SECONDS:g} s; see {self._log(service.name)}."
            ) from None
        except ChildProcessError as error:
            helper.leave()
            if others and _taken(port):
                return self._started(service, _free_port(), others - 1)
            raise ConfigurationError(
                f"Service '{service.name}' ended before it answered ({error}); see {self._log(service.name)}."
            ) from None
        return helper

    def _spawn(self, service: Service, port: int) -> _Helper:
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [_program(service.command[0]), *service.command[1:]]
        guard = [sys.executable, "-m", "engine.executors.service_guard", str(self._log(service.name)), "--"]
        home = str(Path(__file__).resolve().parents[2])
        process = subprocess.Popen(
            [*guard, *command],
            cwd=self._root,
            env={**self._environment(), "PENSTOCK_SERVICE_PORT": str(port), "PYTHONPATH": home},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return _Helper(process, port)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


class _Helper:
    """One that was started."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._port = port
        self.address = f"http://127.0.0.1:{port}"

    def alive(self) -> bool:
        return self._process.poll() is None

    def ready(self, path: str | None, patience: float) -> None:
        """Return when it answers: 2xx at `path`, or any connection where there is none."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if not self.alive():
                raise ChildProcessError(f"exit {self._process.returncode}")
            if _answers(self._port, path):
                return
            time.sleep(_LOOK)
        raise TimeoutError

    def let_go(self) -> None:
        """Close the pipe that its guard watches."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def leave(self) -> None:
        """Return when it is gone."""
        self.let_go()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _answers(port: int, path: str | None) -> bool:
    try:
        if path is None:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0):
                return True
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
        try:
            link.request("GET", path)
            return 200 <= link.getresponse().status < 300
        finally:
            link.close()
    except (OSError, http.client.HTTPException):
        return False


def _own_port(service: Service) -> int:
    """The one that penstock.yaml gives it, when nobody is there."""
    end = time.monotonic() + FREED_SECONDS
    while _taken(service.port):
        if time.monotonic() >= end:
            raise ConfigurationError(
                f"Service '{service.name}': its port {service.port} is taken, by another program or by the same "
                "helper of another process. Leave `port` out, and it gets one that is free."
            )
        time.sleep(_LOOK)
    return service.port


def _free_port() -> int:
    """A port nobody has just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _taken(port: int) -> bool:
    """Whether somebody has it; connections that are only remembered do not count."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _program(name: str) -> str:
    """`python` is the one that runs Penstock: a fresh machine may have no other, or another."""
    return sys.executable if name in ("python", "python3") else name
