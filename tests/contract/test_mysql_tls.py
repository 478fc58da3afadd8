"""MySQL by TLS: a server of the tests' own is read and written; left alone where nobody vouches for it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.connectors.databases import mysql_bulk
from engine.connectors.registry import Connectors
from engine.dataflow.streams import Batches
from engine.model.errors import ConfigurationError, NetworkError, PermissionFailure
from engine.model.workspace import Connection
from engine.ports.destination import Order
from engine.ports.source import Selection
from tests.contract.certificates import Authority
from tests.contract.mariadb_server import DATABASE, server

MANY = 60_000  # of 100 bytes and more: several packets of LOAD DATA, many records of TLS
ENCRYPTED = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_version'"
LOADS = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Com_load'"
ELSEWHERE = "127.1"  # this machine by a name that no certificate has


@pytest.fixture(scope="module")
def port(authority: Authority) -> Iterator[int]:
    """Of a server with a user that may come as it likes, one that has to come by TLS, one with a certificate."""
    users = ("anyhow", "safely IDENTIFIED BY 'canary' REQUIRE SSL", "certified REQUIRE X509")
    with server(users, authority) as port:
        yield port


def mysql(port: int, *, root: Path | None = None, **config: Any) -> Any:
    told = {"host": "localhost", "port": port, "database": DATABASE, "user": "anyhow", **config}
    return Connectors(root or Path.cwd()).open(Connection(id="my", type="mysql", config=told))


@pytest.mark.parametrize("bulk", [True, False])
def test_rows_go_both_ways(port: int, authority: Authority, bulk: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not bulk:
        monkeypatch.setattr(mysql_bulk.Bulk, "_asked", lambda self: (False, 1 << 24))
    rows = pa.table({"id": range(MANY), "name": [None if at % 7 == 0 else f"ü{at}" * 20 for at in range(MANY)]})
    opened = mysql(port, user="safely", password="canary", ssl_ca=str(authority.file))
    assert opened.scalar(ENCRYPTED, {}).startswith("TLS")
    before, target = int(opened.scalar(LOADS, {})), f"rows_{bulk}".lower()
    assert opened.load(Batches(rows.schema, rows.to_batches()), Order(token=target, target=target)).rows == MANY
    assert int(opened.scalar(LOADS, {})) - before == int(bulk)
    with closing(opened.read(Selection(table=target))) as reading:
        assert pa.Table.from_batches(list(reading)).sort_by("id").to_pydict() == rows.to_pydict()
    with closing(opened.read(Selection(table=target))) as reading:
        next(iter(reading))  # and no more of it: what is still under way is left there
    assert opened.scalar(f"SELECT count(*) FROM {target}", {}) == MANY
    opened.close()


def test_what_is_said_of_ssl_decides_whether_and_whom_it_trusts(port: int, authority: Authority) -> None:
    for config, expected in (
        ({}, True),  # where the server has it, and nobody is checked
        ({"host": ELSEWHERE}, True),
        ({"ssl": False}, False),
        ({"ssl": False, "ssl_ca": "nowhere.crt"}, False),
        ({"ssl_ca": str(authority.file)}, True),
        ({"ssl": True, "ssl_ca": str(authority.file), "host": "127.0.0.1"}, True),
    ):
        opened = mysql(port, **config)
        assert bool(opened.scalar(ENCRYPTED, {})) is expected, config
        opened.close()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"ssl": True}, r"self-signed certificate in certificate chain\). An authority .* `ssl_ca: FILE`\."),
        ({"ssl_ca": "another"}, r"certificate.*\). An authority of your own is named by `ssl_ca: FILE`\."),
        ({"ssl_ca": "authority", "host": ELSEWHERE}, rf"not valid for '{ELSEWHERE}'\). `host` is to be a name"),
    ],
)
def test_one_that_cannot_be_trusted_is_told_from_one_that_is_away(
    port: int, authority: Authority, another: Authority, config: dict[str, Any], said: str
) -> None:
    files = {"authority": authority.file, "another": another.file}
    told = {**config, **({"ssl_ca": str(files[config["ssl_ca"]])} if "ssl_ca" in config else {})}
    with pytest.raises(NetworkError, match=rf"'my': the server could not be reached safely \(.*{said}") as caught:
        mysql(port, user="safely", password="canary", **told).test()
    assert "canary" not in str(caught.value) and "host and port" not in str(caught.value)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_of_our_own_is_shown(
    port: int, authority: Authority, another: Authority, version: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In TLS 1.2 a server refuses it during the handshake, in 1.3 afterwards, and may only hang up."""
    made = ssl.create_default_context

    def limited(**told: Any) -> ssl.SSLContext:
        context = made(**told)
        context.minimum_version = context.maximum_version = version
        return context

    monkeypatch.setattr(ssl, "create_default_context", limited)

    def opened(of: Authority) -> Any:
        own = of.certify("certified")
        files = {"ssl_ca": authority.file, "ssl_cert": own.certificate, "ssl_key": own.key}
        return mysql(port, user="certified", **{key: str(file) for key, file in files.items()})

    link = opened(authority)
    assert link.scalar("SELECT current_user()", {}) == "certified@%"
    assert link.scalar(ENCRYPTED, {}) == version.name.replace("_", ".")
    link.close()
    with pytest.raises(NetworkError, match=r"'my'.* may not trust who signed the certificate of `ssl_cert`\.$"):
        opened(another).test()


@pytest.mark.parametrize("user", ["safely", "certified"])
def test_who_comes_without_what_the_server_wants_is_told_that_it_may_be_that(port: int, user: str) -> None:
    config = {"safely": {"password": "canary", "ssl": False}, "certified": {}}[user]
    with pytest.raises(PermissionFailure, match=r"'my'.*whether the server wants TLS or a certificate\.$"):
        mysql(port, user=user, **config).test()


def test_a_server_without_encryption_is_not_talked_to_where_it_is_asked_for(authority: Authority) -> None:
    with server(["anyhow"], None) as port:
        assert mysql(port).scalar(ENCRYPTED, {}) == ""
        for config in ({"ssl": True}, {"ssl_ca": str(authority.file)}):
            with pytest.raises(
                ConfigurationError, match=r"'my'.*doesn't support it\. Give the server a certificate"
            ):
                mysql(port, **config).test()


def test_files_are_seen_from_the_workspace(
    port: int, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is opened from, and also those in a url."""
    own, home = authority.certify("certified"), authority.file.parent
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    files = {"ssl_ca": authority.file.name, "ssl_cert": own.certificate.name, "ssl_key": own.key.name}
    inside = "&".join(f"{key}={name}" for key, name in files.items())
    for config in (
        files,
        {key: f"~/{name}" for key, name in files.items()},
        {"url": f"mysql://certified@localhost:{port}/{DATABASE}?charset=utf8mb4&{inside}"},
    ):
        opened = mysql(port, root=home, user="certified", **config)
        assert opened.scalar("SELECT current_user()", {}) == "certified@%"
        opened.close()


def test_a_url_says_whether_it_is_encrypted(port: int, authority: Authority) -> None:
    url = f"mysql://anyhow@localhost:{port}/{DATABASE}?ssl="
    assert mysql(port, url=f"{url}false").scalar(ENCRYPTED, {}) == ""
    with pytest.raises(NetworkError, match="could not be reached safely"):
        mysql(port, url=f"{url}true").test()
    for asked in ("ssl-mode=VERIFY_CA", "sslMode=x", "useSSL=true", "tls=custom", "ssl=preferred"):
        with pytest.raises(
            ConfigurationError, match=r"'my': its URL says `\w+.*there are ssl=true, .*ssl_ca"
        ) as found:
            mysql(port, url=f"mysql://anyhow:canary@localhost/{DATABASE}?{asked}")
        assert "canary" not in str(found.value)


def test_what_cannot_be_used_is_told_before_the_server_is_asked(authority: Authority, another: Authority) -> None:
    own, home = authority.certify("own"), authority.file.parent
    for config, said in (
        ({"ssl_ca": "nowhere.crt"}, f"`ssl_ca` names a file that is not there: {home}/nowhere.crt."),
        ({"ssl_cert": own.key.read_text()}, "`ssl_cert` holds a certificate or key itself"),
        ({"ssl_key": str(own.key)}, "`ssl_key` is the key of an `ssl_cert`, which is not given"),
        ({"ssl_cert": str(authority.file), "ssl_key": str(own.key)}, "`ssl_cert`, `ssl_key` cannot be read"),
        ({"ssl_cert": str(own.certificate)}, "`ssl_cert` cannot be read"),
        ({"ssl_ca": str(own.key)}, "`ssl_ca` cannot be read"),
    ):
        with pytest.raises(ConfigurationError, match=f"'my': {said}") as caught:
            mysql(1, root=home, **config).test()
        assert "PRIVATE" not in str(caught.value)
