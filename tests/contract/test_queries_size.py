"""How large the state is, on both databases."""

from __future__ import annotations

from engine.ports.store import Changes
from tests.contract.store_records import Rig, run, version


def test_the_size_of_the_state_is_told_once_there_is_one(rig: Rig) -> None:
    """HLT-06: and it counts what is not yet checkpointed."""
    queries = rig.queries()
    assert queries.stored_bytes() is None
    store = rig.writer()
    empty = queries.stored_bytes()
    assert empty is not None and empty > 10_000
    runs = [run(f"run{number:04d}", parameters={"text": "x" * 500}) for number in range(400)]
    store.commit(Changes(versions=[version()], new_runs=runs), "fill")
    filled = queries.stored_bytes()
    assert filled is not None and filled > empty + 100_000
