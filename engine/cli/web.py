"""`penstock web`: the console in a browser.

Law: it listens on this machine's loopback alone, answers nobody without the token of this very start, and every
console it serves ends with it.
"""

from __future__ import annotations

import importlib.util

import click

from engine.cli.session import Session
from engine.cli.syntax import command, pass_session
from engine.model.errors import RequestError


@command("web", "penstock web", "penstock web --port 8765 --read-only")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Without it, any that is free.")
@click.option("--read-only", is_flag=True, help="Consoles that change nothing.")
@pass_session
def web(session: Session, port: int, read_only: bool) -> None:
    """Serve the console on 127.0.0.1 until interrupted; the address that is printed carries the token."""
    root = session.workspace.settings.root  # says what is wrong with it before anything listens
    if importlib.util.find_spec("textual_serve") is None:
        raise RequestError("The console in a browser needs the extra `web`: pip install 'penstock[web]'.")
    from engine.cli.web_server import Served, serve

    options = (
        *(("--profile", session.profile) if session.profile else ()),
        *(("--read-only",) if read_only else ()),
    )

    def ready(address: str) -> None:
        if session.json:
            session.out.json_line({"url": address})
        else:
            session.out.line(f"The console of {root} is at {address}")
            session.out.remark("The address is a key: whoever has it works as you. Ctrl+C ends it.")
        session.out.flush()

    serve(Served(root=str(root), options=options, port=port, title=f"penstock · {root.name}"), ready)
