"""What the contracts are proven on: state in a file and in PostgreSQL, objects in memory and on servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.model.workspace import Settings
from tests.contract.certificates import Authority
from tests.contract.object_rig import Bucket, Memory, Servers, servers
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


@pytest.fixture(scope="session")
def object_servers() -> Iterator[Servers]:
    """Object stores of this machine; each starts when a test asks for it."""
    with servers() as found:
        yield found


@pytest.fixture(params=["memory", *(pytest.param(kind, marks=pytest.mark.soak) for kind in ("s3", "gcs", "azure"))])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """An empty one."""
    pytest.importorskip("obstore")
    if request.param == "memory":
        return Memory()
    found: Servers = request.getfixturevalue("object_servers")
    return found.bucket(request.param)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the servers of a test."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for none of them."""
    return Authority(tmp_path_factory.mktemp("another"), "somebody else")
