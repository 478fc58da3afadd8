"""Who sits here: login and, over SSH, where from."""

from __future__ import annotations

import getpass
import os
import pwd
import socket

from engine.model.event import Actor


def current_actor() -> Actor:
    """user@host, taken from the login and SSH_CONNECTION."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = getpass.getuser() if os.environ.get("USER") else str(os.getuid())
    address = os.environ.get("SSH_CONNECTION", "").split(" ")[0] or None
    session = os.environ.get("SSH_TTY") or os.environ.get("TMUX_PANE")
    return Actor(name=f"{user}@{address or socket.gethostname()}", address=address, session=session)
