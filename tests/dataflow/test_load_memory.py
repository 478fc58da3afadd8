"""What a load takes at its peak: a process of its own, started as data attempts are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.executors.local import ARROW
from tests.dataflow.targets import target
from tests.dataflow.work import Work

ROWS = 400_000
MOST_MB = 256


def write(path: Path) -> None:
    """About 100 bytes a row."""
    with path.open("w") as out:
        out.write("id,name,email,city,amount,active,created\n")
        for at in range(ROWS):
            out.write(
                f"{at},Customer number {at},customer{at}@example.com,City {at % 1000},{at % 10_000}.5,"
                f"{'true' if at % 2 else 'false'},2024-01-{at % 28 + 1:02} {at % 24:02}:00:00\n"
            )


@pytest.mark.parametrize("kinds", [("duckdb",), ("postgresql", "sqlite", "duckdb")], ids=["one", "three"])
def test_a_load_of_a_file_takes_less_than_256_mb(
    kinds: tuple[str, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """PRF: into one database, and into three at once, which stages the rows first."""
    write(tmp_path / "rows.csv")
    connections = {each: dict(target(each, tmp_path, request).connection) for each in kinds}
    given = json.dumps([str(tmp_path), {**connections, "files": {"type": "file", "path": str(tmp_path)}}])
    command = [sys.executable, "-m", "tests.dataflow.test_load_memory", given]
    done = subprocess.run(
        command, env={**os.environ, **ARROW}, cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows, peak = json.loads(done.stdout)
    assert rows == ROWS * len(kinds)
    assert peak < MOST_MB


def main() -> None:
    """In the child: the load; its rows and its peak in MB."""
    root, connections = json.loads(sys.argv[1])
    (Path(root) / "scratch").mkdir()
    (Path(root) / "staging").mkdir()
    targets = [{"connection": each, "target": "people"} for each in connections if each != "files"]
    source = {"connection": "files", "path": "rows.csv"}
    config = {"source": source, "targets": targets}
    outcome, _ = Work(root=Path(root), type="load", config=config, connections=connections).attempt()
    print(json.dumps([outcome.outputs["rows"], _peak_mb()]))


def _peak_mb() -> int:
    """Of this program alone: what `getrusage` tells outlives exec, and was the test runner's peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
