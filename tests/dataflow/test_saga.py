"""One load into several targets: all of them or none, whatever is killed where (TXN-01 to 04, TXN-06)."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.model.errors import DataQualityError, TaskFailure
from tests.dataflow.pages import Pages
from tests.dataflow.targets import ANY, KINDS, Target, target
from tests.dataflow.work import Work

STEPS = (
    "extract.read",
    "load.staged:1",
    "saga.staged:1",
    "saga.staged_kept:1",
    "load.staged:2",
    "saga.staged:2",
    "saga.staged_kept:2",
    "saga.published:1",
    "saga.published_kept:1",
    "saga.published:2",
    "saga.published_kept:2",
    "saga.complete",
    "saga.discarded",
)
BACK = ("saga.failed_kept", "saga.undone:1", "saga.undone_kept:1", "saga.undone:2", "saga.undone_kept:2")
BEFORE = [-2, -1]


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    made = Pages(tmp_path / "pages")
    made.add(25)
    return made


@pytest.fixture(params=(*KINDS, ANY))
def two(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Target, Target]:
    """Two databases with a table each that has rows already."""
    found = target(KINDS[0], tmp_path, request, "one"), target(request.param, tmp_path, request, "other")
    for each in found:
        each.ask("CREATE TABLE rows (id BIGINT PRIMARY KEY, seq BIGINT, name VARCHAR(20))")
        each.ask("INSERT INTO rows VALUES (-1, 0, 'before'), (-2, 0, 'before')")
    return found


def both(root: Path, two: tuple[Target, Target], **more: Any) -> Work:
    return Work(
        root=root,
        type="load",
        task="load",
        config={
            "source": {"connection": "pages", "table": "rows", "incremental": True},
            "targets": [{"connection": "one", "target": "rows"}, {"connection": "other", "target": "rows"}],
            **more,
        },
        connections={
            "pages": {"type": "pages", "folder": "pages"},
            "one": two[0].connection,
            "other": two[1].connection,
        },
    )


def spoil(target: Target) -> None:
    """From now on nothing can be published there: what is staged meets a row of the same key."""
    target.ask("INSERT INTO rows VALUES (7, 0, 'in the way')")


def test_both_targets_have_the_rows_and_the_run_shows_it(
    tmp_path: Path, pages: Pages, two: tuple[Target, Target]
) -> None:
    """TXN-01."""
    outcome, _ = both(tmp_path, two).attempt()
    for each in two:
        assert each.ids() == [*BEFORE, *range(1, 26)]
        assert each.left_behind() == []
    assert outcome.outputs["targets"] == {
        "one:rows": {"rows": 25, "state": "published"},
        "other:rows": {"rows": 25, "state": "published"},
    }
    assert [each.value["value"] for each in outcome.moves] == [125]
    assert [each.dataset for each in outcome.touches] == ["pages:rows", "one:rows", "other:rows"]
    assert outcome.metrics["targets_published"] == 2


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_next_attempt_completes_it(
    step: str, tmp_path: Path, pages: Pages, two: tuple[Target, Target]
) -> None:
    """A, B, C: every row in both targets once, the watermark of these rows, nothing left beside them."""
    work = both(tmp_path, two)
    assert work.killed(step)
    outcome, _ = work.attempt(2)
    for each in two:
        assert each.ids() == [*BEFORE, *range(1, 26)]
        assert each.left_behind() == []
        assert len(each.ask("SELECT * FROM _penstock_loads")) == 1
    assert [each.value["value"] for each in outcome.moves] == [125]
    assert sorted(each.rows or 0 for each in outcome.touches) == [25, 25, 25]


@pytest.mark.parametrize("mode", ["append", "upsert", "replace"])
def test_if_the_second_cannot_the_first_is_taken_back(
    mode: str, tmp_path: Path, pages: Pages, two: tuple[Target, Target]
) -> None:
    """TXN-02, TXN-03, TXN-06: compensated in reverse order; rows that others wrote stay."""
    keys = {"keys": ["id"]} if mode == "upsert" else {}
    work = both(tmp_path, two, mode=mode, **keys)
    assert work.killed("saga.staged_kept:2")
    two[1].ask("ALTER TABLE rows RENAME TO elsewhere")
    two[1].ask("CREATE TABLE rows (id BIGINT PRIMARY KEY, seq BIGINT, name VARCHAR(20), must INTEGER NOT NULL)")
    with pytest.raises(TaskFailure, match=r"No target has the rows\. The rows were in one:rows already"):
        work.attempt(2)
    assert two[0].ids() == BEFORE
    assert two[0].ask("SELECT DISTINCT name FROM rows") == [("before",)]
    assert two[0].ask("SELECT * FROM _penstock_loads") == []
    assert two[0].left_behind() == []


@pytest.mark.parametrize("step", BACK)
def test_killed_while_taking_back_the_next_attempt_goes_on(
    step: str, tmp_path: Path, pages: Pages, two: tuple[Target, Target]
) -> None:
    """TXN-03: every undo is idempotent; and then the load can be done anew."""
    work = both(tmp_path, two)
    assert work.killed("saga.staged_kept:2")
    spoil(two[1])
    assert work.killed(step, 2)
    with pytest.raises(DataQualityError, match="No target has the rows"):
        work.attempt(3)
    assert two[0].ids() == BEFORE
    assert two[1].ids() == [*BEFORE, 7]
    assert two[0].left_behind() == two[1].left_behind() == []

    two[1].ask("DELETE FROM rows WHERE id = 7")
    asked = pages.asked()
    work.attempt(4)
    assert [each.ids() for each in two] == [[*BEFORE, *range(1, 26)]] * 2
    assert pages.asked() == asked  # the rows were kept


def test_rows_that_cannot_be_staged_everywhere_are_published_nowhere(
    tmp_path: Path, pages: Pages, two: tuple[Target, Target]
) -> None:
    """TXN-02: unanimous or not at all."""
    two[1].ask("ALTER TABLE rows DROP COLUMN name")
    with pytest.raises(DataQualityError, match="other:rows has no column 'name'"):
        both(tmp_path, two).attempt()
    assert [each.ids() for each in two] == [BEFORE, BEFORE]
    assert two[0].left_behind() == two[1].left_behind() == []
    assert "saga" not in both(tmp_path, two).checkpoint()


def test_being_asked_to_end_between_two_targets_takes_back(
    tmp_path: Path, pages: Pages, two: tuple[Target, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that ends by itself leaves all or none."""
    from engine.ports import failpoint
    from engine.sdk.attempt import Cancelled

    def asked(name: str) -> None:
        if name == "saga.published_kept":
            raise Cancelled

    monkeypatch.setattr(failpoint, "hit", asked)
    with pytest.raises(Cancelled):
        both(tmp_path, two).attempt()
    assert [each.ids() for each in two] == [BEFORE, BEFORE]


def test_a_success_that_is_run_again_is_another_load(
    tmp_path: Path, pages: Pages, two: tuple[Target, Target]
) -> None:
    keyed = both(tmp_path, two, mode="upsert", keys=["id"])
    keyed.attempt()
    pages.add(1)
    replace(keyed, generation=1).attempt()
    assert [each.ids() for each in two] == [[*BEFORE, *range(1, 27)]] * 2


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_it_ends_with_all_rows_in_both(
    seed: int, tmp_path: Path, pages: Pages, two: tuple[Target, Target]
) -> None:
    """FAULTS 3: killed while taking over from one that was killed."""
    _through_kills(random.Random(seed), tmp_path, two)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 150))
def test_soak_of_kills(seed: int, tmp_path: Path, pages: Pages, two: tuple[Target, Target]) -> None:
    _through_kills(random.Random(seed), tmp_path, two)


def _through_kills(chance: random.Random, root: Path, two: tuple[Target, Target]) -> None:
    work = both(root, two)
    places = [chance.choice(STEPS) for _ in range(6)]
    number = 0
    for number, place in enumerate(places, start=1):
        work.killed(place, number)  # it may have come beyond that place already
        if {len(each.ids()) for each in two} == {27}:
            break
    outcome, _ = work.attempt(number + 1)
    for each in two:
        assert each.ids() == [*BEFORE, *range(1, 26)], places
        assert each.left_behind() == [], places
    assert [each.value["value"] for each in outcome.moves] == [125]


@pytest.mark.parametrize("place", ["saga.failed_kept", "files.undone", "saga.undone:1", "saga.undone_kept:2"])
def test_files_are_taken_back_too(place: str, tmp_path: Path, pages: Pages, two: tuple[Target, Target]) -> None:
    """TXN-03: a file and a database, both or neither, killed while the file is taken back."""
    work = both(tmp_path, two)
    targets = [
        {"connection": "files", "target": "out/", "format": "csv"},
        {"connection": "other", "target": "rows"},
    ]
    work = replace(
        work,
        config={**work.config, "targets": targets},
        connections={**work.connections, "files": {"type": "file", "path": "files"}},
    )
    (tmp_path / "files").mkdir()
    assert work.killed("saga.staged_kept:2")
    spoil(two[1])
    assert work.killed(place, 2)
    with pytest.raises(DataQualityError, match="No target has the rows"):
        work.attempt(3)
    out = tmp_path / "files" / "out"
    assert [each for each in out.rglob("*") if each.is_file() and not each.name.startswith(".")] == []
    two[1].ask("DELETE FROM rows WHERE id = 7")
    work.attempt(4)
    (written,) = (each for each in out.iterdir() if each.is_file() and not each.name.startswith("."))
    assert len(written.read_bytes().splitlines()) == 26
    assert two[1].ids() == [*BEFORE, *range(1, 26)]
