"""The first rows of what streams past: bounded, and never in the way of the rows themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from engine.dataflow.sampling import BYTES, ROWS, Sampled
from engine.dataflow.staging import Staged, StagedDataset
from engine.dataflow.streams import Batches
from engine.ports.stream import RawText


def batches(*columns: list[object]) -> Batches:
    made = [pa.RecordBatch.from_pydict({"x": each}) for each in columns]
    return Batches(made[0].schema, made)


def sampled(stream: Batches, folder: Path) -> Sampled:
    return Sampled(stream, folder / "run" / "task", folder)


def kept(taken: Sampled, folder: Path, total: int = 7) -> list[object]:
    reference = taken.publish(total)
    assert reference is not None
    dataset = StagedDataset(reference, folder)
    assert dataset.manifest["total"] == total
    return [each for batch in dataset for each in batch.column("x").to_pylist()]


def test_it_keeps_so_many_rows_and_hands_on_all(tmp_path: Path) -> None:
    taken = sampled(batches(list(range(700)), list(range(700, 5_000)), [1, 2]), tmp_path)
    assert sum(each.num_rows for each in taken) == 5_002
    assert kept(taken, tmp_path) == list(range(ROWS))


def test_wide_rows_are_few_and_there_is_always_one(tmp_path: Path) -> None:
    wide = "x" * (BYTES // 4)
    taken = sampled(batches([wide] * 50, [wide]), tmp_path)
    assert sum(each.num_rows for each in taken) == 51
    assert 1 <= len(kept(taken, tmp_path)) <= 5


def test_a_full_disk_costs_the_sample_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Staged, "write", full)
    taken = sampled(batches([1], [2]), tmp_path)
    assert sum(each.num_rows for each in taken) == 2
    assert taken.publish(2) is None


def test_no_rows_are_no_sample(tmp_path: Path) -> None:
    taken = sampled(batches([]), tmp_path)
    assert [each.num_rows for each in taken] == [0]
    assert taken.publish(0) is None
    taken.close()


@pytest.mark.parametrize(
    ("blocks", "found"),
    [
        ([b'1,"a\n', b'b"\n2,c\n'], []),  # no whole record in the first block
        ([b'1,"a\nb"\n2,c\n3,', b"d\n"], ["1", "2"]),
        ([b"1,a\n2\n"], []),  # a row too short: whoever loads it says so
        ([b"\n"], []),
    ],
)
def test_text_is_looked_at_as_far_as_it_is_whole(tmp_path: Path, blocks: list[bytes], found: list[str]) -> None:
    empty = Batches(pa.schema([("x", pa.string()), ("y", pa.string())]), [])
    taken = sampled(empty, tmp_path)

    def given() -> Iterator[bytes]:
        yield from blocks

    handed_on = taken.text(RawText(blocks=given(), columns=("x", "y")))
    assert list(handed_on.blocks) == blocks
    assert (kept(taken, tmp_path) if found else taken.publish(3) or []) == found
