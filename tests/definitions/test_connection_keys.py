"""What a connection may say means something: every key of a type is read by the connector that serves it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import engine

ENGINE = Path(engine.__file__).parent
TYPES = json.loads((ENGINE / "definitions/schemas/connection_types.json").read_text())["$defs"]
DATABASES, QUEUES, NOTIFIERS = ENGINE / "connectors/databases", ENGINE / "connectors/queues", ENGINE / "notifiers"
# type -> the modules that see its config.
READ_IN: dict[str, tuple[Path, str]] = {
    "sqlite": (DATABASES, r"sqlite.*"),
    "postgresql": (DATABASES, r"(pg_|postgresql).*"),
    "mysql": (DATABASES, r"mysql.*"),
    "mariadb": (DATABASES, r"mysql.*"),
    "duckdb": (DATABASES, r"duckdb(_session)?"),
    "snowflake": (DATABASES, r"snowflake(_link)?"),
    "sqlalchemy": (DATABASES, r"any.*"),
    "rest": (ENGINE / "connectors/rest", r".*"),
    "http": (ENGINE / "connectors/rest", r".*"),
    "graphql": (ENGINE / "connectors/rest", r".*"),
    "file": (ENGINE / "connectors/files", r"connector|options|object_clients"),
    "s3": (ENGINE / "connectors/files", r"connector|options|object_clients"),
    "gcs": (ENGINE / "connectors/files", r"connector|options|object_clients"),
    "azure": (ENGINE / "connectors/files", r"connector|options|object_clients"),
    "rabbitmq": (QUEUES, r"connector|tls|rabbitmq"),
    "redis": (QUEUES, r"connector|tls|redis"),
    "nats": (QUEUES, r"connector|tls|nats"),
    "kafka": (QUEUES, r"connector|tls|kafka"),
    **dict.fromkeys(("slack", "webhook", "apprise", "email", "log"), (NOTIFIERS, r".*")),
}


def test_every_type_is_looked_at() -> None:
    assert set(READ_IN) == set(TYPES)


@pytest.mark.parametrize("type", sorted(TYPES))
def test_every_key_is_read_by_the_connector(type: str) -> None:
    """One that is taken and means nothing lets people believe in what is not there."""
    folder, modules = READ_IN[type]
    text = "".join(each.read_text() for each in folder.glob("*.py") if re.fullmatch(modules, each.stem))
    assert text
    unread = [key for key in TYPES[type]["properties"] if not re.search(rf"""["']{key}["']""", text)]
    assert unread == []
