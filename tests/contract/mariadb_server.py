"""A MariaDB server of the tests' own, with a certificate or without: the shared one is not ours to set up."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.certificates import Authority
from tests.contract.ports import lasting_port

DATABASE = "trial"
_TABLES = ("mysql_system_tables.sql", "mysql_system_tables_data.sql")
_SMALL = (
    *("--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--key-buffer-size=1M"),
    *("--aria-pagecache-buffer-size=1M", "--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=0"),
    *("--innodb-doublewrite=0", "--sync-frm=0", "--performance-schema=0"),
)


@contextmanager
def server(users: Sequence[str], authority: Authority | None) -> Iterator[int]:
    """The port of a running one, ended and removed afterwards. `users`: what CREATE USER is told of each; all of
    them own the database `trial`. With an `authority` it speaks TLS, and trusts whom that vouches for."""
    program, tables = _programs()
    folder = Path(tempfile.mkdtemp(prefix="penstock-my-"))
    try:
        for each in ("data", "tmp"):
            (folder / each).mkdir()
        # The one who runs the tests: as root it would refuse to start without being told so.
        user = pwd.getpwuid(os.geteuid()).pw_name
        # One that starts removes the temporary tables that it finds: in /tmp, those of its neighbours.
        places = (f"--datadir={folder / 'data'}", f"--tmpdir={folder / 'tmp'}")
        command = [program, "--no-defaults", f"--user={user}", *places, *_SMALL]
        _made(command, tables)
        port = lasting_port()
        (folder / "init.sql").write_text("\n".join(_initial(users)))
        with subprocess.Popen(
            [
                *command,
                f"--init-file={folder / 'init.sql'}",
                f"--socket={folder / 'socket'}",
                f"--pid-file={folder / 'pid'}",
                f"--port={port}",
                "--bind-address=127.0.0.1",
                "--local-infile=1",
                "--log-warnings=0",  # nobody reads what it says once it runs
                *_encrypted(authority),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            try:
                said = []
                assert running.stderr is not None  # asked for above
                for line in running.stderr:
                    said.append(line)
                    if "ready for connections" in line:
                        break
                else:
                    raise AssertionError("".join(said)[-1000:])
                yield port
            finally:
                running.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> tuple[str, str]:
    """The server, and the statements that make its own tables: the installer would fill in 80 MB of help as well,
    which takes ten times as long."""
    program = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("MariaDB's own program (mariadbd) is not here")
    prefix = Path(program).resolve().parents[1]
    for share in (prefix / "share" / "mysql", prefix / "share" / "mariadb"):
        if all((share / each).exists() for each in _TABLES):
            return program, "".join((share / each).read_text() for each in _TABLES)
    pytest.skip(f"what makes the tables of a new MariaDB ({_TABLES[0]}) is not beside {program}")


def _encrypted(authority: Authority | None) -> list[str]:
    if authority is None:
        return ["--skip-ssl"]
    own = authority.certify("mariadb")
    return [f"--ssl-ca={authority.file}", f"--ssl-cert={own.certificate}", f"--ssl-key={own.key}"]


def _made(command: Sequence[str], tables: str) -> None:
    first = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n"  # as its installer begins
    done = subprocess.run(
        [*command, "--bootstrap"],
        input=first + tables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-1000:]


def _initial(users: Sequence[str]) -> Iterator[str]:
    """One statement a line, run before anybody is let in."""
    yield f"CREATE DATABASE {DATABASE};"
    for each in users:
        yield f"CREATE USER {each};"
        yield f"GRANT ALL ON {DATABASE}.* TO {each.split()[0]};"
