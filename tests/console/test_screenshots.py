"""`make screenshots`: the real console over an invented history, in files that need nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]


def test_a_view_is_painted_at_both_sizes_and_refers_to_nothing(tmp_path: Path) -> None:
    """VIS-13, CON-05."""
    done = subprocess.run(
        [sys.executable, "-m", "checks.screenshots", str(tmp_path), "runs"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pictures = sorted(tmp_path.glob("*.svg"))
    assert [each.name for each in pictures] == ["runs-160x48.svg", "runs-80x24.svg"]
    for each in pictures:
        text = each.read_text(encoding="utf-8")
        ElementTree.fromstring(text)
        assert "orders_daily" in text and "FAILED" in text and "05:48" in text
        assert set(re.findall(r"https?://[^\"' )]+", text)) == {"http://www.w3.org/2000/svg"}
