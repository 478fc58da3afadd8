"""Takings of the branches."""

import csv
from collections import Counter

from engine.sdk import Context, DataQualityError
from loads.pace import work
from loads.warehouse import transaction


def load(ctx: Context, branch, day, bad_rows="refuse"):
    """One branch's file, summed per till. Rows that are no amounts refuse the whole file, unless told to skip."""
    takings, bad = Counter(), []
    with open(f"data/tills/{branch}.csv", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["cents"].isdigit():
                takings[row["till"]] += int(row["cents"])
            else:
                bad.append(row)
    work(5)
    ctx.metric("bad_rows", len(bad))
    if bad and bad_rows != "skip":
        first = bad[0]
        raise DataQualityError(
            f"{len(bad)} of {branch}'s rows have no amount; the first is receipt {first['receipt']} "
            f"of till {first['till']} with '{first['cents']}'."
        )
    with transaction(ctx) as warehouse:
        rows = [(day, till, cents) for till, cents in takings.items()]
        warehouse.executemany("INSERT OR REPLACE INTO takings VALUES (?, ?, ?)", rows)
    return {"cents": sum(takings.values()), "tills": len(takings), "left_out": len(bad)}


def sum_up(ctx: Context, **branches):
    """The day in one number."""
    ctx.log.info("Takings: %s", ", ".join(f"{branch} {cents / 100:.2f}" for branch, cents in branches.items()))
    return {"cents": sum(branches.values())}
