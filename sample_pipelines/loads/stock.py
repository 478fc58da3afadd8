"""Stock of the warehouses."""

import csv

from engine.sdk import Context
from loads.pace import work
from loads.warehouse import transaction

PIECES = {
    "HAM1": {"TENT-2P": 41, "STOVE-1": 3, "ROPE-60": 120},
    "GDN1": {"TENT-2P": 12, "STOVE-1": 2, "ROPE-60": 55},
    "OSL1": {"TENT-2P": 2, "STOVE-1": 1, "ROPE-60": 31},
    "RTM2": {"TENT-2P": 4, "STOVE-1": 4, "ROPE-60": 9},
}
LOW = {"TENT-2P": 40, "STOVE-1": 20, "ROPE-60": 100}
PRICES = {"TENT-2P": 18_900, "STOVE-1": 7_450, "ROPE-60": 9_900}  # cents


def parcels_booked(ctx: Context, at_least):
    """One look: whether the parcel desk has booked enough. A sensor looks, and changes nothing."""
    return {"parcels": 17} if at_least <= 17 else False


def warehouses(ctx: Context, file):
    """The list, as what `foreach` goes through."""
    with open(file, encoding="utf-8", newline="") as lines:
        return {"warehouses": list(csv.DictReader(lines))}


def book(ctx: Context, site, city, day):
    """One warehouse."""
    work(6)
    with transaction(ctx) as warehouse:
        rows = [(day, site, sku, pieces) for sku, pieces in PIECES[site].items()]
        warehouse.executemany("INSERT OR REPLACE INTO stock VALUES (?, ?, ?, ?)", rows)
    ctx.log.info("%s (%s): %s articles.", site, city, len(rows))
    ctx.metric("pieces", sum(PIECES[site].values()))
    return {"site": site, "pieces": PIECES[site]}


def shortages(ctx: Context, booked):
    """Articles of which all warehouses together have too few."""
    total = {sku: sum(each["pieces"].get(sku, 0) for each in booked) for sku in LOW}
    return {"skus": [sku for sku, pieces in total.items() if pieces < LOW[sku]], "total": total}


def prices(ctx: Context, skus):
    """What the supplier asks for ten of each."""
    work(2)
    return {"cents": sum(10 * PRICES[sku] for sku in skus)}
