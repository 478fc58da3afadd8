"""The `penstock` command: hands over to the command line, or opens the console with what bootstrap built.

Law: the only file of the console that knows how an engine is made. Nothing is loaded before it is known to be
needed: the workspace's settings are read before the first paint, everything else after it, in a thread.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.app import Console
    from console.session import Session
    from engine.bootstrap.workspace import Workspace
    from engine.client import Client
    from engine.client.values import Lease

_STOP_SECONDS = 30.0


def main() -> int:
    """The entry point of the `penstock` command."""
    from engine.cli import main as command_line  # nothing is loaded before it is known to be needed

    return command_line(console=_open_console)


def _open_console(
    directory: str | None, profile: str | None, *, read_only: bool, attach: bool, no_engine: bool
) -> int:
    import gc

    from console.web import end_with, served_by

    gc.disable()  # until the workspace is open: nothing is thrown away before; console.sweeping takes over

    server = served_by(os.environ)
    if server is not None:
        end_with(server)
    elif not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(
            "penstock: The console needs a terminal; without one use `penstock runs`, `penstock why last` and the "
            "other commands of `penstock --help`.",
            file=sys.stderr,
        )
        return 2
    from pathlib import Path

    from engine.bootstrap.workspace import open_workspace

    workspace = open_workspace(Path(directory or "."), profile or os.environ.get("PENSTOCK_PROFILE") or None)
    keeper = Keeper(workspace)
    session = _session(
        workspace,
        keeper,
        read_only=read_only,
        start_engine=not (read_only or attach or no_engine),
        keep_engine=not (read_only or no_engine),
    )
    from console.app import Console

    app = Console(session)
    try:
        left = app.run(mouse=session.preferences.mouse)
        return left if left is not None else app.return_code or 0  # what broke leaves no result, and a code
    finally:
        _end_reading(app)
        session.closing.set()
        keeper.detach()
        workspace.close()


def _session(
    workspace: Workspace, keeper: Keeper, *, read_only: bool, start_engine: bool, keep_engine: bool
) -> Session:
    """What a console works with, as this user likes it and left it."""
    from console import preferences
    from console.memory import Memory, state_folder
    from console.session import Session

    chosen = preferences.read()
    memory = Memory(state_folder(os.environ) / "memory.json")
    return Session(
        root=workspace.settings.root,
        profile=workspace.profile,
        actor=workspace.actor,
        open_client=keeper.open_client,
        keeper=keeper,
        read_only=read_only,
        start_engine=start_engine,
        keep_engine=keep_engine,
        preferences=chosen,
        look=preferences.look(chosen, os.environ, sys.stdout.encoding),
        memory=memory,
        splits=memory.splits(),
        closed=memory.closed(),
    )


def _end_reading(app: Console) -> None:
    """Textual forgets the thread that reads the keys when the terminal went away before it was put back: it would
    read the end of it for ever, and the process not end."""
    ending = getattr(app._driver, "exit_event", None)
    if ending is not None:
        ending.set()


class Keeper:
    """console.session.EngineKeeper over one workspace. Safe from several threads once the client is open."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._sign = workspace.settings.home / "attached" / str(os.getpid())

    def open_client(self) -> Client:
        """Everything behind the client, made by one thread."""
        with self._lock:
            return self._workspace.client

    def leader(self) -> Lease | None:
        """Who leads and lives."""
        from engine.bootstrap.workspace import engine_leads

        return engine_leads(self._workspace)

    def start(self) -> int:
        """The background engine, in a session of its own."""
        from engine.bootstrap.host import spawn_engine

        return spawn_engine(self._workspace)

    def attach(self) -> None:
        """A file named by our pid; whoever finds it checks that we live."""
        self._workspace.settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sign.parent.mkdir(exist_ok=True)
        self._sign.touch()

    def detach(self) -> None:
        """Nobody watches from here any more."""
        self._sign.unlink(missing_ok=True)

    def stop(self) -> None:
        """Ask whoever leads to end, and see it gone."""
        held = self.leader()
        if held is None:
            return
        client = self._workspace.client
        client.commands.send("engine.stop", {})
        until = client.clock.monotonic() + _STOP_SECONDS
        _, token = client.queries.changed(None)
        while (now := self.leader()) is not None and now.epoch == held.epoch:
            if client.clock.monotonic() > until:
                from engine.model.errors import RequestError

                raise RequestError(f"The engine (process {held.pid}) did not end within {_STOP_SECONDS:g} s.")
            _, token = client.queries.wait(token, 0.1)

    def apply(self) -> None:
        """Lead for one command."""
        from engine.bootstrap.host import host

        host(self._workspace, "command").apply()


if __name__ == "__main__":
    sys.exit(main())
