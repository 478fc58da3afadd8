"""A workspace whose state is a file or a PostgreSQL database: the store contracts are proven on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.model.workspace import Settings
from tests.contract.store_records import Rig


@pytest.fixture(params=["sqlite", "postgresql"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Both databases, one after the other."""
    if request.param == "sqlite":
        settings = Settings(root=tmp_path)
    else:
        settings = Settings(root=tmp_path, state=request.getfixturevalue("postgres_url"))
    found = Rig(settings)
    yield found
    found.close()


@pytest.fixture
def file_rig(tmp_path: Path) -> Iterator[Rig]:
    """SQLite alone, for what only a file can suffer."""
    found = Rig(Settings(root=tmp_path))
    yield found
    found.close()
