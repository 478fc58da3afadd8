"""`python -m benchmarks`: every benchmark, one JSON line each. Figures are compared as ratios within one run."""

from __future__ import annotations

import subprocess
import sys

MODULES = ("graph", "layout", "store", "executor", "engine")


def main() -> int:
    """Each in a process of its own, so that none warms the next; the number that failed."""
    failed = 0
    for name in MODULES:
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
