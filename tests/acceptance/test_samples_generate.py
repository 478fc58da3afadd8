"""`penstock samples generate`: invented data, the same for everybody."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import pytest

from engine.bootstrap import sample_data
from tests.acceptance.workspaces import Workspace, made_in


@pytest.fixture
def samples(tmp_path: Path) -> Workspace:
    made = made_in(tmp_path / "ws")
    made.write("penstock.yaml", "version: 1\nsamples: true\n")
    return made


def rows(samples: Workspace, name: str) -> list[dict[str, str]]:
    with (samples.root / "data" / "generated" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def generated(samples: Workspace, *arguments: str) -> dict[str, Any]:
    files = samples.json("samples", "generate", *arguments)["files"]
    return {Path(one["path"]).name: one for one in files}


def test_the_same_seed_gives_the_same_bytes(samples: Workspace) -> None:
    first = generated(samples, "--rows", "2000")
    assert generated(samples, "--rows", "2000") == first
    other = generated(samples, "--rows", "2000", "--seed", "winter")
    assert all(other[name]["sha256"] != one["sha256"] for name, one in first.items())
    # What others have compared their figures with must not change unseen.
    assert first["orders.csv"]["sha256"] == "822ad1ca8501ad758b5554612059f4ad5989664169e458a22c20bc23f088f513"


def test_files_are_what_is_told_of_them(samples: Workspace) -> None:
    for name, one in generated(samples, "--rows", "2000").items():
        data = (samples.root / one["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (one["bytes"], one["sha256"])
        assert len(rows(samples, name)) == one["rows"]
    assert not list((samples.root / "data" / "generated").glob(".*"))


def test_the_data_has_what_real_data_has(samples: Workspace) -> None:
    """Nulls, unicode, duplicates and bad rows."""
    generated(samples, "--rows", "5000")
    orders, customers = rows(samples, "orders.csv"), rows(samples, "customers.csv")
    assert len({order["order_id"] for order in orders}) == 5000 < len(orders)
    assert any(order["note"] == "" for order in orders)
    assert any("🎁" in order["note"] for order in orders)
    assert any("\n" in order["note"] for order in orders)
    assert {"12,50", "free"} <= {order["total"] for order in orders}
    assert any(not customer["name"].isascii() for customer in customers)
    assert {one["customer_id"] for one in rows(samples, "customer_segments.csv")} == {
        one["customer_id"] for one in customers
    }
    clean = generated(samples, "--rows", "5000", "--bad", "0")
    assert clean["orders.csv"]["rows"] >= 5000
    assert all(order["total"].replace(".", "").isdigit() for order in rows(samples, "orders.csv"))


def test_rows_are_written_as_they_are_made(samples: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure on the way leaves the file that was there."""
    before = generated(samples, "--rows", "100")["orders.csv"]

    def stops(*_: Any) -> Any:
        yield ("1",)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sample_data, "_orders", stops)
    samples.penstock("samples", "generate", "--rows", "200")
    data = (samples.root / before["path"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == before["sha256"]
    assert not list((samples.root / "data" / "generated").glob(".*"))


def test_no_other_workspace_is_filled(tmp_path: Path) -> None:
    mine = made_in(tmp_path / "mine")
    said = mine.penstock("samples", "generate")
    assert said.code == 2
    assert "samples: true" in said.err
    assert not (mine.root / "data").exists()
