"""The feed for a marketplace that has changed what it takes."""

from engine.sdk import Context, PermissionFailure
from loads.pace import work


def send_prices(ctx: Context, feed, tariff):
    """The partner takes gross prices only, since this month; being refused is nothing a retry would help."""
    work(15)
    if tariff == "net":
        raise PermissionFailure(f"market.example refused the price list of {feed}: 403, tariff 'net' not allowed.")
    return {"accepted": True}
