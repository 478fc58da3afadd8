"""Snowflake without a server: what is asked of the driver, types, SQL, and what is refused before it is asked."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from snowflake.connector import errors

from engine.connectors.databases import snowflake_types as types
from engine.connectors.databases.snowflake_catalog import Name, named, quoted
from engine.connectors.databases.snowflake_link import failure, settings
from engine.connectors.registry import Connectors
from engine.dataflow.kinds import INSTANT
from engine.model.errors import ConfigurationError, DataQualityError, NetworkError, PermissionFailure
from engine.model.workspace import Connection

BASE = {"account": "acme", "user": "etl", "password": "hunter2-canary", "database": "DB"}


def connection(**config: Any) -> Connection:
    given = {key: value for key, value in {**BASE, **config}.items() if value is not None}
    return Connection(id="sf", type="snowflake", config=given)


def test_the_driver_is_asked_with_what_the_config_says() -> None:
    asked = settings(
        connection(schema="S", role="R", warehouse="W", host="h", port="8080", protocol="http"), Path()
    )
    assert {key: asked[key] for key in ("account", "host", "port", "protocol", "role", "warehouse")} == {
        "account": "acme", "host": "h", "port": 8080, "protocol": "http", "role": "R", "warehouse": "W",
    }  # fmt: skip
    assert asked["session_parameters"]["TIMEZONE"] == "UTC"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"user": None}, "needs a `user`"),
        ({"database": None}, "needs a `database`"),
        ({"account": None}, "an `account` or a `host`"),
        ({"password": None}, "a `password`, a `private_key` or"),
        ({"private_key": "-----BEGIN canary"}, "no PEM key"),
    ],
)
def test_what_is_missing_is_told_before_anybody_is_asked(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"Connection 'sf'.*{said}") as caught:
        Connectors(tmp_path).open(connection(**config))
    assert "canary" not in str(caught.value) and caught.value.__cause__ is None


def test_a_key_pair_stands_for_a_password(tmp_path: Path) -> None:
    """PIP-26: as text or in a file, which is where the path says, seen from the workspace."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"phrase"),
    ).decode()
    asked = settings(connection(password=None, private_key=pem, private_key_passphrase="phrase"), tmp_path)
    assert isinstance(asked["private_key"], bytes) and "password" not in asked
    with pytest.raises(ConfigurationError, match="does not open it"):
        settings(connection(private_key=pem, private_key_passphrase="wrong"), tmp_path)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/sf.p8").write_text(pem)
    told = {"private_key_file": "keys/sf.p8", "private_key_file_pwd": "phrase"}
    assert settings(connection(password=None, **told), tmp_path)["private_key"] == asked["private_key"]
    with pytest.raises(ConfigurationError, match=r"`private_key_file` nowhere\.p8 cannot be read: No such file"):
        settings(connection(private_key_file="nowhere.p8"), tmp_path)


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in sys.modules if each.startswith("engine.connectors.databases.snowflake")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "snowflake.connector", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'penstock\[snowflake\]'"):
        Connectors(tmp_path).open(connection())


def test_types_there_and_back() -> None:
    """TYP-01: docs/data-types.md."""
    made = {
        "NUMBER(38,0)": pa.int64(), "NUMBER(12,2)": pa.decimal128(12, 2), "FLOAT": pa.float64(),
        "BOOLEAN": pa.bool_(), "DATE": pa.date32(), "TIMESTAMP_TZ": INSTANT, "TIMESTAMP_NTZ": pa.timestamp("us"),
        "VARCHAR": pa.string(), "BINARY": pa.binary(), "VARIANT": pa.list_(pa.int64()),
    }  # fmt: skip
    assert {types.type_for(pa.field("x", given)): given for given in made.values()} == made
    with pytest.raises(DataQualityError, match="38 digits"):
        types.type_for(pa.field("x", pa.decimal256(40, 2)))


def test_a_type_that_no_kind_carries_is_refused_by_name() -> None:
    geography = SimpleNamespace(name="place", type_code=14, scale=None, precision=None, is_nullable=True)
    with pytest.raises(DataQualityError, match="'place'"):
        types.field_of(geography)


def test_what_arrives_is_what_the_field_says_or_refused() -> None:
    nano = pa.array([1_000], pa.timestamp("ns", "UTC"))
    assert types.as_field(nano, pa.field("at", INSTANT)).type == INSTANT
    with pytest.raises(DataQualityError, match="'at'"):
        types.as_field(pa.array([1], pa.timestamp("ns", "UTC")), pa.field("at", INSTANT))
    with pytest.raises(DataQualityError, match="'n'"):
        types.as_field(pa.array([Decimal(2**70)], pa.decimal128(38, 0)), pa.field("n", pa.int64()))


def test_names_are_quoted() -> None:
    """FAULTS 38."""
    assert quoted('a"; DROP TABLE x') == '"a""; DROP TABLE x"'
    assert named("s.t") == Name("s", "t") and named("s.t").sql == '"s"."t"' and named("t").sql == '"t"'
    with pytest.raises(ConfigurationError, match="NUL"):
        quoted("a\0b")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.ProgrammingError(msg="Object 'X' does not exist", errno=2003), ConfigurationError),
        (errors.DatabaseError(msg="Incorrect username", errno=250001), PermissionFailure),
        (errors.OperationalError(msg="Could not connect to Snowflake backend", errno=250001), NetworkError),
        (errors.OperationalError(msg="reset by peer", errno=250003), NetworkError),
        (errors.ProgrammingError(msg="Numeric value 'secret' is not recognized", errno=100038), DataQualityError),
    ],
)
def test_errors_have_their_kind_and_no_values(error: errors.Error, kind: type[Exception]) -> None:
    found = failure(error, "sf", "table 't'")
    assert type(found) is kind
    assert "Connection 'sf', table 't'" in str(found) and "secret" not in str(found)
