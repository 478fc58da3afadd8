"""What zygotes rehearse before they fork leaves nothing behind that an attempt could see."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.sdk.attempt import Surroundings
from tests.runtime.attempt_bench import Bench

LOOKS = """
import logging, os, sys
from engine.executors import processes
def look(ctx):
    told = [value for name, value in os.environ.items() if name.startswith("PENSTOCK_")]
    handles = [f"/proc/self/fd/{number}" for number in (3, 4, 5, 6)]
    return {
        "token": processes.token_of(os.getpid()), "loggers": sorted(logging.Logger.manager.loggerDict),
        "told": sorted(told), "cwd": os.getcwd(), "rehearsed": "engine.bootstrap.rehearsal" in sys.modules,
        "sockets": sum(os.path.exists(one) and "socket" in os.readlink(one) for one in handles),
    }
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, runner="engine.bootstrap.attempt:run", rehearsal="engine.bootstrap.rehearsal:rehearse")
    yield bench
    bench.close()


def test_an_attempt_sees_nothing_of_the_rehearsal(bench: Bench) -> None:
    bench.module("looks", LOOKS)
    for _ in range(3):  # a fork of its own, then spares
        token = bench.python("looks:look")
        seen = bench.end(token).outcome.outputs
        assert seen["rehearsed"] is True
        assert seen["token"] == token, "the place for the token is where exec left it"
        assert not any("rehearsal" in name for name in (*seen["told"], *seen["loggers"]))
        assert seen["cwd"] == str(bench.root)
        assert seen["sockets"] == 1
    assert bench.lines() == []


def test_term_still_ends_an_attempt_that_has_not_begun(bench: Bench) -> None:
    """The handler of the rehearsal is not inherited: it would raise where nobody catches."""
    bench.end(bench.shell("true"))
    zygote = bench.executor.vitals()["zygote_pid"]
    caught = next(line for line in Path(f"/proc/{zygote}/status").read_text().splitlines() if "SigCgt" in line)
    assert not int(caught.split()[1], 16) & 1 << 14


def test_templates_see_the_environment_less_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_ATTEMPT_TOKEN", "secret")
    monkeypatch.setenv("WORD", "x")
    seen = Surroundings()
    assert seen["WORD"] == "x"
    assert seen.get("PENSTOCK_ATTEMPT_TOKEN") is None
    assert dict(seen) == {name: value for name, value in os.environ.items() if value != "secret"}
    assert len(seen) == len(os.environ) - 1
