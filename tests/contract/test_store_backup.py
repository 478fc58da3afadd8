"""Backup and restore: a whole copy or none, and no engine of before writes into what was restored."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from engine.model.errors import Deposed, NotFound, Refused, RequestError, StoreUnusable
from engine.model.run import RunState
from engine.model.workspace import Settings
from engine.ports.store import Changes
from engine.stores.backup import backup, restore
from engine.stores.open import state_epoch
from tests.contract.store_records import T0, Rig, at, entry, event, lease, run, started, task


def test_a_backup_is_consistent_while_the_engine_writes(file_rig: Rig, tmp_path: Path) -> None:
    """DEP-06: one file, private, with what was still in the log."""
    store = file_rig.writer()
    started(store, task("a"))
    store.commit(Changes(audit=[entry()]), "c")
    copy = tmp_path / "copy.db"
    assert backup(file_rig.settings, copy) == copy.stat().st_size
    store.commit(Changes(events=[event()]), "later")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    beside = Rig(Settings(root=tmp_path, state="copy.db"))
    queries = beside.queries()
    assert [each.run_id for each in queries.runs()[0]] == ["r1"]
    assert queries.last_seq() == 1
    assert queries.verify_audit()[:2] == (1, None)
    beside.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == [".penstock", "copy.db"]


def test_a_restore_brings_the_old_state_back_and_keeps_the_new(file_rig: Rig, tmp_path: Path) -> None:
    store = file_rig.writer(epoch=4, holder="old")
    started(store, task("a"))
    copy = tmp_path / "copy.db"
    backup(file_rig.settings, copy)
    store.commit(Changes(new_runs=[run("r2", triggered_at=at(9))], events=[event(), event()]), "after")
    queries = file_rig.queries()
    assert len(queries.runs()[0]) == 2
    store.close()
    done = restore(file_rig.settings, copy)
    assert [each.run_id for each in queries.runs()[0]] == ["r1"]  # a reader that was open notices
    assert queries.last_seq() == 3  # feeds go on from where they were
    assert done.before is not None
    before = Rig(Settings(root=tmp_path, state=f".penstock/{done.before.name}"))
    assert len(before.queries().runs()[0]) == 2
    before.close()
    assert not list(file_rig.path.parent.glob("*.restoring"))


def test_the_epoch_rises_above_every_one_that_was(file_rig: Rig, tmp_path: Path) -> None:
    """FAULTS 19: neither the state's, nor the backup's, nor one the mailbox gave is ever given again."""
    copy = tmp_path / "copy.db"
    file_rig.writer(epoch=9, holder="nine").close()
    backup(file_rig.settings, copy)
    box = file_rig.mailbox()
    held = box.acquire(lease("twelve", epoch=11), T0, holder_gone=False)
    assert held is not None
    box.release(held)
    done = restore(file_rig.settings, copy)
    assert done.epoch == 13 == state_epoch(file_rig.settings)
    with pytest.raises(Deposed):
        file_rig.writer(epoch=12, holder="twelve")
    following = box.acquire(lease("next"), T0, holder_gone=False)
    assert following is not None
    assert following.epoch == 14
    again = file_rig.writer(epoch=following.epoch, holder="next")
    assert again.commit(Changes(events=[event()]), "c") == 1


def test_a_damaged_state_can_be_restored_over(file_rig: Rig, tmp_path: Path) -> None:
    """FAULTS 18: what is left of the old state is kept, and its log is not mistaken for the new one's."""
    store = file_rig.writer()
    started(store, task("a"))
    copy = tmp_path / "copy.db"
    backup(file_rig.settings, copy)
    store.close()
    Path(f"{file_rig.path}-wal").write_bytes(b"junk" * 5000)
    file_rig.path.write_bytes(os.urandom(10_000))
    done = restore(file_rig.settings, copy)
    assert done.before is not None
    assert done.before.stat().st_size == 10_000
    assert len(file_rig.queries().runs()[0]) == 1
    record = file_rig.writer(epoch=done.epoch + 1, holder="second").load_run("r1")
    assert record is not None
    assert record.run.state is RunState.RUNNING


def test_a_restore_into_a_workspace_without_state(file_rig: Rig, tmp_path: Path) -> None:
    started(file_rig.writer(), task("a"))
    copy = tmp_path / "copy.db"
    backup(file_rig.settings, copy)
    other = tmp_path / "other"
    other.mkdir()
    settings = Settings(root=other)
    done = restore(settings, copy)
    assert done.before is None
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o600
    rig = Rig(settings)
    assert len(rig.queries().runs()[0]) == 1
    rig.close()


def broken_copy(kind: str, copy: Path) -> None:
    if kind == "text":
        copy.write_text("hello")
    elif kind == "empty":
        copy.write_bytes(b"")
    elif kind == "truncated":
        os.truncate(copy, copy.stat().st_size // 2)
    else:
        if kind == "foreign":
            copy.unlink()
        statement = "CREATE TABLE t (x)" if kind == "foreign" else "UPDATE alembic_version SET version_num = '9'"
        connection = sqlite3.connect(copy)
        connection.execute(statement)
        connection.commit()
        connection.close()


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "foreign", "newer"])
def test_what_is_no_good_backup_is_refused_and_nothing_is_touched(file_rig: Rig, tmp_path: Path, kind: str) -> None:
    store = file_rig.writer()
    started(store, *(task(f"t{n}") for n in range(300)))
    copy = tmp_path / "copy.db"
    backup(file_rig.settings, copy)
    store.close()
    broken_copy(kind, copy)
    before = file_rig.path.read_bytes()
    with pytest.raises(StoreUnusable):
        restore(file_rig.settings, copy)
    assert file_rig.path.read_bytes() == before
    assert [each.name for each in file_rig.path.parent.iterdir()] == ["state.db"]


def test_a_backup_overwrites_nothing_and_needs_something(file_rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing to back up"):
        backup(file_rig.settings, tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []
    file_rig.writer()
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(Refused, match="exists already"):
        backup(file_rig.settings, taken)
    assert taken.read_text() == "mine"
    backup(file_rig.settings, taken, overwrite=True)
    with pytest.raises(Refused, match="state itself"):
        backup(file_rig.settings, file_rig.path, overwrite=True)
    with pytest.raises(Refused, match="state itself"):
        restore(file_rig.settings, file_rig.path)
    with pytest.raises(NotFound):
        backup(file_rig.settings, tmp_path / "no" / "copy.db")
    with pytest.raises(NotFound):
        restore(file_rig.settings, tmp_path / "nothing.db")


def test_on_postgresql_its_own_tools_are_named(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, state="postgresql://postgres@127.0.0.1/x")
    with pytest.raises(RequestError, match="pg_dump"):
        backup(settings, tmp_path / "copy.db")
    with pytest.raises(RequestError, match="pg_restore"):
        restore(settings, tmp_path / "copy.db")
