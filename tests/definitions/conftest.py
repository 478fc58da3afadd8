from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.definitions.renderer import ChildRenderer
from tests.definitions.fakes import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws")


@pytest.fixture(scope="module")
def renderer() -> Iterator[ChildRenderer]:
    made = ChildRenderer()
    yield made
    made.close()
