"""The daily load of the web store's orders."""

import csv

from engine.sdk import Context, DataQualityError
from loads.pace import work
from loads.warehouse import transaction


def check(ctx: Context, file, expected):
    """Every order has a number of its own and a positive amount; what has not will not get better by retrying."""
    orders = _read(file)
    work(3)
    if len(orders) != expected:
        raise DataQualityError(f"{file} has {len(orders)} orders, the export said {expected}.")
    doubles = len(orders) - len({order["number"] for order in orders})
    if doubles or any(int(order["cents"]) <= 0 for order in orders):
        raise DataQualityError(f"{file} has {doubles} numbers twice, or amounts that are not positive.")
    ctx.metric("orders_checked", len(orders))


def load(ctx: Context, file, day):
    """Upsert, so that loading the same day again changes nothing."""
    orders = _read(file)
    with transaction(ctx) as warehouse:
        for done, order in enumerate(orders, start=1):
            warehouse.execute(
                "INSERT OR REPLACE INTO orders VALUES (:number, :day, :region, :customer, :cents, :currency)",
                {**order, "day": day},
            )
            work(0.4)
            ctx.progress(done, len(orders))
    ctx.log.info("Loaded %s orders of %s.", len(orders), day)
    return {"loaded": len(orders)}


def _read(file):
    with open(file, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
