"""A PostgreSQL server of the tests' own, whose log can be decoded: the shared one may not be set up for that."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.certificates import Authority
from tests.contract.ports import lasting_port

_SETTINGS = "fsync = off\nmax_connections = 30\nshared_buffers = 16MB\n"


@dataclass(frozen=True)
class Server:
    """One that runs, and may be restarted."""

    url: str
    stop: Callable[[str], None]
    """`pg_ctl`'s mode: `fast` ends every session, `immediate` is a crash."""
    start: Callable[[], None]

    def restart(self, mode: str) -> None:
        """Away for a moment."""
        self.stop(mode)
        self.start()


@contextmanager
def server(level: str = "logical") -> Iterator[str]:
    """URL of a running server, ended and removed afterwards."""
    with restartable(level) as one:
        yield one.url


@contextmanager
def restartable(level: str = "replica", authority: Authority | None = None) -> Iterator[Server]:
    """The same, with a hand on it; with an `authority` it lets nobody in who comes without TLS."""
    programs, owner = _programs(), _owner()
    folder = Path(tempfile.mkdtemp(prefix="penstock-pg-"))
    try:
        if owner is not None:
            shutil.chown(folder, owner)
        data, port = folder / "data", lasting_port()
        _run(owner, [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"])
        with (data / "postgresql.conf").open("a") as out:
            out.write(f"{_SETTINGS}wal_level = {level}\nport = {port}\nunix_socket_directories = '{folder}'\n")
            out.write("listen_addresses = '127.0.0.1'\n")
        if authority is not None:
            _encrypted(data, owner, authority)
        control = [programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-t", "60"]

        def stop(mode: str) -> None:
            _run(owner, [*control, "-m", mode, "stop"])

        def start() -> None:
            _run(owner, [*control, "start"])

        start()
        try:
            yield Server(f"postgresql://postgres@127.0.0.1:{port}/postgres", stop, start)
        finally:
            stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _encrypted(data: Path, owner: str | None, authority: Authority) -> None:
    own = authority.certify("server")
    for file in (authority.file, own.certificate, own.key):
        shutil.copy(file, data / file.name)
        if owner is not None:
            shutil.chown(data / file.name, owner)
    with (data / "postgresql.conf").open("a") as out:
        out.write("ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n")
        out.write("ssl_ca_file = 'authority.crt'\n")
    (data / "pg_hba.conf").write_text(
        "hostssl all certified 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 trust\n"
    )


def _programs() -> Path:
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "pg_ctl").exists():
            return place
    pytest.skip("PostgreSQL's own programs (initdb, pg_ctl) are not here")


def _owner() -> str | None:
    """Whom the server runs as: it refuses root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("a PostgreSQL server does not run as root, and there is no user postgres")


def _run(owner: str | None, command: list[object]) -> None:
    words = [str(each) for each in command]
    # A server that is started keeps what it is given open: nobody would ever see the end of a pipe.
    out = subprocess.DEVNULL if words[-1] == "start" else subprocess.PIPE
    done = subprocess.run(
        words, user=owner, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd="/"
    )
    assert done.returncode == 0, (done.stdout or b"").decode()[-1000:]
