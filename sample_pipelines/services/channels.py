"""What stands in for the e-mail, SMS, push and Slack services: a small HTTP server on loopback.

The engine starts it when a connection that names `${service:channels}` is used, and ends it with itself. What it
was sent goes into var/channels.jsonl, a line each. A key that was seen before is answered like the first time and
not written again."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

TOKENS = {
    "email": "sample-email-token",
    "sms": "sample-sms-token",
    "push": "sample-push-token",
}
SENT = Path("var/channels.jsonl")
writing, seen = Lock(), set()


class Channels(BaseHTTPRequestHandler):
    """POST /email/send, /sms/send, /push/send with a token; POST /slack without one; GET /health."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer(200 if self.path == "/health" else 404, {"status": "well"})

    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 1_000_000))
        channel = self.path.strip("/").partition("/")[0]
        if channel not in (*TOKENS, "slack"):
            self._answer(404, {"error": "no such channel"})
        elif channel in TOKENS and self.headers.get("Authorization") != f"Bearer {TOKENS[channel]}":
            self._answer(401, {"error": "this token is not known here"})
        else:
            self._take(channel, body)

    def _take(self, channel, body):
        try:
            document = json.loads(body)
        except ValueError:
            self._answer(400, {"error": "not JSON"})
            return
        key = self.headers.get("Idempotency-Key")
        with writing:
            if key is None or key not in seen:
                seen.add(key)
                SENT.parent.mkdir(exist_ok=True)
                with SENT.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps({"channel": channel, "key": key, "body": document}) + "\n")
        self._answer(200, {"accepted": True})

    def _answer(self, status, document):
        body = b"ok" if self.path == "/slack" and status == 200 else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *values):
        print(form % values, flush=True)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PENSTOCK_SERVICE_PORT"])), Channels).serve_forever()
