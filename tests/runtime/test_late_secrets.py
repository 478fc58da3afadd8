"""A variable that becomes a secret while the engine runs: attempts that start afterwards do not inherit it (F)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.executors import processes
from tests.runtime.attempt_bench import Bench, FakeSecrets, gone, until
from tests.runtime.crash_engine import DONE_WITHIN, eventually, stage
from tests.runtime.crash_workspace import Made

CANARY = "late-canary-8812"


class Growing(FakeSecrets):
    """More and more variables are named by a connection."""

    def __init__(self) -> None:
        super().__init__({"LATER": CANARY})
        self.hidden = {"SHOP_PASSWORD"}

    def hidden_variables(self) -> frozenset[str]:
        return frozenset(self.hidden)


@pytest.fixture
def secrets() -> Growing:
    return Growing()


@pytest.fixture
def bench(tmp_path: Path, secrets: Growing) -> Iterator[Bench]:
    found = Bench(tmp_path, secrets=secrets)
    yield found
    found.close()


def zygote(bench: Bench) -> int:
    return int(bench.executor.vitals()["zygote_pid"])


def test_later_attempts_do_not_have_it_and_those_that_live_go_on(bench: Bench, secrets: Growing) -> None:
    """FAULTS 42."""
    long = bench.shell("touch began; until [ -e end ]; do sleep 0.05; done; echo done", log="long.jsonl")
    bench.marked("began")
    first = zygote(bench)
    secrets.hidden.add("LATER")
    bench.executor.renew()
    look = bench.shell("tr '\\0' '\\n' < /proc/self/environ > environ; echo ${LATER-none}", log="look.jsonl")
    assert bench.end(look).outcome.result == "success"
    assert zygote(bench) != first
    assert CANARY not in (bench.root / "environ").read_text()
    assert "none" in bench.text("look.jsonl")
    assert CANARY.encode() not in Path(f"/proc/{zygote(bench)}/environ").read_bytes()
    (bench.root / "end").touch()
    assert bench.end(long).outcome.result == "success"
    assert "done" in bench.text("long.jsonl")
    until(lambda: gone(first))  # with the last attempt it had


def test_its_value_is_masked_from_then_on(bench: Bench, secrets: Growing) -> None:
    secrets.hidden.add("LATER")
    bench.executor.renew()
    assert bench.end(bench.shell(f"echo it is {CANARY}")).outcome.result == "success"
    assert CANARY not in bench.text() and "***" in bench.text()


def test_where_nothing_has_changed_the_zygote_stays(bench: Bench) -> None:
    assert bench.end(bench.shell("true")).outcome.result == "success"
    before = zygote(bench)
    bench.executor.renew()
    assert bench.end(bench.shell("true")).outcome.result == "success"
    assert zygote(bench) == before


def test_a_replaced_zygote_that_dies_takes_only_its_own(bench: Bench, secrets: Growing) -> None:
    old = bench.shell("touch began; sleep 1000", log="old.jsonl")
    bench.marked("began")
    first = zygote(bench)
    secrets.hidden.add("LATER")
    bench.executor.renew()
    new = bench.shell("touch again; until [ -e end ]; do sleep 0.05; done", log="new.jsonl")
    bench.marked("again")
    processes.kill_tree(first)
    bench.wait(lambda one: type(one).__name__ == "Vanished" and one.token == old)  # type: ignore[attr-defined]
    (bench.root / "end").touch()
    assert bench.end(new).outcome.result == "success"


def test_an_edit_of_connections_is_enough(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    (root / "pipelines").mkdir(parents=True)
    (root / "penstock.yaml").write_text("version: 1\n")
    (root / "connections.yaml").write_text("shop: {type: log}\n")
    command = "tr '\\0' '\\n' < /proc/self/environ > environ.$PENSTOCK_RUN_ID"
    (root / "pipelines" / "look.yaml").write_text(
        f"id: look\ntasks:\n  - id: look\n    type: shell\n    config:\n      command: |\n        {command}\n"
    )
    with stage(Made(root=root, slots=())) as one:
        engine = one.engine(LATER=CANARY).leads()

        def environ() -> str:
            (run_id,) = one.trigger("look")
            eventually(lambda: one.task_state(run_id, "look") == "SUCCESS", DONE_WITHIN, "it looks")
            return (root / f"environ.{run_id}").read_text()

        assert CANARY in environ()
        (root / "connections.yaml").write_text("shop: {type: webhook, url: 'http://127.0.0.1:1/${env:LATER}'}\n")
        eventually(lambda: CANARY not in environ(), DONE_WITHIN, "attempts no longer inherit it")
        assert engine.terminate() == 0
