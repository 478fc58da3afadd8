"""Connections that a shell task lists: in a file for its eyes only, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.model.errors import ErrorKind
from tests.runtime.attempt_bench import SECRET, Bench

SHOW = """
umask 022
stat -c %a "$PENSTOCK_CONNECTIONS" > mode
cp "$PENSTOCK_CONNECTIONS" seen
tr '\\0' '\\n' < /proc/$$/environ > environ
tr '\\0' '\\n' < /proc/$$/cmdline > cmdline
cat "$PENSTOCK_CONNECTIONS"
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "workspace").mkdir()
    found = Bench(tmp_path / "workspace")
    yield found
    found.close()


def test_a_command_finds_the_connections_it_lists_in_a_file_of_its_own(bench: Bench) -> None:
    """FAULTS 42: not in the environment, not on a command line, masked in the log, gone afterwards."""
    token = bench.submit("shell", {"command": SHOW, "connections": ["shop_db"]})
    assert bench.end(token).outcome.result == "success"
    assert (bench.root / "mode").read_text().strip() == "600"
    seen = json.loads((bench.root / "seen").read_text())
    assert seen == {"shop_db": {"type": "postgresql", "host": "db", "password": SECRET}}
    for place in ("environ", "cmdline"):
        assert SECRET not in (bench.root / place).read_text()
    assert SECRET not in bench.text()
    assert "***" in bench.text()
    bench.executor.stop(0.2)  # what ended is tidied up beside the attempts; by now it is done
    assert not list(bench.scratch.rglob("connections.json"))


def test_a_command_that_lists_none_is_given_none(bench: Bench) -> None:
    token = bench.shell('echo "connections: ${PENSTOCK_CONNECTIONS-none}"; "$PENSTOCK_PYTHON" -c "import msgspec"')
    assert bench.end(token).outcome.result == "success"
    assert "connections: none" in bench.text()


def test_a_listed_connection_that_is_not_there_fails_before_the_command(bench: Bench) -> None:
    token = bench.submit("shell", {"command": "touch ran", "connections": ["shop"]})
    error = bench.end(token).outcome.error
    assert error is not None and error.kind is ErrorKind.CONFIGURATION
    assert not (bench.root / "ran").exists()
