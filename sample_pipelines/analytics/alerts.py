"""Slack, when something failed."""

import requests

from engine.sdk import Context, NetworkError


def send_slack_notification(ctx: Context, on_failure_callback):
    """One message a run, whatever number of tasks failed and however often this is tried."""
    if (ctx.checkpoint.load() or {}).get("told"):
        return {"sent": False}
    connection = ctx.connection(on_failure_callback)
    text = f":x: *{ctx.pipeline_id}* failed (run {ctx.run_id}). `penstock why {ctx.run_id}` says why."
    try:
        answer = requests.post(
            connection.config["url"], json={"text": text}, headers={"Idempotency-Key": ctx.run_id}, timeout=10
        )
        answer.raise_for_status()
    except requests.RequestException as error:
        # Neither the address nor the library's words about it: the address is the secret.
        raise NetworkError(f"Slack did not take the message: {type(error).__name__}.") from None
    ctx.checkpoint.save({"told": True})
    return {"sent": True}
