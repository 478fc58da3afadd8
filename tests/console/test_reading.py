"""A run read again and again: what moved, without reading all of it; the picture is the same as of all of it."""

from __future__ import annotations

from dataclasses import replace

from console.messages import Batch
from console.present.tasks import overlays, task_rows
from console.screens.reading import RunReader, read
from engine.model.event import Event
from engine.model.run import TaskState
from tests.console import still
from tests.console.conftest import HostKeeper

RUN = "orders_daily__000000"


def moved(*tasks: str | None, lost: bool = False) -> Batch:
    return Batch([Event(type="task.state", at=still.NOW, run_id=RUN, task_id=each) for each in tasks], lost)


class Counted(still.StillQueries):
    whole = 0

    def snapshot(self, run_id: str):  # type: ignore[no-untyped-def]
        self.whole += 1
        return super().snapshot(run_id)


def queries() -> Counted:
    base = still.believable()
    return Counted(runs_=base.runs_, executions_=base.executions_, transitions_=base.transitions_)


def test_a_task_that_moved_is_read_alone_and_its_row_is_new() -> None:
    store = queries()
    client, reader = still.client(store), RunReader(RUN)
    first = reader.read(client)
    assert first.tasks is None and len(first.rows) == len(store.executions_)
    place, old = next((i, each) for i, each in enumerate(store.executions_) if each.task_id == "join_sales")
    store.executions_[place] = replace(old, state=TaskState.SUCCESS, completed_at=still.NOW)
    assert reader.note(moved("join_sales"))
    news = reader.read(client)
    assert store.whole == 1 and news.tasks == {"join_sales"}
    assert [(row.name, row.state) for row in news.rows] == [("join_sales", "SUCCESS")]
    fresh = read(client, RUN, news.detail.pipeline)
    assert task_rows(news.detail) == task_rows(fresh)
    assert news.overlays == overlays(fresh, still.NOW)
    assert list(news.detail.executions) == list(fresh.executions)
    assert dict(news.detail.verdicts) == dict(fresh.verdicts)


def test_all_of_it_is_read_when_events_were_lost_the_run_itself_moved_or_somebody_asks() -> None:
    store = queries()
    client, reader = still.client(store), RunReader(RUN)
    reader.read(client)
    for count, batch in enumerate((moved(lost=True), moved(None)), start=2):
        assert reader.note(batch)
        reader.read(client)
        assert store.whole == count
    reader.forget()
    reader.read(client)
    assert store.whole == 4
    assert not reader.note(Batch([Event(type="task.state", at=still.NOW, run_id="another", task_id="x")]))


def test_tasks_that_were_not_there_before_are_found() -> None:
    store = queries()
    client, reader = still.client(store), RunReader(RUN)
    reader.read(client)
    store.executions_.append(replace(store.executions_[-1], execution_id="more", map_index=7))
    reader.note(moved(store.executions_[-1].task_id))
    news = reader.read(client)
    assert len(news.detail.executions) == len(store.executions_) and store.whole == 2


def test_a_part_of_a_real_run_is_what_the_whole_says(keeper: HostKeeper) -> None:
    run_id = keeper.run("shop")
    found = keeper.workspace.client.queries
    _, run, executions, verdicts = found.snapshot(run_id)
    names = sorted({each.task_id for each in executions})
    part_run, part, part_verdicts, attempts = found.part(run_id, names)
    assert part_run == run and part_verdicts == verdicts
    assert sorted(part, key=lambda each: each.execution_id) == sorted(
        executions, key=lambda each: each.execution_id
    )
    assert sorted(each.token for each in attempts) == sorted(each.token for each in found.attempts(run_id))
    assert {each.task_id for each in found.part(run_id, names[:1])[1]} == set(names[:1])
    every = found.transitions(run_id)
    assert list(found.transitions(run_id, skip=2, limit=3)) == list(every[2:5])
