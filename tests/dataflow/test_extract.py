"""`extract`: staged, taken up again, confirmed, and never fetched twice (EXE-13, CKP; FAULTS 2, 28)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.dataflow.staging import StagedDataset
from engine.model.errors import ConfigurationError, NetworkError
from engine.tasks import extract
from tests.dataflow.pages import Pages
from tests.dataflow.work import Work


def reading(root: Path, **more: Any) -> Work:
    return Work(
        root=root,
        type="extract",
        config={"connection": "pages", "table": "rows", **more},
        connections={"pages": {"type": "pages", "folder": "pages"}},
    )


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    made = Pages(tmp_path / "pages")
    made.add(45)
    made.tell(resumable=True)
    return made


def ids(work: Work, outputs: Any) -> list[int]:
    dataset = StagedDataset(outputs["dataset"], work.root / "staging")
    return [one for batch in dataset for one in batch.column("id").to_pylist()]


def test_all_rows_are_staged_and_told(tmp_path: Path, pages: Pages) -> None:
    """LIN-01: what was read is recorded by itself."""
    outcome, _ = reading(tmp_path).attempt()
    assert ids(reading(tmp_path), outcome.outputs) == list(range(1, 46))
    assert outcome.outputs["rows"] == 45
    assert [(each.dataset, each.rows) for each in outcome.touches] == [("pages:rows", 45)]
    assert outcome.metrics["rows"] == 45


def test_after_a_failure_only_the_missing_pages_are_fetched(tmp_path: Path, pages: Pages) -> None:
    """SRC-11: resume from the last good position."""
    work = reading(tmp_path)
    pages.tell(fail_at=3)
    with pytest.raises(NetworkError):
        work.attempt(1)
    pages.tell(fail_at=None)
    outcome, _ = work.attempt(2)
    assert ids(work, outcome.outputs) == list(range(1, 46))
    assert pages.asked() == [0, 1, 2, 3, 3, 4, 5]
    assert outcome.touches[0].rows == 45


def test_a_killed_attempt_is_taken_over_from_its_checkpoint(tmp_path: Path, pages: Pages) -> None:
    """FAULTS 2: what was kept is not fetched again, what was not is; every row comes once."""
    work = reading(tmp_path)
    assert work.killed("extract.batch:3")
    outcome, _ = work.attempt(2)
    assert ids(work, outcome.outputs) == list(range(1, 46))
    assert pages.asked() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("place", ["extract.read", "extract.staged"])
def test_killed_at_the_end_the_rows_come_once(tmp_path: Path, pages: Pages, place: str) -> None:
    work = reading(tmp_path)
    assert work.killed(place)
    before = pages.asked()
    outcome, _ = work.attempt(2)
    assert ids(work, outcome.outputs) == list(range(1, 46))
    assert (pages.asked() == before) == (place == "extract.staged")


def test_a_source_whose_columns_have_changed_meanwhile_is_read_anew(tmp_path: Path, pages: Pages) -> None:
    """FAULTS 28: parts of two shapes are never one dataset."""
    work = reading(tmp_path)
    pages.tell(fail_at=3)
    with pytest.raises(NetworkError):
        work.attempt(1)
    pages.tell(fail_at=None, columns="colour")
    outcome, _ = work.attempt(2)
    assert ids(work, outcome.outputs) == list(range(1, 46))
    assert StagedDataset(outcome.outputs["dataset"], tmp_path / "staging").schema.names[-1] == "colour"


def test_parts_that_were_swept_meanwhile_are_read_anew(tmp_path: Path, pages: Pages) -> None:
    work = reading(tmp_path)
    pages.tell(fail_at=3)
    with pytest.raises(NetworkError):
        work.attempt(1)
    pages.tell(fail_at=None)
    for part in (tmp_path / "staging").rglob("*.arrow"):
        part.unlink()
    outcome, _ = work.attempt(2)
    assert ids(work, outcome.outputs) == list(range(1, 46))


def test_a_success_that_is_run_again_reads_again(tmp_path: Path, pages: Pages) -> None:
    """DESIGN 6: the generation rises when a success is run again; what was kept belongs to the one before."""
    work = reading(tmp_path)
    work.attempt(1)
    pages.add(1)
    again = Work(root=work.root, type=work.type, config=work.config, connections=work.connections, generation=1)
    assert ids(again, again.attempt(2)[0].outputs) == list(range(1, 47))


def test_messages_are_confirmed_once_their_rows_are_safe(tmp_path: Path, pages: Pages) -> None:
    pages.tell(resumable=False, wants_confirmation=True)
    work = reading(tmp_path)
    assert work.killed("extract.read")
    assert pages.confirmed() == []
    assert work.killed("extract.staged", 2)
    assert pages.confirmed() == []
    outcome, _ = work.attempt(3)  # the rows lie there; the messages come again, and are known by their position
    assert ids(work, outcome.outputs) == list(range(1, 46))


def test_a_full_disk_keeps_no_position_beyond_the_rows(
    tmp_path: Path, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 15: what was handed out and not written is asked for again."""
    work = reading(tmp_path)
    written: list[int] = []

    def full(self: Any, batch: Any) -> None:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(1)
        real(self, batch)

    from engine.dataflow.staging import Staged

    real = Staged.write
    monkeypatch.setattr(extract, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(Staged, "write", full)
    with pytest.raises(OSError, match="No space left"):
        work.attempt(1)
    monkeypatch.setattr(Staged, "write", real)
    outcome, _ = work.attempt(2)
    assert ids(work, outcome.outputs) == list(range(1, 46))


def test_the_watermark_travels_in_the_manifest_and_moves_with_the_extract_only_where_that_is_said(
    tmp_path: Path, pages: Pages
) -> None:
    """INC-04: the watermark is not ahead of the data it stands for."""
    outcome, _ = reading(tmp_path, incremental=True).attempt()
    assert outcome.moves == ()
    manifest = StagedDataset(outcome.outputs["dataset"], tmp_path / "staging").manifest
    assert manifest["watermark"]["value"] == {"type": "integer", "value": 145}

    said = Work(
        root=tmp_path,
        type="extract",
        config={"connection": "pages", "table": "rows", "incremental": {"commit": "extract"}},
        connections=reading(tmp_path).connections,
        run="run2",
    )
    assert said.killed("extract.staged")
    assert [each.value["value"] for each in said.attempt(2)[0].moves] == [145]


def test_a_manifest_that_was_changed_is_refused(tmp_path: Path, pages: Pages) -> None:
    work = reading(tmp_path)
    outcome, _ = work.attempt()
    path = tmp_path / "staging" / outcome.outputs["dataset"]["$dataset"]
    path.write_text(path.read_text().replace('"rows": 45', '"rows": 44'))
    with pytest.raises(ConfigurationError, match="is not what its task published"):
        ids(work, outcome.outputs)
