"""A web service that has no records tells no columns: an empty list is a success all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.model.errors import DataQualityError
from engine.ports.destination import Mode
from tests.contract.web_service import WebService, serving
from tests.dataflow.targets import KINDS, Target, target
from tests.dataflow.work import Work


@pytest.fixture
def service() -> Iterator[WebService]:
    with serving(lambda asked: {"items": []}) as found:
        yield found


def work(root: Path, service: WebService, into: Any, mode: Mode = Mode.APPEND, **source: Any) -> Work:
    keyed = {"keys": ["id"]} if mode in (Mode.UPSERT, Mode.MERGE) else {}
    flagged = {"delete_when": "gone"} if mode is Mode.MERGE else {}
    config = {"connection": "into", "target": "rows", "mode": mode.value, **keyed, **flagged}
    return Work(
        root=root,
        type="load",
        run=root.name,
        config={**config, "source": {"connection": "web", "endpoint": "/rows", **source}},
        connections={"web": {"type": "rest", "base_url": service.url}, "into": into},
    )


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    return target(request.param, tmp_path, request)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_target_that_is_there_is_loaded_with_no_rows(
    tmp_path: Path, service: WebService, shop: Target, mode: Mode
) -> None:
    """INC-01: the usual answer to an incremental read; a replace empties the target."""
    service.answer = lambda asked: {"items": [{"id": 1, "name": "a"}]}
    (tmp_path / "first").mkdir()
    assert work(tmp_path / "first", service, shop.connection).attempt()[0].outputs["rows"] == 1
    service.answer = lambda asked: {"items": []}
    incremental = {} if mode is Mode.REPLACE else {"incremental": {"column": "id"}}
    outcome, _ = work(tmp_path, service, shop.connection, mode, **incremental).attempt()
    assert outcome.outputs["rows"] == 0
    assert shop.ids() == ([] if mode is Mode.REPLACE else [1])


def test_a_target_that_is_not_there_wants_its_columns_told(
    tmp_path: Path, service: WebService, shop: Target
) -> None:
    with pytest.raises(DataQualityError, match=r"into:rows: the source has no rows.*`types`"):
        work(tmp_path, service, shop.connection).attempt()
    (tmp_path / "told").mkdir()
    told = work(tmp_path / "told", service, shop.connection, types={"id": "integer"})
    assert told.attempt()[0].outputs["rows"] == 0
    assert shop.ids() == []


def test_nothing_is_sent_where_there_is_no_table(tmp_path: Path, service: WebService) -> None:
    into = {"type": "rest", "base_url": service.url}
    assert work(tmp_path, service, into).attempt()[0].outputs["rows"] == 0
    assert [each.method for each in service.asked] == ["GET"]
