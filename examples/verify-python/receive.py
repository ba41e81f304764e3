"""Receives webhooks, alone or in batches: verifies the raw body, recognises duplicates, answers at once."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

BODY_BYTES_MAX = 1 << 20

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
# A real receiver keeps these in its database, written in one transaction with the work.
seen: set[str] = set()


def messages(message_id: str, event: Any) -> list[tuple[str, Any]]:
    """Ids and payloads. A batch's own id changes from try to try; those of the messages inside do not."""
    if not message_id.startswith("batch_"):
        return [(message_id, event)]
    return [(item["id"], item["data"]) for item in event]


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(length)
        if self.path != "/hook":
            return self.answer(404)
        try:
            event = webhook.verify(body, dict(self.headers))
        except WebhookVerificationError as error:
            print("refused:", error, flush=True)
            return self.answer(401)
        for message_id, data in messages(self.headers["webhook-id"], event):
            if message_id in seen:
                print("duplicate:", message_id, flush=True)
            else:
                seen.add(message_id)
                print("received:", message_id, data, flush=True)
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8090"))), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}/hook", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
