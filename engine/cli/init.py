"""`penstock init`: a new workspace with one pipeline that runs.

Law: nothing that exists is overwritten; either the whole workspace is made or nothing.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from engine.cli.output import Output
from engine.cli.session import Session
from engine.cli.syntax import command, pass_session
from engine.model.errors import RequestError

_FILES = {
    "penstock.yaml": "penstock.yaml",
    "connections.yaml": "connections.yaml",
    "gitignore": ".gitignore",
    "README.md": "README.md",
    "hello.yaml": "pipelines/hello.yaml",
    "greetings.py.txt": "greetings.py",
}


@command("init", "penstock init shop && cd shop && penstock run hello")
@click.argument("directory", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@pass_session
def init(session: Session, directory: Path | None) -> None:
    """Make a workspace in DIR (default: here) with one pipeline that runs."""
    root = (directory or session.start).resolve()
    _refuse_to_overwrite(root)
    for source, target in _FILES.items():
        path = root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(_template(source), encoding="utf-8")
    made = {"workspace": str(root), "files": list(_FILES.values())}
    session.answer(made, lambda out: _print(out, root, directory))


def _refuse_to_overwrite(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise RequestError(f"{root} is a file; give a folder.")
    if (root / "penstock.yaml").exists():
        raise RequestError(f"{root} is a workspace already; nothing was changed.")
    taken = [name for name in _FILES.values() if (root / name).exists() and name not in (".gitignore", "README.md")]
    if taken:
        raise RequestError(f"{root} already has {', '.join(taken)}; nothing was changed. Give an empty folder.")


def _template(name: str) -> str:
    return resources.files("engine.cli").joinpath("workspace", name).read_text(encoding="utf-8")


def _print(out: Output, root: Path, directory: Path | None) -> None:
    out.line(f"Made a workspace in {root}:")
    for name in _FILES.values():
        out.line(f"  {name}")
    out.line("Next:")
    if directory is not None:
        out.line(f"  cd {directory}")
    out.line("  penstock run hello")
