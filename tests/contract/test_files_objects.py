"""Object stores: the same formats, ledger and patterns as in a folder; objects appear whole and are read unmixed.

In `make test` on obstore's store in memory, which knows ETags, conditions and metadata as S3 does; in `make soak`
on servers for S3, Google and Azure (tests/contract/object_rig.py).
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from engine.model.errors import ConfigurationError, DataQualityError, PermissionFailure
from engine.ports import failpoint
from engine.ports.destination import Mode
from engine.ports.source import Selection, Window
from tests.contract.files_bench import ROWS, SCHEMA, TYPES, order, stream, table
from tests.contract.object_rig import Bucket

obstore = pytest.importorskip("obstore")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.json", "a.parquet", "a.avro", "a.arrow"])
def test_every_kind_comes_back_as_it_was(bucket: Bucket, name: str) -> None:
    """SRC-14, DST-09"""
    files = bucket.files()
    loaded = files.load(stream(), order(f"out/{name}"))
    assert loaded.rows == len(ROWS) and loaded.uri.endswith(f"/data/out/{name}") and "?" not in loaded.uri
    options = {"types": TYPES} if name.split(".")[1] in ("csv", "json", "jsonl") else {}
    found = table(files, Selection(path=f"out/{name}", options=options))
    assert found.schema.equals(SCHEMA) and found.to_pylist() == ROWS


def test_patterns_raw_text_and_what_is_new(bucket: Bucket) -> None:
    """SRC-13"""
    files = bucket.files()
    for name in ("data/in/1.csv", "data/in/deep/2.csv", "other/in/3.csv"):
        obstore.put(bucket.store, name, b"a,b\n1,2\n")
    assert files.discover("in/**/*.csv") == ["in/1.csv", "in/deep/2.csv"]
    reading = files.read(Selection(path="in"))
    text = reading.raw()
    assert text is not None and b"".join(text.blocks) == b"1,2\n1,2\n"
    reading.close()
    reading = files.read(Selection(path="in/**/*.csv", window=Window()))
    assert sum(batch.num_rows for batch in reading) == 2
    seen = reading.seen()
    assert seen is not None
    obstore.put(bucket.store, "data/in/4.csv", b"a,b\n7,8\n")
    found = table(files, Selection(path="in/**/*.csv", window=Window(after=seen.value)))
    assert found.to_pylist() == [{"a": 7, "b": 8}]


def test_an_object_larger_than_one_part_arrives_whole(bucket: Bucket) -> None:
    files = bucket.files()
    chance = random.Random(1)
    rows = [{**ROWS[0], "id": number, "text": chance.randbytes(2_000).hex()} for number in range(6_000)]
    files.load(stream(rows), order("big.csv"))
    found = table(files, Selection(path="big.csv", options={"types": TYPES}))
    assert found.column("text").to_pylist() == [row["text"] for row in rows]


@pytest.mark.parametrize("pattern", ["{}", "*"])
@pytest.mark.parametrize("path", ["a.csv", "a.parquet"])
def test_an_object_replaced_while_it_is_read_is_refused(bucket: Bucket, path: str, pattern: str) -> None:
    """FAULTS 27: the ETag goes with each request, be it of the object or of a listing."""
    files = bucket.files()
    files.load(stream(), order(path, token="1"))
    assert table(files, Selection(path=pattern.format(path), columns=["id"])).num_rows == len(ROWS)
    reading = files.read(Selection(path=pattern.format(path)))
    files.load(stream(ROWS[:2]), order(path, token="2"))
    with pytest.raises(DataQualityError, match="changed while it was being read"):
        list(reading)


class TestLedger:
    def test_a_token_is_loaded_once(self, bucket: Bucket) -> None:
        files = bucket.files()
        given: dict[str, Any] = {"scope": "s", "seal": lambda: {"watermark": 1}}
        assert not files.load(stream(), order("a.csv", **given)).already
        again = files.load(stream([]), order("a.csv", **given))
        assert again.already and again.rows == 4 and files.watermark("s", "a.csv") == {"watermark": 1}
        for token in ("1", "2", "1"):
            files.load(stream(), order("parts/", token=token, mode=Mode.APPEND))
        assert len(files.discover("parts/*.parquet")) == 2

    @pytest.mark.parametrize("point", ["files.written", "files.sealed", "files.published"])
    @pytest.mark.parametrize(("target", "mode"), [("a.csv", Mode.REPLACE), ("parts/", Mode.APPEND)])
    def test_died_around_the_commit_the_object_is_old_or_new_and_the_ledger_says_which(
        self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, point: str, target: str, mode: Mode
    ) -> None:
        """FAULTS 2: an attempt stops for good at the point; what it holds is dropped."""
        files = bucket.files()
        files.load(stream(), order(target, token="1", mode=mode))

        class Died(BaseException):
            pass

        def die(name: str) -> None:
            if name == point:
                raise Died

        monkeypatch.setattr(failpoint, "hit", die)
        with pytest.raises(Died):
            files.load(stream(ROWS[:1]), order(target, token="2", mode=mode))
        monkeypatch.undo()
        count = table(files, Selection(path=target, columns=["id"])).num_rows
        new = 1 if mode is Mode.REPLACE else 5
        assert count == (new if files.ledger("2", target) is not None else 4)
        assert (files.ledger("2", target) is not None) == (point == "files.published")
        files.load(stream(ROWS[:1]), order(target, token="2", mode=mode))
        assert table(files, Selection(path=target, columns=["id"])).num_rows == new

    @pytest.mark.parametrize("had", [True, False])
    def test_staged_published_and_taken_back(self, bucket: Bucket, had: bool) -> None:
        """TXN-03"""
        files = bucket.files()
        if had:
            files.load(stream(), order("a.csv", token="1"))
        one = order("a.csv", token="2")
        staged = files.stage(stream(ROWS[:1]), one)
        assert files.discover("*") == (["a.csv"] if had else [])
        assert files.publish(staged, one).rows == 1 and files.publish(staged, one).already
        for _ in range(2):
            files.undo(staged, one)
            files.discard(staged)
        assert files.ledger("2", "a.csv") is None and files.discover("*") == (["a.csv"] if had else [])
        if had:
            assert table(files, Selection(path="a.csv", columns=["id"])).num_rows == 4

    def test_a_ledger_that_somebody_else_has_put_meanwhile_is_not_lost(self, bucket: Bucket) -> None:
        files = bucket.files()
        one, other = order("a.csv", token="1"), order("a.csv", token="2")
        files.load(stream(), one)

        def seal() -> dict[str, Any]:
            bucket.files().load(stream(), other)  # between this load's look at the ledger and its put
            return {}

        files.load(stream(), order("a.csv", token="3", seal=seal))
        assert all(files.ledger(token, "a.csv") is not None for token in ("1", "2", "3"))

    def test_what_a_store_cannot_do_at_once_is_refused(self, bucket: Bucket) -> None:
        files = bucket.files()
        with pytest.raises(ConfigurationError, match="several objects cannot appear at once"):
            files.load(stream(), order("t/", options={"partition_by": ["yes"]}))
        with pytest.raises(ConfigurationError, match="several objects cannot appear at once"):
            files.load(stream(), order("t/"))


class TestRefusals:
    def test_missing_objects_and_paths_that_lead_out(self, bucket: Bucket) -> None:
        files = bucket.files()
        with pytest.raises(ConfigurationError, match=r"No file 'gone\.csv' in connection 'lake'"):
            table(files, Selection(path="gone.csv"))
        obstore.put(bucket.store, "secret.csv", b"a\n1\n")
        with pytest.raises(PermissionFailure, match="leads out"):
            table(files, Selection(path="../secret.csv"))
