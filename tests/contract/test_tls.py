"""Encrypted ways to real servers: who they are is checked, and who cannot be is not talked to."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa
import pytest

from engine.connectors.registry import Connectors
from engine.dataflow.streams import Batches
from engine.model.errors import ConfigurationError, NetworkError, PermissionFailure, TaskFailure
from engine.model.workspace import Connection
from engine.ports.destination import Order
from engine.ports.source import Selection
from tests.contract.brokers import broker
from tests.contract.certificates import Authority, in_front_of
from tests.contract.logical_server import restartable
from tests.contract.ports import lasting_port
from tests.contract.web_service import serving

PORTS = {"nats": 4222, "rabbitmq": 5672, "redis": 6379}
ROWS = pa.table({"id": [1, 2, 3], "name": ["a", None, "c"]})


@pytest.fixture(scope="module")
def port(authority: Authority) -> Iterator[int]:
    """Of a PostgreSQL that speaks TLS only."""
    with restartable(authority=authority) as server:
        with psycopg.connect(f"{server.url}?sslmode=require", autocommit=True) as link:
            link.execute("CREATE ROLE certified LOGIN SUPERUSER")
        yield urlsplit(server.url).port or 0


def postgresql(port: int, *, root: Path | None = None, **config: Any) -> Any:
    told = {"host": "localhost", "port": port, "database": "postgres", "user": "postgres", **config}
    return Connectors(root or Path.cwd()).open(Connection(id="safe", type="postgresql", config=told))


@pytest.mark.parametrize("adbc", [True, False])
def test_postgresql_is_written_and_read_through_a_checked_connection(
    port: int, authority: Authority, adbc: bool
) -> None:
    opened = postgresql(port, sslmode="verify-full", sslrootcert=str(authority.file), adbc=adbc)
    target = f"t_{adbc}".lower()
    assert opened.load(Batches(ROWS.schema, ROWS.to_batches()), Order(token=target, target=target)).rows == 3
    with closing(opened.read(Selection(table=target))) as reading:
        assert pa.Table.from_batches(list(reading)).to_pylist() == ROWS.to_pylist()
    assert opened.scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", {}) is True
    opened.close()


def test_a_client_certificate_stands_for_a_password(port: int, authority: Authority) -> None:
    own = authority.certify("certified")
    told = {"sslmode": "verify-full", "sslrootcert": str(authority.file), "user": "certified"}
    opened = postgresql(port, **told, sslcert=str(own.certificate), sslkey=str(own.key))
    assert opened.scalar("SELECT current_user::text", {}) == "certified"
    opened.close()
    with pytest.raises(TaskFailure, match="'safe'"):
        postgresql(port, **told).scalar("SELECT 1", {})


@pytest.mark.parametrize(
    ("sslmode", "file", "kind", "said"),
    [
        ("verify-full", "another", NetworkError, r"certificate verify failed\. Name the authority .*`sslrootcert`"),
        (
            "verify-full",
            "missing.crt",
            ConfigurationError,
            "`sslrootcert` names a file that is not there: .*/missing.crt",
        ),
        ("require", "missing.crt", ConfigurationError, "is not there"),  # libpq would go on, and check nobody
        ("disable", "missing.crt", PermissionFailure, "no encryption"),  # it is not looked at
    ],
)
def test_postgresql_that_cannot_be_trusted_is_told_from_one_that_is_away(
    port: int, authority: Authority, another: Authority, sslmode: str, file: str, kind: type[TaskFailure], said: str
) -> None:
    known = {"another": another.file, "authority": authority.file}
    with pytest.raises(kind, match=f"'safe'.*{said}") as caught:
        postgresql(port, sslmode=sslmode, sslrootcert=str(known.get(file, file)), password="canary").test()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("adbc", [True, False])
def test_files_of_postgresql_are_seen_from_the_workspace(
    port: int, authority: Authority, adbc: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is opened from, and also those in a url."""
    own, home = authority.certify("certified"), authority.file.parent
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    files = {"sslrootcert": authority.file.name, "sslcert": own.certificate.name, "sslkey": own.key.name}
    url = f"postgresql://certified@localhost:{port}/postgres?sslmode=verify-full"
    inside = "&".join(f"{key}={name}" for key, name in files.items())
    for config in (
        {**files, "sslmode": "verify-full"},
        {"sslmode": "verify-full"} | {key: f"~/{name}" for key, name in files.items()},
        {"url": f"{url}&{inside}"},
        {**files, "url": f"{url}&sslrootcert=nowhere.crt"},  # a key of the connection counts more
    ):
        opened = postgresql(port, root=home, user="certified", adbc=adbc, **config)
        with closing(opened.read(Selection(query="SELECT current_user::text AS name"))) as reading:
            assert pa.Table.from_batches(list(reading)).to_pylist() == [{"name": "certified"}]
        opened.close()
    with pytest.raises(ConfigurationError, match=f"'safe': `sslrootcert` names a file.*: {home}/nowhere.crt"):
        postgresql(port, root=home, url=f"{url}&sslrootcert=nowhere.crt")
    with pytest.raises(ConfigurationError, match="'safe': `sslkey` holds a certificate or key itself") as caught:
        postgresql(port, sslkey=own.key.read_text())
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize("adbc", [True, False])
def test_whom_this_machine_trusts_is_a_word_and_no_file(
    port: int, authority: Authority, another: Authority, adbc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"sslmode": "verify-full", "sslrootcert": "system", "adbc": adbc}
    for trusted, hindered in (
        (authority, nullcontext()),
        (another, pytest.raises(NetworkError, match="verify failed")),
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted.file))
        opened = postgresql(port, **told)
        with hindered, closing(opened.read(Selection(query="SELECT 1 AS one"))) as reading:
            assert pa.Table.from_batches(list(reading)).to_pylist() == [{"one": 1}]
        opened.close()


def test_postgresql_by_another_name_than_its_certificate_has(port: int, authority: Authority) -> None:
    elsewhere = (
        f"postgresql://postgres@elsewhere.test:{port}/postgres?hostaddr=127.0.0.1&sslrootcert={authority.file}"
    )
    assert "answers" in postgresql(port, host=None, url=elsewhere, sslmode="verify-ca").test()
    with pytest.raises(NetworkError, match=r"'safe'.*does not match host name.*\. `host` is to be a name"):
        postgresql(port, host=None, url=elsewhere, sslmode="verify-full").test()


def test_a_key_that_cannot_be_used_is_no_matter_of_the_network(
    port: int, authority: Authority, another: Authority
) -> None:
    own, other = authority.certify("certified"), another.certify("certified")
    told = {"sslmode": "require", "user": "certified", "sslcert": str(own.certificate)}
    postgresql(port, **told, sslkey="pkcs11:1").close()  # what an engine of OpenSSL holds is no file to look for
    with pytest.raises(ConfigurationError, match=r"'safe'.*private key file"):
        postgresql(port, **told, sslkey=str(other.key)).test()
    with pytest.raises(NetworkError, match=r"'safe'.*unknown ca\. The server does not trust who signed our own"):
        postgresql(port, **told | {"sslcert": str(other.certificate)}, sslkey=str(other.key)).test()


def test_a_web_service_is_asked_where_its_certificate_is_vouched_for(
    authority: Authority, another: Authority
) -> None:
    rows = [{"id": 1}, {"id": 2}]
    with serving(lambda asked: rows, authority.certify("web").context()) as service:
        told = {"base_url": service.url, "retries": 0}

        def opened(**config: Any) -> Any:
            return Connectors(Path.cwd()).open(Connection(id="api", type="rest", config={**told, **config}))

        reading = opened(verify=str(authority.file)).read(Selection(endpoint="/rows"))
        assert [row for batch in reading for row in batch.to_pylist()] == rows
        for config in ({}, {"verify": str(another.file)}):
            with pytest.raises(
                NetworkError, match=r"'api'.*could not be reached safely .*certificate verify failed"
            ):
                opened(**config).test()
        with pytest.raises(ConfigurationError, match=r"'api': `verify` names nowhere\.crt, and there is no such"):
            opened(verify="nowhere.crt")
        assert len(service.asked) == 1


@contextmanager
def encrypted(kind: str, authority: Authority) -> Iterator[int]:
    """The port of a broker that speaks TLS: the machine's own behind a front, or a NATS of the tests' own."""
    own = authority.certify(kind)
    if kind != "nats":
        with (
            broker(kind) as found,
            in_front_of(int(found.config.get("port") or PORTS[kind]), own.context()) as port,
        ):
            yield port
        return
    program = shutil.which("nats-server")
    if program is None:
        pytest.skip("the program nats-server is not here")
    port = lasting_port()
    command = [
        program,
        "-a",
        "127.0.0.1",
        "-p",
        str(port),
        "--tls",
        "--tlscert",
        own.certificate,
        "--tlskey",
        own.key,
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None and any("Server is ready" in line for line in server.stderr)
            yield port
        finally:
            server.kill()


@pytest.mark.parametrize("kind", sorted(PORTS))
def test_a_broker_is_talked_to_where_its_certificate_is_vouched_for(
    kind: str, authority: Authority, another: Authority, tmp_path: Path
) -> None:
    with encrypted(kind, authority) as port:

        def opened(tls: Any) -> Any:
            config = {"host": "localhost", "port": port, "tls": tls, "timeout_seconds": 20}
            return Connectors(tmp_path).open(Connection(id="mq", type=kind, config=config))

        assert f"localhost:{port}" in opened({"ca": str(authority.file)}).test()
        for tls in (True, {"ca": str(another.file)}):
            with pytest.raises(
                NetworkError, match=r"'mq'.*could not be reached safely \(unable to get local issuer"
            ):
                opened(tls).test()
        with pytest.raises(ConfigurationError, match="'mq': what `tls` names cannot be read: No such file"):
            opened({"ca": "nowhere.crt"})


@pytest.mark.parametrize(("kind", "url"), [("redis", "redis://canary:pw@h"), ("rabbitmq", "amqp://canary:pw@h")])
def test_a_url_that_asks_for_no_encryption_does_not_undo_it(kind: str, url: str) -> None:
    told = Connection(id="mq", type=kind, config={"url": url, "tls": True})
    with pytest.raises(ConfigurationError, match="'mq': `tls` is asked for, and its `url` asks for none") as caught:
        Connectors(Path.cwd()).open(told)
    assert "canary" not in str(caught.value)
