"""The month's close."""

from engine.sdk import Context
from loads.pace import work

BOOKED = {"invoices": 48_210_455, "receivables": 9_871_020, "payments": 8_402_310}  # cents


def post(ctx: Context, ledger, what, seconds):
    """Book one kind of entry."""
    ctx.log.info("Booking %s into %s.", what, ledger)
    for step in range(5):
        work(seconds / 5)
        ctx.progress(step + 1, 5, "batches")
    return {"ledger": ledger, "cents": BOOKED[what]}


def reconcile(ctx: Context, receivables, payments):
    """What is still owed after all payments."""
    work(3)
    ctx.metric("open_cents", receivables - payments)
    return {"open_cents": receivables - payments}
