"""Processes that load files and die on the way: `python -m tests.contract.files_crash`, a step as JSON a line.

Each step is a process of its own, forked before Arrow has made a thread. It dies by SIGKILL before its Nth
operation on the file system, or at a failpoint. Operations are seen by an audit hook, called before each of them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.connectors.files import folder as folders
from engine.connectors.files.connector import FileConnector, connect
from engine.dataflow.streams import Batches
from engine.model.workspace import Connection
from engine.ports import failpoint
from engine.ports.destination import Mode, Order

SCHEMA = pa.schema([("id", pa.int64()), ("part", pa.string())])
ROWS = 40
WATCHED = frozenset(
    {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.scandir", "os.listdir", "fcntl.flock"}
)
# step -> target, mode, options
LOADS: dict[str, tuple[str, Mode, dict[str, Any]]] = {
    "file": ("out/rows.csv", Mode.REPLACE, {}),
    "parts": ("out/parts/", Mode.APPEND, {"format": "csv"}),
    "tree": ("out/tree/", Mode.REPLACE, {"format": "csv", "partition_by": ["part"]}),
    "grown": ("out/grown/", Mode.APPEND, {"format": "csv", "partition_by": ["part"]}),
}


def connector(root: Path) -> FileConnector:
    return connect(Connection(id="crash", type="file", config={}), root)


def order(load: str, token: str, first: int) -> Order:
    target, mode, options = LOADS[load]
    return Order(
        token=token,
        target=target,
        mode=mode,
        options=options,
        scope="s",
        seal=lambda: {"watermark": {"first": first}},
    )


def rows(first: int) -> Batches:
    given = [{"id": first + number, "part": f"p{number % 3}"} for number in range(ROWS)]
    return Batches(SCHEMA, [pa.RecordBatch.from_pylist(given, schema=SCHEMA)])


def run(root: Path, step: str, token: str, first: int) -> None:
    """`file`, or `file:stage`, `file:publish`, `file:undo`, `file:discard`."""
    files, (load, _, verb) = connector(root), step.partition(":")
    one, staged_at = order(load, token, first), root / f"staged-{load}.json"
    if not verb:
        files.load(rows(first), one)
    elif verb == "stage":
        staged_at.write_text(json.dumps(files.stage(rows(first), one)))
    else:
        staged = json.loads(staged_at.read_text())
        if verb == "discard":
            files.discard(staged)
        else:
            {"publish": files.publish, "undo": files.undo}[verb](staged, one)


def one_life(given: dict[str, Any], told: Any) -> None:
    """A step in this process, which may die of it."""
    if not given.get("exchange", True):
        folders.Folder.exchange = lambda *_: False  # type: ignore[method-assign,assignment]
    failpoint._wanted, kill_at, count = given.get("failpoint", ""), given.get("kill_at", 0), 0

    def watch(event: str, _: object) -> None:
        nonlocal count
        if event in WATCHED:
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    run(Path(given["root"]), given["step"], given["token"], given["first"])
    print(count, file=told, flush=True)


def main() -> None:
    """Each line is a step; each answer the number of its operations, or the signal it died of as a negative one."""
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            with os.fdopen(writing, "w") as told:
                one_life(json.loads(line), told)
            os._exit(0)  # an error ends it too, with its traceback and without an answer
        os.close(writing)
        with os.fdopen(reading) as answer:
            said = answer.read().strip()
        _, status = os.waitpid(child, 0)
        print(said or (-os.WTERMSIG(status) if os.WIFSIGNALED(status) else "failed"), flush=True)


if __name__ == "__main__":
    main()
