"""What later versions carry: refused by name, with the way to do it today where there is one.

Law: nothing here appears in any help, and nothing named here is ever accepted and ignored.
"""

from __future__ import annotations

COMMANDS = {
    "backfill": "run each date with `penstock run PIPELINE --logical-date D`",
}

OPTIONS = {
    ("lineage", "--column"): "`penstock lineage DATASET` tells which datasets and tasks are involved",
    ("engine", "--api"): "`--json` of every command gives the same documents",
}


def sentence(what: str, instead: str) -> str:
    """The refusal."""
    return f"{what} is not in this version" + (f"; {instead}." if instead else ".")
