"""A second look at tests that failed: `python -m checks.second_look CODE`, after pytest has ended with that code.

Hundreds of these tests have processes, servers and terminals of their own, two or more at a time, on machines that
others use too. A few failures are looked at again, one after the other with nothing beside them: what fails again
has failed. What passes is named, because a test that depends on its neighbours is a defect too, only not one of the
change at hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FEW = 5  # more is no accident
FAILED = 1  # pytest's code for "some tests failed"; all others are errors of another kind
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    """The code to end with."""
    code = int(sys.argv[1])
    names = sorted(json.loads(LAST_FAILED.read_text())) if code == FAILED and LAST_FAILED.exists() else []
    if not 0 < len(names) <= FEW:
        return code
    print(f"\nA second look, alone, at {len(names)} that failed:", flush=True)
    again = subprocess.run([sys.executable, "-m", "pytest", "-n", "0", "--tb=long", *names], check=False).returncode
    if again == 0:
        print("UNSTEADY: failed beside others, passed alone:", *names, sep="\n  ", flush=True)
    return again


if __name__ == "__main__":
    sys.exit(main())
