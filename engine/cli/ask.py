"""Questions before what cannot be taken back.

Law: nothing is done without a yes, typed or given as --yes; where nobody can be asked, --yes is required.
"""

from __future__ import annotations

import sys

from engine.cli.output import Output
from engine.model.errors import Refused, RequestError


def confirm(out: Output, consequence: str, *, yes: bool) -> None:
    """Show what would happen and go on only with a yes."""
    out.remark(consequence)
    if yes:
        return
    if not sys.stdin.isatty():
        raise RequestError("Nobody can be asked here; give --yes to go on.")
    sys.stderr.write("Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("Nothing was changed.")
