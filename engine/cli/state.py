"""`penstock backup` and `penstock restore`: the state file as a whole.

Law: a backup is consistent whatever the engine does meanwhile. A restore happens only while no engine leads,
holds the lease meanwhile, checks the copy before it touches anything, and keeps what was there.
"""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.ask import confirm
from engine.cli.session import Session
from engine.cli.syntax import command, pass_session
from engine.model.errors import NotFound, RequestError


@command("backup", "penstock backup /backups/shop-2026-11-19.db")
@click.argument("file", type=click.Path(path_type=Path))
@pass_session
def backup(session: Session, file: Path) -> None:
    """Write a consistent copy of the state to FILE, also while an engine runs."""
    from engine.stores.backup import backup as write_copy

    if file.exists():
        raise RequestError(f"{file} exists; a backup never overwrites a file.")
    if not file.resolve().parent.is_dir():
        raise NotFound(f"There is no folder {file.resolve().parent}.")
    size = write_copy(session.workspace.settings, file.resolve(), state=session.workspace.state)
    made = {"file": str(file), "bytes": size}
    session.answer(made, lambda out: out.line(f"Wrote {file} ({size / 1024 / 1024:.1f} MiB)."))


@command("restore", "penstock restore /backups/shop-2026-11-19.db")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def restore(session: Session, file: Path, yes: bool) -> None:
    """Put the copy in FILE in the place of the state, while no engine runs. What was there is kept beside it."""
    from engine.bootstrap.alone import alone
    from engine.stores.backup import restore as put_in_place

    if not file.is_file():
        raise NotFound(f"There is no file {file}.")
    workspace = session.workspace
    with alone(workspace):
        confirm(session.out, f"The state of this workspace becomes what it was in {file}.", yes=yes)
        kept = put_in_place(workspace.settings, file.resolve(), state=workspace.state).before
    beside = f" What was there is kept as {kept}." if kept else ""
    done = {"restored": str(file), "kept": str(kept) if kept else None}
    session.answer(done, lambda out: out.line(f"Restored {file}.{beside}"))
