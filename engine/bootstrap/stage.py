"""The module that rehearsals import as if it were an author's: found in a folder of `sys.path`, small, and empty of
everything but the function they call."""

from __future__ import annotations


def nothing(_ctx: object) -> None:
    """What most attempts begin with: being imported and called."""
