"""Any database through SQLAlchemy: PostgreSQL here, by another way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.model.workspace import Connection
from tests.contract.data_rigs.base import PASSWORD
from tests.contract.data_rigs.postgresql import PostgresRig


@contextmanager
def open_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyRig]:
    url = request.getfixturevalue("postgres_url")
    given = sa.make_url(url).set(drivername="postgresql+psycopg")
    config = {"url": given.render_as_string(hide_password=False), "password": given.password or PASSWORD}
    rig = AnyRig(Connection(id="shop", type="sqlalchemy", config=config), tmp_path, url)
    try:
        yield rig
    finally:
        rig.close()


class AnyRig(PostgresRig):
    """Looked into as PostgreSQL is."""
