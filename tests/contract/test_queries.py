"""The contract of Queries: whoever reads never writes, never waits and never sees half of anything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from engine.model.errors import NotFound, Queue, RequestError
from engine.model.run import AttemptState, LetterStatus, RunState, TaskState
from engine.ports.store import Changes
from engine.stores.queries import SqlQueries
from engine.stores.writer import SqlStateStore
from tests.contract.store_records import (
    T0,
    Rig,
    at,
    attempt,
    entry,
    event,
    letter,
    moved,
    run,
    started,
    task,
    verdict,
    version,
)


def filled(store: SqlStateStore, count: int) -> None:
    runs = [
        run(f"run{n:03d}", triggered_at=at(n // 2), state=RunState.SUCCESS if n % 3 else RunState.FAILED)
        for n in range(count)
    ]
    store.commit(Changes(versions=[version()], new_runs=runs), "fill")


READS: list[Callable[[SqlQueries], object]] = [
    lambda q: q.runs() == ([], None),
    lambda q: q.executions("r") == [],
    lambda q: q.attempts("r") == [],
    lambda q: q.transitions("r", skip=5) == [],
    lambda q: q.verdicts("r") == {},
    lambda q: q.live() == [],
    lambda q: q.queued() == [],
    lambda q: q.letters() == ([], None),
    lambda q: q.letter_groups() == [],
    lambda q: q.schedules() == [],
    lambda q: q.versions("p") == [],
    lambda q: q.version("p", 1) is None,
    lambda q: q.broken_definitions() == [],
    lambda q: q.checkpoint("r", "t", None) is None,
    lambda q: q.task_seconds("p") == {},
    lambda q: q.statistics("p").runs == 0,
    lambda q: q.failures_like("f")["count"] == 0,
    lambda q: q.last_success("p") is None,
    lambda q: q.watermarks(None) == [] == q.watermarks("pg", source="s") == q.watermarks(None, pipeline_id="p"),
    lambda q: q.breakers() == [],
    lambda q: q.datasets(None) == [] and q.dataset(None, "d") is None,
    lambda q: q.dataset_versions(None, "d") == [],
    lambda q: q.touches(None, "d") == [] == q.touches_of_run("r"),
    lambda q: q.touching_runs(None, T0) == [],
    lambda q: q.dataset_edges(None) == [] == q.dataset_edges(None, at=T0),
    lambda q: q.touchers(None, ["d"]) == [],
    lambda q: q.versions_at(T0) == [],
    lambda q: q.counts().runs == {},
    lambda q: q.events(0) == [],
    lambda q: q.last_seq() == 0,
    lambda q: q.epoch() == 0,
    lambda q: q.audit() == [],
    lambda q: q.verify_audit()[:2] == (0, None),
    lambda q: q.wait(q.changed(None)[1], 0.0)[0] is False,
]


def test_a_workspace_without_state_answers_empty_and_stays_empty(rig: Rig) -> None:
    queries = rig.queries()
    for read in READS:
        assert read(queries)
    for ask in (queries.resolve_run, queries.letter, queries.snapshot):
        with pytest.raises(NotFound):
            ask("last")
    assert list(rig.settings.root.iterdir()) == []


def test_a_state_that_appears_later_is_seen(rig: Rig) -> None:
    queries = rig.queries()
    assert queries.runs() == ([], None)
    _, token = queries.changed(None)
    started(rig.writer(), task("a"))
    assert queries.changed(token)[0]
    assert [each.run_id for each in queries.runs()[0]] == ["r1"]


def test_pages_are_newest_first_and_nothing_shifts(rig: Rig) -> None:
    store = rig.writer()
    filled(store, 25)
    queries = rig.queries()
    seen, cursor = queries.runs(limit=10)
    store.commit(Changes(new_runs=[run("zz-new", triggered_at=at(900))]), "meanwhile")
    names = [each.run_id for each in seen]
    while cursor is not None:
        seen, cursor = queries.runs(limit=10, before=cursor)
        names += [each.run_id for each in seen]
    assert names == [f"run{n:03d}" for n in reversed(range(25))]
    failed, following = queries.runs(state=RunState.FAILED, pipeline_id="orders", limit=9)
    assert len(failed) == 9
    assert following is None
    assert queries.runs(pipeline_id="nobody") == ([], None)
    assert [each.run_id for each in queries.runs(active=True)[0]] == ["zz-new"]
    with pytest.raises(RequestError):
        queries.runs(before="nonsense")


def test_a_run_is_named_by_id_prefix_or_last(rig: Rig) -> None:
    filled(rig.writer(), 12)
    queries = rig.queries()
    assert queries.resolve_run("run003").run_id == "run003"
    assert queries.resolve_run("run003"[:6]).run_id == "run003"
    assert queries.resolve_run("last").run_id == "run011"
    assert queries.resolve_run("last:orders").run_id == "run011"
    with pytest.raises(RequestError, match="run010, run011"):
        queries.resolve_run("run01")
    for name in ("nobody", "RUN003", "%", "run_03", "last:nobody", ""):
        with pytest.raises(NotFound):
            queries.resolve_run(name)


def test_what_is_live_and_what_waits(rig: Rig) -> None:
    store = rig.writer()
    running = task("a", state=TaskState.RUNNING)
    queued = task("b", state=TaskState.QUEUED, queued_at=at(5))
    retrying = task("c", state=TaskState.RETRYING, queued_at=at(1))
    begun = started(store, running, queued, retrying, task("d", state=TaskState.SUCCESS))
    lost, alive = attempt(running, 1, state=AttemptState.LOST), attempt(running, 2)
    store.commit(Changes(new_attempts=[lost, alive], verdicts={"b": verdict("b")}), "c")
    queries = rig.queries()
    assert list(queries.live()) == [(running, alive)]
    assert list(queries.queued()) == [(retrying, None), (queued, verdict("b"))]
    assert list(queries.queued(limit=1)) == [(retrying, None)]
    assert list(queries.attempts("r1")) == [lost, alive] == list(queries.attempts("r1", "a"))
    assert queries.attempts("r1", "b") == []
    counts = queries.counts()
    assert counts.runs == {"RUNNING": 1}
    assert counts.tasks == {"RUNNING": 1, "QUEUED": 1, "RETRYING": 1, "SUCCESS": 1}
    assert queries.snapshot("r1") == (
        1,
        begun,
        [running, queued, retrying, task("d", state=TaskState.SUCCESS)],
        {"b": verdict("b")},
    )


def test_counts_are_of_the_last_day(rig: Rig) -> None:
    store = rig.writer()
    old = run("old", state=RunState.SUCCESS, triggered_at=T0 - timedelta(hours=25))
    still = run("still", state=RunState.RUNNING, triggered_at=T0 - timedelta(hours=25))
    fresh = run("fresh", state=RunState.SUCCESS, triggered_at=T0 - timedelta(hours=23))
    store.commit(Changes(versions=[version()], new_runs=[old, still, fresh]), "c")
    assert rig.queries().counts().runs == {"RUNNING": 1, "SUCCESS": 1}


def test_letters_are_filtered_and_found(rig: Rig) -> None:
    store = rig.writer()
    one = task("a")
    started(store, one)
    letters = [
        letter("aa1", one, failed_at=at(1)),
        letter("aa2", one, failed_at=at(2), queue=Queue.SYSTEM, fingerprint="f2"),
        letter("bb3", one, failed_at=at(3), status=LetterStatus.DISCARDED),
        letter("bb4", one, failed_at=at(4), status=LetterStatus.IN_PROGRESS),
    ]
    store.commit(Changes(new_letters=letters), "c")
    queries = rig.queries()
    assert [each.id for each in queries.letters()[0]] == ["bb4", "aa2", "aa1"]
    page, cursor = queries.letters(limit=2)
    assert [each.id for each in page] == ["bb4", "aa2"]
    assert [each.id for each in queries.letters(limit=2, before=cursor)[0]] == ["aa1"]
    assert [each.id for each in queries.letters(queue=Queue.SYSTEM)[0]] == ["aa2"]
    assert [each.id for each in queries.letters(status=LetterStatus.DISCARDED)[0]] == ["bb3"]
    assert [each.id for each in queries.letters(fingerprint="f2")[0]] == ["aa2"]
    assert queries.letter("aa1").id == "aa1"
    assert queries.letter("bb4").id == "bb4"
    with pytest.raises(RequestError):
        queries.letter("aa")
    assert queries.failures_like("f1") == {"first_seen": at(1), "last_seen": at(4), "count": 3}
    assert queries.counts().letters == {"permanent": 2, "system": 1}


def test_open_letters_are_summed_up_by_fingerprint(rig: Rig) -> None:
    """DLQ-09: a failure seen a hundred times is one row, and its beginning outlives what was closed."""
    store = rig.writer()
    one, other = task("a"), task("b")
    started(store, one, other)
    letters = [
        letter("aa1", one, failed_at=at(1), status=LetterStatus.DISCARDED),
        letter("aa2", one, failed_at=at(2)),
        letter("aa3", one, failed_at=at(3), status=LetterStatus.IN_PROGRESS),
        letter("aa4", replace(other, map_index=2), failed_at=at(4), message="no such row"),
        letter("bb5", other, failed_at=at(5), queue=Queue.SYSTEM, fingerprint="f2"),
        letter("cc6", other, failed_at=at(6), status=LetterStatus.REQUEUED, fingerprint="f3"),
    ]
    store.commit(Changes(new_letters=letters), "c")
    queries = rig.queries()
    second, first = queries.letter_groups()
    assert (first.fingerprint, first.queue, first.count, first.claimed, first.seen) == ("f1", "permanent", 3, 1, 4)
    assert (first.first_seen, first.last_seen) == (at(1), at(4))
    assert first.tasks == (("orders", "a"), ("orders", "b"))
    assert (first.task_count, first.newest, first.message, first.map_index) == (2, "aa4", "no such row", 2)
    assert (second.fingerprint, second.count, second.newest, second.map_index) == ("f2", 1, "bb5", None)
    assert [each.fingerprint for each in queries.letter_groups(queue=Queue.SYSTEM)] == ["f2"]
    assert [each.fingerprint for each in queries.letter_groups(limit=1)] == ["f2"]


def test_statistics_of_a_pipeline(rig: Rig) -> None:
    store = rig.writer()
    runs = [
        run(f"s{n}", state=RunState.SUCCESS, triggered_at=at(n), started_at=T0, completed_at=at(n))
        for n in range(1, 21)
    ]
    runs += [
        run("f", state=RunState.FAILED, triggered_at=at(50)),
        run("c", state=RunState.CANCELLED, triggered_at=at(51)),
    ]
    store.commit(Changes(versions=[version()], new_runs=runs), "c")
    queries = rig.queries()
    found = queries.statistics("orders")
    assert found.runs == 22
    assert found.success_rate == pytest.approx(20 / 21)
    assert (found.median_seconds, found.p95_seconds) == (10.5, 19.0)
    assert list(found.last_states[-3:]) == ["SUCCESS", "FAILED", "CANCELLED"]
    assert len(found.last_states) == 20
    last = queries.last_success("orders")
    earlier = queries.last_success("orders", before=at(5))
    assert last is not None
    assert earlier is not None
    assert (last.run_id, earlier.run_id) == ("s20", "s4")


def test_events_are_read_by_number_and_by_run(rig: Rig) -> None:
    """EVT-02: the feed goes on from the last number it has seen."""
    store = rig.writer()
    started(store, task("a"))
    store.commit(Changes(events=[event("one"), event("two", run_id="r2"), event("three")]), "c")
    queries = rig.queries()
    assert [(each.seq, each.type) for each in queries.events(1)] == [(2, "one"), (3, "two"), (4, "three")]
    assert [each.type for each in queries.events(1, limit=1)] == ["one"]
    assert [each.type for each in queries.events(0, run_id="r2")] == ["two"]
    assert queries.last_seq() == 4


def test_a_change_wakes_who_waits(rig: Rig) -> None:
    store = rig.writer()
    queries = rig.queries()
    _, token = queries.changed(None)
    assert queries.wait(token, 0.0) == (False, token)
    waiting, answers = threading.Event(), []

    def wait() -> None:
        waiting.set()
        answers.append(queries.wait(token, 60.0)[0])

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(60)
    started(store, task("a"))
    thread.join(60)
    assert answers == [True]


def test_readers_see_whole_commits_while_the_engine_writes(rig: Rig) -> None:
    """Every commit moves both tasks and adds an event; no reader ever sees one without the others."""
    store = rig.writer()
    tasks = {name: task(name, state=TaskState.QUEUED) for name in ("a", "b")}
    started(store, *tasks.values())
    queries, begun, done, torn, reads = rig.queries(), threading.Event(), threading.Event(), [], []

    def read() -> None:
        while not done.is_set():
            seq, _, found, _ = queries.snapshot("r1")
            reads.append(seq)
            begun.set()
            if len({each.attempt_count for each in found}) != 1 or found[0].attempt_count != seq - 1:
                torn.append((seq, found))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    for number in range(100):
        tasks = {name: moved(each, TaskState.QUEUED, attempt_count=number + 1) for name, each in tasks.items()}
        store.commit(Changes(executions=tasks, events=[event()]), f"c{number}")
    done.set()
    for thread in threads:
        thread.join()
    assert not torn
    assert reads


def test_the_audit_trail_is_newest_first_in_pages(rig: Rig) -> None:
    store = rig.writer()
    store.commit(Changes(audit=[entry(f"a{n}") for n in range(5)]), "c")
    queries = rig.queries()
    assert [each.action for each in queries.audit(limit=2)] == ["a4", "a3"]
    assert [each.action for each in queries.audit(limit=2, before=4)] == ["a2", "a1"]
    assert replace(queries.audit()[-1], seq=None, hash=None, previous_hash=None) == entry("a0")


def test_the_audit_trail_cannot_be_edited_in_passing(rig: Rig) -> None:
    """AUD-03: append-only by the database itself."""
    rig.writer().commit(Changes(audit=[entry()]), "c")
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
        with pytest.raises(Exception, match="append-only"):
            rig.sql(statement)


@pytest.mark.parametrize(
    ("tamper", "first_bad"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE seq = 3", 3),
        ("UPDATE audit SET details = NULL WHERE seq = 3", 3),
        ("UPDATE audit SET hash = previous_hash WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 4", 4),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq > 3", 4),
        ("DELETE FROM audit", 1),
        ("UPDATE audit SET seq = 9 WHERE seq = 5", 5),
    ],
)
def test_a_tampered_trail_names_its_first_bad_entry(rig: Rig, tamper: str, first_bad: int) -> None:
    """FAULTS 46, AUD-03: edit, removal and a tail that was cut off."""
    store = rig.writer()
    for n in range(5):
        store.commit(Changes(audit=[entry(f"a{n}")]), f"c{n}")
    assert rig.queries().verify_audit() == (5, None, "5 entries, unbroken.")
    if rig.on_file:
        rig.sql("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete", tamper)
    else:
        rig.sql("DROP TRIGGER audit_append_only ON audit", tamper)
    checked, bad, sentence = rig.queries().verify_audit()
    assert bad == first_bad
    assert checked == first_bad - 1
    assert f"Entry {first_bad} " in sentence
