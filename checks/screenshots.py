"""Pictures of every view at 80x24 and 160x48, from the real console over an invented history. `make screenshots`.

A copy of the sample workspace is filled with `penstock samples history` up to a fixed morning, and the clock of the
client stands still a little later: the same program paints the same pictures. What a machine says of itself (the
health view) is its own. Views come from the console's registry; a new one is in the next pictures by itself.

    python checks/screenshots.py [FOLDER] [VIEW ...]
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from console import feed, screens
from console.app import Console
from console.place import Place
from console.session import Session
from engine.bootstrap.samples import Wanted, write_history
from engine.bootstrap.workspace import Workspace, open_workspace
from engine.model.event import Actor
from engine.model.run import RunState
from engine.ports.mailbox import Lease

SIZES = ((80, 24), (160, 48))
MORNING = datetime(2026, 11, 19, 5, 40, tzinfo=UTC)  # when the history ends
NOW = MORNING + timedelta(minutes=8)
LIMIT_SECONDS = 30.0
CALM = 4  # looks in a row at which nothing changed
_LEASE = Lease(
    holder="night",
    host="shop",
    pid=4711,
    pid_started=1.0,
    boot_id="b",
    user="penstock",
    started_by="mette@10.20.1.14",
    scope="engine",
    epoch=1,
    acquired_at=MORNING - timedelta(hours=9),
    expires_at=NOW + timedelta(seconds=10),
)

_PLACE = "/srv/penstock/nightly-run"


class StillClock:
    """The same moment for ever; only waiting goes on."""

    def now(self) -> datetime:
        """A quarter to six in the morning."""
        return NOW

    def monotonic(self) -> float:
        """For waiting."""
        return time.monotonic()

    def random(self) -> float:
        """Never asked here."""
        return 0.5


class Onlooker:
    """The keeper of an engine that leads, and that nobody starts or stops."""

    def leader(self) -> Lease:
        """It leads."""
        return _LEASE

    def start(self) -> int:
        """It runs."""
        return _LEASE.pid

    def attach(self) -> None:
        """It stays."""

    def detach(self) -> None:
        """It stays."""

    def stop(self) -> None:
        """Never asked: pictures are read-only."""

    def apply(self) -> None:
        """Never asked: pictures are read-only."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What views are given that take something."""

    run: str  # of the pipeline with the most to see
    failed: str  # run and task
    pipeline: str
    letter: str
    dataset: str

    def for_view(self, takes: str) -> str:
        """The argument."""
        given = {
            "run": self.run, "runs": self.failed.split(" ")[0], "task": self.failed, "pipeline": self.pipeline,
            "letter": self.letter, "view": "run", "dataset": self.dataset,
        }  # fmt: skip
        return given.get(takes, "")


def main(arguments: Sequence[str]) -> int:
    """A line per picture; 1 when a view could not be shown."""
    folder = Path(arguments[0] if arguments else "screenshots")
    folder.mkdir(exist_ok=True)
    wanted = set(arguments[1:]) or set(screens.VIEWS)
    converter = shutil.which("rsvg-convert")
    feed._percent = _disk
    with tempfile.TemporaryDirectory(prefix="screenshots-") as place:
        workspace = _workspace(Path(place) / "sample_pipelines")
        try:
            examples = _examples(workspace)
            troubles = [
                _take(workspace, each, examples.for_view(each.takes), size, folder, converter)
                for each in screens.VIEWS.values()
                if each.name in wanted
                for size in SIZES
            ]
        finally:
            workspace.close()
    if converter is None:
        print("No PNGs: rsvg-convert is not here (Debian, Ubuntu: apt install librsvg2-bin).")
    return 1 if any(troubles) else 0


def _disk(folder: Path) -> int | None:
    """Every machine's disk is as full in these pictures."""
    del folder
    return 61


def _workspace(root: Path) -> Workspace:
    shutil.copytree("sample_pipelines", root, ignore=shutil.ignore_patterns(".penstock", "var", "__pycache__"))
    workspace = open_workspace(root)
    clock: Any = StillClock()
    workspace.clock = clock
    written = write_history(workspace, Wanted(until=MORNING))
    workspace.mailbox.acquire(_LEASE, NOW, holder_gone=True)  # for who asks the state, as the health checks do
    print(f"{written.runs} runs up to {MORNING:%Y-%m-%d %H:%M} UTC")
    return workspace


def _examples(workspace: Workspace) -> Examples:
    queries = workspace.client.queries
    letters, _ = queries.letters(limit=100)
    night = [each for each in letters if each.failed_at > MORNING - timedelta(days=1)]
    letter = min(night or letters, key=lambda each: (each.pipeline_id != "till_takings", each.failed_at))
    runs, _ = queries.runs(pipeline_id="stock_nightly", state=RunState.SUCCESS, limit=1)
    run = runs[0].run_id if runs else letter.run_id
    return Examples(run, f"{letter.run_id} {letter.task_id}", "orders_daily", letter.id, _dataset(workspace))


def _dataset(workspace: Workspace) -> str:
    """The first that any definition names; none is fine: the view lists what there is."""
    names = [
        name
        for pipeline_id in workspace.catalog.ids()
        for task in workspace.catalog.get(pipeline_id).tasks
        for name in (*task.outputs, *task.inputs)
    ]
    return names[0] if names else ""


def _take(
    workspace: Workspace,
    entry: screens.Entry,
    argument: str,
    size: tuple[int, int],
    folder: Path,
    converter: str | None,
) -> str | None:
    """One picture; what went wrong, or None."""
    target = folder / f"{entry.name}-{size[0]}x{size[1]}.svg"
    try:
        svg = asyncio.run(_painted(workspace, Place(entry.name, argument), size))
    except Exception as error:  # noqa: BLE001  # one view that fails must not cost the pictures of the others
        print(f"FAILED {target.name}: {type(error).__name__}: {error}")
        return target.name
    target.write_text(svg, encoding="utf-8")
    if converter is not None:
        png = target.with_suffix(".png")
        subprocess.run([converter, "--zoom", "1", "-o", str(png), str(target)], check=True, timeout=60)
    print(f"{target}  {entry.name} {argument}".rstrip())
    return None


async def _painted(workspace: Workspace, place: Place, size: tuple[int, int]) -> str:
    keeper: Any = Onlooker()
    session = Session(
        root=workspace.settings.root,
        profile=None,
        actor=Actor(name="mette@10.20.1.14"),
        open_client=lambda: workspace.client,
        keeper=keeper,
        start_engine=False,
        keep_engine=False,
    )
    app = Console(session, start=place)
    async with app.run_test(size=size) as pilot:
        end, before, calm = time.monotonic() + LIMIT_SECONDS, "", 0
        while calm < CALM and time.monotonic() < end:
            await pilot.pause(0.1)
            ready = app.view.is_mounted and app.view.quiet and app.state.read_at is not None
            now = _portable(app.export_screenshot(title=f"penstock · {place.view}")) if ready else ""
            calm = calm + 1 if now and now == before else 0
            before = now
        session.closing.set()
    if calm < CALM:
        raise TimeoutError(f"{place} did not come to rest within {LIMIT_SECONDS:g} s")
    return before


def _portable(svg: str) -> str:
    """Without fonts from elsewhere and names made from the content's hash; a span may begin with a space."""
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)
    svg = re.sub(r"@font-face\s*\{[^}]*\}", "", svg)
    svg = re.sub(r"/tmp/scree[-\w]*", lambda found: _PLACE[: len(found[0])], svg)  # as long: nothing moves
    svg = svg.replace("Fira Code, monospace", "'DejaVu Sans Mono', Menlo, Consolas, monospace")
    return re.sub(r"terminal-\d+-", "terminal-", svg) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
