"""What a state file can suffer, and that every fault is a typed refusal with a sentence."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from engine.model.errors import Deposed, NotFound, RequestError, StoreBusy, StoreError, StoreUnusable
from engine.model.pipeline import RetryPolicy
from engine.model.run import TaskState
from engine.model.workspace import Settings
from engine.ports.store import Changes, Checkpoint
from engine.stores import files, indexes, schema
from engine.stores.backup import backup
from engine.stores.connect import database_url, open_file, postgres_writer, shown
from engine.stores.open import locate, open_queries, open_writer, state_epoch
from engine.stores.queries import SqlQueries
from engine.stores.writer import LOG_PAGES, SqlStateStore
from tests.contract.store_records import (
    T0,
    Rig,
    attempt,
    command,
    entry,
    event,
    failure,
    letter,
    moved,
    patiently,
    started,
    task,
    transition,
    verdict,
)


def test_folders_and_files_are_private(file_rig: Rig) -> None:
    """DESIGN 1: mode 0700, and what SQLite puts beside the file is no more open than the file."""
    started(file_rig.writer(), task("a"))
    file_rig.mailbox().send(command("q"))
    file_rig.queries().runs()
    folder = file_rig.path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}
    assert {"state.db", "state.db-wal", "state.db-shm", "mailbox.db"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_a_shared_group_may_write(tmp_path: Path) -> None:
    import grp

    group = grp.getgrgid(os.getgid()).gr_name
    rig = Rig(Settings(root=tmp_path, shared_group=group))
    started(rig.writer(), task("a"))
    rig.mailbox().send(command("q"))
    assert stat.S_IMODE(rig.path.parent.stat().st_mode) == 0o2770
    assert {stat.S_IMODE(each.stat().st_mode) for each in rig.path.parent.iterdir()} == {0o660}
    rig.close()


def test_a_shared_group_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such group"):
        open_writer(Settings(root=tmp_path, shared_group="no-such-group-here"))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/ws", "nfs4"),
        ("/data/local/ws", "ext4"),
        ("/mnt/my share/ws", "cifs"),
        ("/home/ana", "ext4"),
        ("/ssh/x", "fuse.sshfs"),
    ],
)
def test_the_file_system_is_found_by_its_mount(path: str, kind: str) -> None:
    mounts = (
        "/dev/sda / ext4 rw 0 0\nserver:/x /data nfs4 rw 0 0\n/dev/sdb /data/local ext4 rw 0 0\n"
        "//nas/s /mnt/my\\040share cifs rw 0 0\nhost: /ssh fuse.sshfs rw 0 0\nodd line\n"
    )
    found = files.file_system(Path(path), mounts)
    assert found == kind
    assert files.is_network(found) == (kind != "ext4")


def test_a_network_file_system_is_refused_unless_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "file_system", lambda path, mounts: "nfs")
    with pytest.raises(StoreUnusable, match="allow_network_fs"):
        open_writer(Settings(root=tmp_path))
    store = open_writer(Settings(root=tmp_path, allow_network_fs=True))
    store.close()


@pytest.mark.parametrize("content", [b"not a database at all", b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_file_that_is_no_state_is_refused_and_left_alone(file_rig: Rig, content: bytes) -> None:
    """FAULTS 18, invariant G."""
    file_rig.path.parent.mkdir()
    file_rig.path.write_bytes(content)
    with pytest.raises(StoreUnusable, match="damaged or not a Penstock state"):
        open_writer(file_rig.settings)
    with pytest.raises(StoreUnusable):
        file_rig.queries().runs()
    assert file_rig.path.read_bytes() == content


def test_a_database_of_somebody_else_is_refused(file_rig: Rig) -> None:
    file_rig.path.parent.mkdir()
    with sqlite3.connect(file_rig.path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(StoreUnusable, match="other tables"):
        open_writer(file_rig.settings)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_state_is_a_typed_error(file_rig: Rig, share: float) -> None:
    """FAULTS 18: whoever meets the damage is told so; nobody gets a traceback of a driver."""
    store = file_rig.writer()
    started(store, *(task(f"t{n}") for n in range(500)))
    store.close()
    size = file_rig.path.stat().st_size
    os.truncate(file_rig.path, int(size * share))
    with pytest.raises(StoreUnusable, match="damaged"):
        file_rig.queries().executions("r1")
    with pytest.raises(StoreUnusable, match="damaged"):
        again = open_writer(file_rig.settings)
        file_rig.opened.append(again)
        again.take_over(2, "second", T0)
        again.load_run("r1")


def test_a_newer_state_is_refused_by_writer_and_readers(rig: Rig) -> None:
    """FAULTS 47: an old program never touches what a newer one wrote."""
    store = rig.writer()
    store.close()
    rig.sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnusable, match=r"newer Penstock \(revision 9999"):
        open_writer(rig.settings)
    with pytest.raises(StoreUnusable, match="newer Penstock"):
        rig.queries().runs()


def test_migrations_lead_to_the_schema_as_it_is_declared(rig: Rig) -> None:
    """DEP-03: every revision from empty on; `schema` and `migrations` never disagree."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    store = rig.writer()
    with store._reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), indexes.metadata) == []
    assert schema.KNOWN_REVISIONS[-1] == schema.REVISION


def test_the_migrated_file_has_the_very_tables_that_are_declared(file_rig: Rig) -> None:
    """What autogenerate does not compare: WITHOUT ROWID, conditions of indexes, names of keys."""
    store = file_rig.writer()
    query = text("SELECT name, sql FROM sqlite_master WHERE name != 'alembic_version' AND type != 'trigger'")
    with store._reading() as connection:
        migrated = {name: _squeezed(sql) for name, sql in connection.execute(query)}
    declared_engine = create_engine("sqlite://")
    with declared_engine.connect() as connection:
        indexes.metadata.create_all(connection)
        declared = {name: _squeezed(sql) for name, sql in connection.execute(query)}
    declared_engine.dispose()
    migrated.pop("sqlite_autoindex_alembic_version_1", None)
    assert migrated == declared


def _squeezed(sql: str | None) -> list[str]:
    return sorted((sql or "").replace(",", " ").replace("(", " ").replace(")", " ").split())


def test_two_engines_starting_at_once_make_one_store(rig: Rig) -> None:
    stores, errors = [], []

    def start() -> None:
        try:
            stores.append(patiently(lambda: open_writer(rig.settings)))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rig.opened += stores
    assert not errors
    stores[0].take_over(1, "one", T0)
    assert stores[0].commit(Changes(events=[event()]), "c") == 1


def test_a_locked_store_is_busy_and_goes_on_afterwards(file_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULTS 10."""
    monkeypatch.setattr("engine.stores.connect.LOCK_SECONDS", 0.05)
    store = file_rig.writer()
    started(store, task("a"))
    other = open_file(file_rig.path, "rw", 1)
    other.execute("BEGIN IMMEDIATE")
    changes = Changes(events=[event()], audit=[entry()])
    with pytest.raises(StoreBusy, match="locked"):
        store.commit(changes, "c")
    assert file_rig.queries().last_seq() == 1  # readers go on
    other.close()
    assert store.commit(changes, "c") == 2


def test_a_full_disk_is_busy_and_goes_on_afterwards(file_rig: Rig) -> None:
    """FAULTS 15: nothing is written, and with space again the same changes are."""
    store = file_rig.writer()
    started(store, task("a"))
    with store._reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").close()
    big = Changes(events=[event(payload={"x": "y" * 100_000}), event()])
    with pytest.raises(StoreBusy, match="full"):
        store.commit(big, "c")
    assert file_rig.queries().last_seq() == 1
    with store._reading() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000").close()
    assert store.commit(big, "c") == 3


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced"])
def test_a_state_taken_away_stops_the_engine(file_rig: Rig, replaced: bool) -> None:
    """FAULTS 19: nothing is written into a file that nobody will ever read again."""
    store = file_rig.writer()
    started(store, task("a"))
    queries = file_rig.queries()
    assert len(queries.runs()[0]) == 1
    for suffix in ("", "-wal", "-shm"):
        os.rename(f"{file_rig.path}{suffix}", f"{file_rig.path}.old{suffix}")
    if replaced:
        file_rig.writer(epoch=2, holder="second")
    with pytest.raises(StoreUnusable, match="deleted or replaced"):
        store.commit(Changes(events=[event()]), "c")
    assert queries.runs() == ([], None)


def test_the_epoch_of_the_state_is_known_without_an_engine(rig: Rig) -> None:
    assert state_epoch(rig.settings) == 0
    rig.writer(epoch=5).close()
    assert state_epoch(rig.settings) == 5


def test_readers_cannot_write_and_do_not_checkpoint(file_rig: Rig) -> None:
    """FAULTS, SQLite facts: one connection alone writes and checkpoints the state."""
    store = file_rig.writer()
    started(store, task("a"))
    log = Path(f"{file_rig.path}-wal")
    before = log.stat().st_size
    queries = open_queries(file_rig.settings)
    with pytest.raises(StoreUnusable), queries._reading() as connection:
        assert connection is not None
        connection.execute(text("DELETE FROM events"))
    queries.runs()
    queries.close()
    assert log.stat().st_size == before


def test_closing_empties_the_log_and_a_held_store_keeps_it(file_rig: Rig) -> None:
    store = file_rig.writer()
    started(store, task("a"))
    store.close()
    store.close()
    assert not Path(f"{file_rig.path}-wal").exists()
    held = file_rig.writer(epoch=2, holder="second", checkpointing=False)
    held.commit(Changes(events=[event(payload={"n": n}) for n in range(20_000)]), "many")
    assert Path(f"{file_rig.path}-wal").stat().st_size > 1001 * 4096 * 0.2
    with held._reading() as connection:
        assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one() == 0
    held.allow_checkpoints(True)
    with held._reading() as connection:
        assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one() == LOG_PAGES


def test_the_writer_is_durable_by_configuration(file_rig: Rig) -> None:
    """DEP-02; FAULTS: FULL loses no acknowledged commit."""
    store = file_rig.writer()
    with store._reading() as connection:
        ask = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert ask == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    """Invariant F."""
    settings = Settings(root=tmp_path, state="postgresql://ana:hunter2@127.0.0.1:1/nothing")
    assert "hunter2" not in locate(settings).where
    assert "hunter2" not in shown(database_url(settings.state))
    with pytest.raises(StoreBusy) as caught:
        open_writer(settings)
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize("state", ["mysql://x/y", "sqlite:///x.db", "://", "postgresql+psycopg2://x"])
def test_a_url_of_something_else_is_refused(tmp_path: Path, state: str) -> None:
    with pytest.raises(RequestError, match="state"):
        open_writer(Settings(root=tmp_path, state=state))


def test_a_lost_connection_is_busy_and_made_again(postgres_url: str, tmp_path: Path) -> None:
    """FAULTS 11: the server ends the session; nothing is written twice or lost."""
    rig = Rig(Settings(root=tmp_path, state=postgres_url))
    store = rig.writer()
    started(store, task("a"))
    queries = rig.queries()
    assert queries.last_seq() == 1
    rig.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'penstock'")
    changes = Changes(events=[event()], audit=[entry()])
    with pytest.raises(StoreBusy):
        store.commit(changes, "c")
    assert store.commit(changes, "c") == 2
    assert store.commit(changes, "c") == 2
    assert queries.verify_audit()[:2] == (1, None)
    rig.close()
    assert postgres_writer(database_url(postgres_url)).dialect.name == "postgresql"


FOREIGN_OPENER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0.1)
print(connection.execute("SELECT count(*) FROM events").fetchone()[0])
connection.close()
"""


def test_other_doors_of_the_process_do_not_drop_the_writers_locks(file_rig: Rig) -> None:
    """Closing any handle on a file drops the process's POSIX locks on it. Were the writer's lost, the last other
    program to close the file would checkpoint and delete the log under the engine."""
    store = file_rig.writer()
    started(store, task("a"))
    state_epoch(file_rig.settings)
    queries = open_queries(file_rig.settings)
    queries.runs()
    queries.changed(None)
    queries.close()
    backup(file_rig.settings, file_rig.settings.root / "copy.db")
    seen = subprocess.run(
        [sys.executable, "-c", FOREIGN_OPENER, str(file_rig.path)], capture_output=True, text=True, check=True
    )
    assert seen.stdout == "1\n"
    assert Path(f"{file_rig.path}-wal").exists()
    assert store.commit(Changes(events=[event()]), "c") == 2
    assert file_rig.queries().last_seq() == 2


def test_a_store_whose_disk_fails_is_not_written_again(file_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULTS 16: an fsync that failed is never tried again, nor is the log moved by closing."""
    store = file_rig.writer()
    started(store, task("a"))
    broken_disk = sqlite3.OperationalError("disk I/O error")
    broken_disk.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC

    def fail(*_: object) -> None:
        raise broken_disk

    with monkeypatch.context() as patch:
        patch.setattr(SqlStateStore, "_fence", fail)
        with pytest.raises(StoreUnusable, match="disk under"):
            store.commit(Changes(events=[event()]), "c")
    with pytest.raises(StoreUnusable, match="disk under"):
        store.commit(Changes(events=[event()]), "d")
    log = Path(f"{file_rig.path}-wal")
    before = log.stat().st_size
    store.close()
    assert log.stat().st_size == before
    assert store._connection is not None
    store._connection.close()


@pytest.mark.parametrize(
    "seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(8, 300))]
)
def test_flipped_bits_never_end_in_anything_but_a_typed_error(file_rig: Rig, seed: int) -> None:
    """FAULTS 18, invariant G: whatever a reader or an engine meets, it is an answer or a StoreError."""
    store = file_rig.writer()
    one = task("a", error=failure(), outputs={"x": [1, 2]}, item={"f": 1}, retry_override=RetryPolicy())
    started(store, one, *(task(f"t{n}") for n in range(40)))
    kept = Checkpoint(run_id="r1", task_id="a", map_index=None, value={"n": 1}, at=T0, attempt_token="t")
    store.commit(
        Changes(
            new_attempts=[attempt(one)],
            new_letters=[letter("l1", one)],
            verdicts={"a": verdict("a")},
            audit=[entry()],
            checkpoints=[kept],
            transitions=[transition(one, TaskState.QUEUED)],
        ),
        "c",
    )
    store.close()
    dice = random.Random(seed)
    content = bytearray(file_rig.path.read_bytes())
    for _ in range(400):
        content[dice.randrange(100, len(content))] ^= 1 << dice.randrange(8)
    file_rig.path.write_bytes(content)
    queries = file_rig.queries()
    refused = 0
    for ask in QUESTIONS:
        try:
            ask(queries)
        except (StoreUnusable, StoreBusy, NotFound):
            refused += 1
    try:
        again = open_writer(file_rig.settings)
        file_rig.opened.append(again)
        again.take_over(2, "second", T0)
        again.active_runs()
        again.commit(Changes(events=[event()], executions={"t1": moved(task("t1"), TaskState.QUEUED)}), "d")
    except (StoreError, Deposed):
        refused += 1
    assert refused, "400 flipped bits in a file this small are met by somebody"


QUESTIONS: tuple[Callable[[SqlQueries], object], ...] = (
    lambda q: q.runs(),
    lambda q: q.resolve_run("r1"),
    lambda q: q.executions("r1", history=True),
    lambda q: q.attempts("r1"),
    lambda q: q.transitions("r1"),
    lambda q: q.verdicts("r1"),
    lambda q: q.live(),
    lambda q: q.queued(),
    lambda q: q.letters(),
    lambda q: q.versions("orders"),
    lambda q: q.checkpoint("r1", "a", None),
    lambda q: q.statistics("orders"),
    lambda q: q.counts(),
    lambda q: q.events(0),
    lambda q: q.audit(),
    lambda q: q.verify_audit(),
    lambda q: q.snapshot("r1"),
)
