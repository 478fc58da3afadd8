"""Helper processes: started on first use, on loopback, ended with whoever uses them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.executors import service_guard
from engine.executors import services as module
from engine.executors.services import Services
from engine.model.errors import ConfigurationError
from engine.model.workspace import Service
from tests.contract.ports import lasting_port, nobody_listens
from tests.contract.web_service import serving

WITHIN = 60.0  # a deadline for a loaded machine, not a measurement
SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = {"/pid": str(os.getpid()), "/env": ",".join(sorted(os.environ))}.get(self.path, "well").encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): print("asked for", self.path, flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PENSTOCK_SERVICE_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Callable[..., Services]]:
    made: list[Services] = []

    def make(port: int = 0, **commands: tuple[str, ...]) -> Services:
        (tmp_path / "server.py").write_text(SERVER)
        found = {
            name: Service(name=name, command=each, port=port, ready="/health") for name, each in commands.items()
        }
        environment = {"PATH": os.environ["PATH"], "SHOWN": "1"}
        made.append(Services(found, root=tmp_path, logs=tmp_path / "logs", environment=lambda: environment))
        return made[-1]

    yield make
    for each in made:
        each.close()


def ask(address: str, path: str) -> str:
    with urllib.request.urlopen(address + path, timeout=WITHIN) as answer:
        return str(answer.read().decode())


def gone(pid: int) -> bool:
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, ProcessLookupError):
            return True
        if not state or state[0] in "ZX":
            return True
        time.sleep(0.02)
    return False


def test_it_starts_with_the_first_question_and_is_the_same_for_the_next(services: Callable[..., Services]) -> None:
    one = services(channels=("python", "server.py"))
    first = one.address("channels")
    assert one.address("channels") == first
    assert first.startswith("http://127.0.0.1:")
    assert ask(first, "/pid").isdigit()


def test_it_has_the_environment_it_is_given_and_no_other(services: Callable[..., Services]) -> None:
    """F: what the engine knows of secrets is not handed to a helper."""
    names = set(ask(services(channels=("python", "server.py")).address("channels"), "/env").split(","))
    assert {"SHOWN", "PENSTOCK_SERVICE_PORT"} <= names
    assert "HOME" not in names


def test_it_ends_with_its_owner_also_when_that_is_closed(services: Callable[..., Services]) -> None:
    one = services(channels=("python", "server.py"))
    pid = int(ask(one.address("channels"), "/pid"))
    one.close()
    assert gone(pid)


def test_it_ends_with_an_owner_that_is_killed(tmp_path: Path) -> None:
    """E: no orphan process stays."""
    (tmp_path / "server.py").write_text(SERVER)
    code = (
        "import sys, time, os; from pathlib import Path; from engine.executors.services import Services\n"
        "from engine.model.workspace import Service; root = Path(sys.argv[1])\n"
        "service = Service(name='s', command=('python', 'server.py'))\n"
        "one = Services({'s': service}, root=root, logs=root / 'logs', environment=lambda: dict(os.environ))\n"
        "print(one.address('s'), flush=True); time.sleep(1000)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(ask(owner.stdout.readline().strip(), "/pid"))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert gone(pid)


def test_one_that_died_is_started_again(services: Callable[..., Services]) -> None:
    one = services(channels=("python", "server.py"))
    pid = int(ask(one.address("channels"), "/pid"))
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:  # its guard takes a moment to see it
        try:
            if int(ask(one.address("channels"), "/pid")) != pid:
                return
        except OSError:
            time.sleep(0.02)
    pytest.fail("it was not started again")


def test_one_that_ends_at_once_is_told_of_with_its_log_and_not_started_for_ever(
    services: Callable[..., Services], tmp_path: Path
) -> None:
    one = services(broken=("python", "-c", "print('no such table'); raise SystemExit(3)"))
    for _ in range(5):
        with pytest.raises(ConfigurationError, match=r"ended before it answered \(exit 3\)"):
            one.address("broken")
    with pytest.raises(ConfigurationError, match="5 times within a minute"):
        one.address("broken")
    assert "no such table" in (tmp_path / "logs" / "broken.log").read_text()


def test_a_command_that_is_not_there_is_told_of(services: Callable[..., Services], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="exit 127"):
        services(missing=("no-such-program",)).address("missing")
    assert "no-such-program" in (tmp_path / "logs" / "missing.log").read_text()


def test_a_port_that_somebody_takes_first_is_not_insisted_on(
    services: Callable[..., Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the choice of it and the helper's own bind anybody may get it, as the end of a connection too."""
    with nobody_listens() as taken:
        ports = [taken, taken, lasting_port()]
        monkeypatch.setattr(module, "_free_port", iter(ports).__next__)
        address = services(channels=("python", "server.py")).address("channels")
        assert address == f"http://127.0.0.1:{ports[-1]}" and ask(address, "/pid").isdigit()
        monkeypatch.setattr(module, "_free_port", lambda: taken)  # again and again: it is told
        with pytest.raises(ConfigurationError, match=r"ended before it answered \(exit 1\)"):
            services(channels=("python", "server.py")).address("channels")


def test_nobody_else_is_taken_for_a_helper_with_a_port_of_its_own(
    services: Callable[..., Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FREED_SECONDS", 0.0)
    with serving(lambda asked: []) as stranger:
        port = int(stranger.url.rpartition(":")[2])
        one = services(port=port, channels=("python", "server.py"))
        for _ in range(module.MOST_STARTS + 1):  # none of them is a start
            with pytest.raises(ConfigurationError, match=f"'channels': its port {port} is taken.*Leave `port` out"):
                one.address("channels")
        assert not stranger.asked


def test_a_port_of_its_own_is_waited_for(
    services: Callable[..., Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an engine that has just ended leaves behind is there for a moment more."""
    looked, port = module._taken, lasting_port()
    before = socket.create_server(("127.0.0.1", port))

    def leaving(asked: int) -> bool:
        found = looked(asked)
        before.close()
        return found

    monkeypatch.setattr(module, "FREED_SECONDS", WITHIN)
    monkeypatch.setattr(module, "_taken", leaving)
    address = services(port=port, channels=("python", "server.py")).address("channels")
    assert address == f"http://127.0.0.1:{port}" and ask(address, "/pid").isdigit()


def test_a_name_that_is_not_there_names_those_that_are(services: Callable[..., Services]) -> None:
    with pytest.raises(ConfigurationError, match="has: channels"):
        services(channels=("python", "server.py")).address("canals")


def test_what_it_prints_stays_under_its_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_guard, "CAP", 1000)
    log = service_guard._Log(str(tmp_path / "x.log"))
    for number in range(100):
        log.write(f"{number:099}\n".encode())
    assert (tmp_path / "x.log").stat().st_size <= 1000
    assert (tmp_path / "x.log.1").stat().st_size <= 1000
    assert (tmp_path / "x.log").read_text().endswith("99\n")
