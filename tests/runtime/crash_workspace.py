"""A workspace whose tasks tell on themselves: what ran, when, and whether it ran twice at once.

Law: everything a check needs is in one file that outlives every process, `effects`: one line per start, step and
end, appended in one write. Each task holds a kernel lock while it runs; whoever finds it taken writes `overlap`.
The lock is inherited by what a task forks, so a process that outlives its attempt is seen too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

TASKS = """
import fcntl, json, os, time
from contextlib import contextmanager


def say(ctx, what, **more):
    line = {"what": what, "run": ctx.run_id, "task": ctx.task_id, "attempt": ctx.attempt,
            "index": os.environ.get("CRASH_INDEX"), "token": os.environ["PENSTOCK_ATTEMPT_TOKEN"], **more}
    handle = os.open("effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, (json.dumps(line) + "\\n").encode())
    os.close(handle)


def said(ctx, what):
    with open("effects") as lines:
        found = [json.loads(line) for line in lines]
    return [one for one in found if (one["run"], one["task"], one["what"]) == (ctx.run_id, ctx.task_id, what)]


@contextmanager
def alone(ctx, index=None):
    if index is not None:
        os.environ["CRASH_INDEX"] = str(index)
    os.makedirs("locks", exist_ok=True)
    handle = os.open(f"locks/{ctx.run_id}.{ctx.task_id}.{index}", os.O_WRONLY | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(ctx, "overlap")
    say(ctx, "start")
    yield
    say(ctx, "end")


def work(ctx, seconds=0.01):
    with alone(ctx):
        time.sleep(seconds)


def held(ctx):
    with alone(ctx):
        while not os.path.exists("go"):
            time.sleep(0.01)


def part(ctx, item):
    with alone(ctx, item):
        time.sleep(0.01)
        ctx.output("item", item)


def flaky(ctx):
    with alone(ctx):
        if len(said(ctx, "raised")) < 2:
            say(ctx, "raised")
            raise ConnectionError("not yet")


def broken(ctx):
    with alone(ctx):
        raise ValueError("never")


def steps(ctx):
    with alone(ctx):
        done = ctx.checkpoint.load() or 0
        say(ctx, "loaded", step=done)
        for step in range(done, 4):
            say(ctx, "step", step=step)
            ctx.checkpoint.save(step + 1)
            say(ctx, "saved", step=step + 1)
        ctx.progress(4, 4)
        ctx.metric("steps", 4)


def listing(ctx):
    with alone(ctx):
        ctx.output("numbers", [0, 1, 2])


def look(ctx):
    os.makedirs("locks", exist_ok=True)
    handle = os.open(f"locks/{ctx.run_id}.{ctx.task_id}", os.O_WRONLY | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(ctx, "overlap")
    say(ctx, "poke")
    return len(said(ctx, "poke")) > 3
"""

SETTINGS = """version: 1
limits: {workers: 4, grace_seconds: 1, max_losses: 10}
defaults: {timeout_seconds: 120, retry_policy: {max_attempts: 6, backoff_seconds: 0.05, jitter_type: none}}
"""


def task(name: str, call: str = "work", after: str = "", more: str = "") -> str:
    """One python task as a line of YAML."""
    return (
        f"  - {{id: {name}, name: {name}, type: python, dependencies: [{after}],"
        f" config: {{callable: 'tasks:{call}'}}{more}}}\n"
    )


PIPELINES: Mapping[str, str] = {
    "linear": "tasks:\n" + task("a") + task("b", after="a") + task("c", after="b"),
    "diamond": "tasks:\n"
    + task("top")
    + task("left", after="top")
    + task("right", after="top")
    + task("bottom", after="left, right"),
    "retrying": "tasks:\n" + task("flaky", "flaky") + task("then", after="flaky"),
    "failing": "on: {failure: [{notify: {url: 'log:', message: 'it failed'}}]}\ntasks:\n"
    + task("broken", "broken")
    + task("below", after="broken")
    + task("beside"),
    "steps": "tasks:\n" + task("steps", "steps"),
    "mapped": "tasks:\n"
    + task("listing", "listing")
    + "  - {id: part, name: part, type: python, dependencies: [listing], foreach: '{{ upstream.listing.numbers }}',"
    " config: {callable: 'tasks:part', args: {item: '{{ item }}'}}}\n" + task("after", after="part"),
    "choosing": "tasks:\n"
    "  - {id: which, name: which, type: branch, config: {choose: left}}\n"
    + task("left", after="which")
    + task("right", after="which"),
    "sensing": "tasks:\n"
    "  - {id: sensor, name: sensor, type: sensor, config: {callable: 'tasks:look', interval_seconds: 0.3}}\n"
    "  - {id: shell, name: shell, type: shell, dependencies: [sensor], config: {command: 'echo here'}}\n"
    + task("never", after="shell", more=", when: '{{ 1 > 2 }}'"),
    "outer": "tasks:\n"
    + task("before")
    + "  - {id: inner, name: inner, type: pipeline, dependencies: [before], config: {pipeline: linear}}\n"
    + task("after", after="inner"),
}

EXPECTED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "linear": ("SUCCESS", {"a": "SUCCESS", "b": "SUCCESS", "c": "SUCCESS"}),
    "diamond": ("SUCCESS", dict.fromkeys(("top", "left", "right", "bottom"), "SUCCESS")),
    "retrying": ("SUCCESS", {"flaky": "SUCCESS", "then": "SUCCESS"}),
    "failing": ("FAILED", {"broken": "FAILED", "below": "SKIPPED", "beside": "SUCCESS"}),
    "steps": ("SUCCESS", {"steps": "SUCCESS"}),
    "mapped": ("SUCCESS", {"listing": "SUCCESS", "part": "SUCCESS", "after": "SUCCESS"}),
    "choosing": ("SUCCESS", {"which": "SUCCESS", "left": "SUCCESS", "right": "SKIPPED"}),
    "sensing": ("SUCCESS", {"sensor": "SUCCESS", "shell": "SUCCESS", "never": "SKIPPED"}),
    "outer": ("SUCCESS", {"before": "SUCCESS", "inner": "SUCCESS", "after": "SUCCESS"}),
    "clockwork": ("SUCCESS", {"tick": "SUCCESS"}),
    "long": ("SUCCESS", {"long": "SUCCESS"}),
}
MIXTURE = ("linear", "diamond", "retrying", "failing", "steps", "mapped", "choosing", "sensing", "outer")


def hold(root: Path, pipeline: str) -> None:
    """Have the only task of this pipeline work until `go` is there, however long that takes on a busy machine."""
    write(root, pipeline, f"execution: {{max_active_runs: 50}}\ntasks:\n{task(pipeline, 'held')}")


@dataclass(frozen=True, slots=True)
class Made:
    """A workspace, and the slots its schedule owes."""

    root: Path
    slots: tuple[datetime, ...]


def make(root: Path, *, slots: int = 3, settings: str = SETTINGS, long_seconds: float = 3.5) -> Made:
    """Write it. The schedule fires every second, `slots` times, beginning now."""
    (root / "pipelines").mkdir(parents=True)
    (root / "penstock.yaml").write_text(settings)
    (root / "tasks.py").write_text(TASKS)
    for name, text in PIPELINES.items():
        write(root, name, f"execution: {{max_active_runs: 50}}\n{text}")
    long = task("long", more="").replace("'tasks:work'", f"'tasks:work', args: {{seconds: {long_seconds}}}")
    write(root, "long", f"tasks:\n{long}")
    begin = datetime.now(UTC).replace(microsecond=0)
    due = tuple(begin + timedelta(seconds=number) for number in range(slots))
    if due:
        schedule = (
            f"schedule: {{cron: '* * * * * *', catchup: true, policy: ALLOW_CONCURRENT,"
            f" start_date: '{due[0].isoformat()}', end_date: '{due[-1].isoformat()}'}}\n"
        )
        write(root, "clockwork", f"execution: {{max_active_runs: 50}}\n{schedule}tasks:\n{task('tick')}")
    return Made(root, due)


def write(root: Path, name: str, text: str) -> None:
    """One more pipeline."""
    (root / "pipelines" / f"{name}.yaml").write_text(f"id: {name}\nname: {name}\n{text}")
