"""A workspace and an executor for tests: real processes, reports collected, nothing left behind."""

from __future__ import annotations

import base64
import json
import os
import secrets as dice
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from engine.executors import processes
from engine.executors.local import LocalExecutor
from engine.model.errors import NotFound
from engine.model.workspace import Connection
from engine.ports.executor import AttemptSpec, Finished, Report, Started, Vanished

T = TypeVar("T")
DEADLINE = 60.0
SECRET = "s3cr3t-canary-Zw7q"


class FakeSecrets:
    """One connection secret; one hidden variable."""

    def __init__(self, extra: Mapping[str, str] | None = None) -> None:
        self._environment = {**os.environ, "SHOP_PASSWORD": SECRET, "PENSTOCK_API_TOKEN": "ours", **(extra or {})}

    def resolve(self, connection: Connection) -> tuple[Connection, Sequence[str]]:
        config = {
            key: SECRET if value == "${env:SHOP_PASSWORD}" else value for key, value in connection.config.items()
        }
        return Connection(id=connection.id, type=connection.type, config=config), [SECRET]

    def resolve_text(self, text: str) -> tuple[str, Sequence[str]]:
        return text, ()

    def hidden_variables(self) -> frozenset[str]:
        return frozenset({"SHOP_PASSWORD"})

    def environment(self) -> Mapping[str, str]:
        return self._environment

    def mask(self, value: Any) -> Any:
        return value


class Bench:
    """See the file."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.root = folder
        self.logs = folder / "logs"
        self.scratch = folder / "scratch"
        self.staging = folder / "staging"
        self.reports: list[Report] = []
        self._news = threading.Condition()
        self.executor = LocalExecutor(
            root=folder,
            logs=self.logs,
            scratch=self.scratch,
            staging=self.staging,
            **{
                "runner": "tests.runtime.attempt_runner:run",
                "secrets": FakeSecrets(),
                "connections": find_connection,
                "now": lambda: datetime.now(UTC),
                **settings,
            },
        )
        self.tokens: list[str] = []
        self.executor.start(self._deliver)

    def _deliver(self, report: Report) -> None:
        with self._news:
            self.reports.append(report)
            self._news.notify_all()

    def module(self, name: str, source: str) -> None:
        (self.root / f"{name}.py").write_text(source)

    def submit(self, type: str, config: Mapping[str, Any], **fields: Any) -> str:
        token = dice.token_hex(12)
        self.tokens.append(token)
        self.executor.submit(make_spec(token, type, config, **fields))
        return token

    def shell(self, command: Any, **fields: Any) -> str:
        return self.submit("shell", {"command": command}, **fields)

    def python(self, callable: str, args: Mapping[str, Any] | None = None, **fields: Any) -> str:
        return self.submit("python", {"callable": callable, "args": dict(args or {})}, **fields)

    def wait(self, wanted: Callable[[Report], bool]) -> Report:
        """The first report that is wanted, waited for."""
        with self._news:
            found = self._news.wait_for(lambda: next((one for one in self.reports if wanted(one)), None), DEADLINE)
        assert found is not None, f"nothing of the kind came; there were {self.reports[-5:]}"
        return found

    def of(self, token: str, kind: type[T]) -> T:
        found = self.wait(lambda one: isinstance(one, kind) and one.token == token)  # type: ignore[attr-defined]
        assert isinstance(found, kind)
        return found

    def end(self, token: str) -> Finished:
        """Finished, and not Vanished."""
        found = self.wait(lambda one: isinstance(one, Finished | Vanished) and one.token == token)
        assert isinstance(found, Finished), found
        return found

    def started(self, token: str) -> Started:
        return self.of(token, Started)

    def lines(self, log: str = "attempt.jsonl") -> list[dict[str, Any]]:
        """A whole log in reading order."""
        names = [log, f"{log}.gap", f"{log}.old", f"{log}.new"]
        text = b"".join((self.logs / name).read_bytes() for name in names if (self.logs / name).exists())
        return [json.loads(line) for line in text.splitlines() if line]

    def text(self, log: str = "attempt.jsonl") -> str:
        return "\n".join(
            line["text"] if "text" in line else base64.b64decode(line["b64"]).decode("latin-1")
            for line in self.lines(log)
        )

    def marked(self, name: str) -> Path:
        """A file in the workspace, once a task has made it."""
        path = self.root / name
        until(path.exists)
        return path

    def close(self) -> None:
        self.executor.stop(0.2)
        assert processes.carriers(self.tokens) == {}, "processes of attempts are left"


def find_connection(name: str, _profile: str | None) -> Connection:
    if name != "shop_db":
        raise NotFound(f"There is no connection '{name}'.")
    return Connection(id=name, type="postgresql", config={"host": "db", "password": "${env:SHOP_PASSWORD}"})


def make_spec(token: str, type: str, config: Mapping[str, Any], **fields: Any) -> AttemptSpec:
    given: dict[str, Any] = {
        "epoch": 1,
        "run_id": "run_1",
        "pipeline_id": "orders",
        "task_id": "load",
        "map_index": None,
        "execution_id": "execution_1",
        "attempt": 1,
        "context": {"ds": "2024-03-01", "ds_nodash": "20240301", "logical_date": "2024-03-01T00:00:00+00:00"},
        "timeout_seconds": 60.0,
        "grace_seconds": 0.3,
        "log": "attempt.jsonl",
        **fields,
    }
    return AttemptSpec(token=token, type=type, config=config, **given)


def until(condition: Callable[[], Any], seconds: float = DEADLINE) -> None:
    """Wait for a condition that no signal tells."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    return processes.start_time(pid) is None
