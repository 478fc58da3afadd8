"""Copies of the customer system's tables."""

import csv
import shutil
from pathlib import Path

from engine.sdk import Context, DataQualityError
from loads.pace import work


def copy(ctx: Context, table):
    """Into place by one rename: whoever reads the copy sees the old one or the new one, never half of it."""
    target = Path("var/crm", f"{table}.csv")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = ctx.scratch / target.name
    shutil.copyfile(Path("data/crm", target.name), draft)
    work(3)
    part = target.with_suffix(f".{ctx.run_id}.part")
    shutil.move(draft, part)
    part.replace(target)
    with target.open(encoding="utf-8", newline="") as lines:
        return {"rows": sum(1 for _ in csv.DictReader(lines))}


def check(ctx: Context, rows, least):
    """A table that has shrunk is more often a broken export than a lost customer."""
    ctx.metric("rows", rows)
    if rows < least:
        raise DataQualityError(f"{rows} rows came, at least {least} were expected.")
