"""Exchange rates of a bank that is not always there."""

from engine.sdk import Context, NetworkError
from loads.pace import work
from loads.warehouse import transaction

RATES = {"NOK": 11.62, "GBP": 0.861, "PLN": 4.312, "SEK": 11.18, "DKK": 7.459}


def fetch(ctx: Context, currencies):
    """The first two attempts meet a server that is being restarted."""
    work(2)
    if ctx.attempt <= 2:
        raise NetworkError("rates.bank.example answered 503 Service Unavailable.")
    ctx.log.info("Got %s rates at attempt %s.", len(currencies), ctx.attempt)
    return {"rates": {currency: RATES[currency] for currency in currencies}}


def store(ctx: Context, rates, day):
    """A row per currency and day."""
    with transaction(ctx) as warehouse:
        rows = [(day, currency, rate) for currency, rate in rates.items()]
        warehouse.executemany("INSERT OR REPLACE INTO rates VALUES (?, ?, ?)", rows)
    return {"stored": len(rates)}
