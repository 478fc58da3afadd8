"""The three channels. Each call has a key of its own (run, channel, customer), so that a service that knows the key
takes a repeated call for what it is; what was sent is checkpointed, so that a retry goes on after it."""

import os
import time

import requests

from engine.sdk import Context, NetworkError, PermissionFailure, RateLimited

SCALE = float(os.environ.get("PENSTOCK_TIME_SCALE") or 1)


def send_email_campaign(ctx: Context, records, target_customers, email_template):
    """The premium segment, by e-mail."""
    chosen = [each for each in records if each["segment"] == "premium" and each["email"]]
    return {"email_campaign_results": _send(ctx, "email_service", chosen[:target_customers], _mail(email_template))}


def send_sms_campaign(ctx: Context, records, target_customers, sms_template):
    """Exclusive deals, to everybody with a telephone."""
    chosen = [each for each in records if each["phone"]]
    return {"sms_campaign_results": _send(ctx, "sms_gateway", chosen[:target_customers], _text(sms_template))}


def send_push_notification(ctx: Context, records, target_customers, push_message):
    """Those who have the app."""
    chosen = [each for each in records if each["push_token"]]
    body = {"message": push_message}
    results = _send(ctx, "push_service", chosen[:target_customers], lambda each: {"to": each["push_token"], **body})
    return {"push_notification_results": results}


def _mail(template):
    return lambda each: {"to": each["email"], "body": template.format(name=each["name"])}


def _text(template):
    return lambda each: {"to": each["phone"], "body": template.format(name=each["name"])}


def _send(ctx, connection_id, customers, message):
    """One call a customer, no faster than the connection allows."""
    connection = ctx.connection(connection_id)
    pause = 1 / connection.per_second if connection.per_second else 0.0
    sent = (ctx.checkpoint.load() or {}).get("sent", 0)
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {connection.config['auth']['token']}"
        for number, customer in enumerate(customers[sent:], start=sent + 1):
            key = f"{ctx.run_id}/{connection_id}/{customer['customer_id']}"
            _post(session, connection.config["base_url"] + "/send", message(customer), key)
            ctx.progress(number, len(customers), unit="messages")
            if number % 10 == 0:
                ctx.checkpoint.save({"sent": number})
            time.sleep(pause * SCALE)
    ctx.metric("messages_sent", len(customers))
    return {"channel": connection_id, "sent": len(customers)}


def _post(session, url, body, key):
    try:
        answer = session.post(url, json=body, headers={"Idempotency-Key": key}, timeout=10)
    except requests.RequestException as error:
        raise NetworkError(f"{url} cannot be reached: {type(error).__name__}.") from error
    if answer.status_code == 429:
        raise RateLimited(f"{url} asks to slow down.", retry_after=float(answer.headers.get("Retry-After", 1)))
    if answer.status_code in (401, 403):
        raise PermissionFailure(f"{url} does not take the token of this connection (status {answer.status_code}).")
    answer.raise_for_status()
