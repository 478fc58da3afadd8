"""The staging folder alone fills up under an extract: `-m tests.runtime.full_staging ROOT`, in a mount namespace.

Law: as in tests.runtime.full_disk; what was found is one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine.model.run import AttemptState
from tests.runtime.crash_engine import DONE_WITHIN, Stage, eventually
from tests.runtime.crash_workspace import Made
from tests.runtime.full_disk import fill

DISK = "4m"
ROOM = 512 * 1024  # less than the rows need, more than a first batch
FAILURES = 3


def play(root: Path) -> dict[str, Any]:
    """Extract and load; make room when the extract has failed a few times."""
    staging = root / ".penstock" / "staging"
    staging.mkdir(mode=0o700, parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs", str(staging)], check=True)
    ballast = staging / "ballast"
    fill(ballast)
    os.truncate(ballast, ballast.stat().st_size - ROOM)
    one = Stage(Made(root, ()))
    try:
        engine = one.engine().leads()
        (run_id,) = one.trigger("copy")
        queries = one.workspace.queries

        def failed() -> int:
            return sum(each.state is AttemptState.FAILED for each in queries.attempts(run_id)) + engine.ended

        eventually(lambda: failed() >= FAILURES, DONE_WITHIN, "the extract fails again and again")
        loaded = (root / "dwh.db").exists()
        ballast.unlink()
        one.wait_until_done(engine)
        run = one.run(run_id)
        attempts = queries.attempts(run_id)
        assert run is not None
        return {
            "state": run.state.value,
            "loaded_when_full": loaded,
            "failures": [
                (each.task_id, each.error.kind.value, each.error.message) for each in attempts if each.error
            ],
            "left": [str(path.relative_to(staging)) for path in sorted(staging.rglob("*")) if path.is_file()],
            "exit": engine.terminate(),
            "words": engine.words,
        }
    finally:
        one.close()


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    print(json.dumps(play(Path(sys.argv[1]))))
