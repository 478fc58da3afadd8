"""What the suite leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dataflow.work import nursery


@pytest.fixture(scope="session", autouse=True)
def _nursery() -> Iterator[None]:
    yield
    if nursery.cache_info().currsize:
        nursery().close()
