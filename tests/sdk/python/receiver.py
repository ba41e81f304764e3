"""A plain HTTP receiver on loopback that records every request raw.

Used by the fixtures of `conftest.py`. It answers what its script says (200 when the script is empty) and
deliberately verifies nothing while it answers: the signatures are checked by the published libraries afterwards.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable

from standardwebhooks.webhooks import Webhook as StandardWebhook
from svix.webhooks import Webhook as SvixWebhook

DEADLINE_S = 30.0
STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
BRANDED = ("svix-id", "svix-timestamp", "svix-signature")


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def msg_id(self) -> str:
        return self.headers["webhook-id"]

    def json(self) -> Any:
        return json.loads(self.body)

    def verify(self, secret: str) -> None:
        """Raises unless both libraries, each reading its own headers, accept the request."""
        StandardWebhook(secret).verify(self.body, {k: self.headers[k] for k in STANDARD}, json_parse=False)
        SvixWebhook(secret).verify(self.body, {k: self.headers[k] for k in BRANDED})

    def verifies(self, secret: str) -> bool:
        try:
            self.verify(secret)
        except Exception:  # each library has its own exception types
            return False
        return True


class Receiver:
    """Listens until `close`; `answers` is the script, one entry per request, as (status, headers, body)."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        self.default: tuple[int, dict[str, str], bytes] = (200, {}, b"ok")
        self._answers: deque[tuple[int, dict[str, str], bytes]] = deque()
        self._requests: list[Received] = []
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def answer(self, *statuses: int) -> None:
        """Appends to the script: one plain answer per status."""
        with self._changed:
            self._answers.extend((s, {}, b"scripted") for s in statuses)

    def always(self, status: int) -> None:
        """What to answer once the script has run out."""
        with self._changed:
            self.default = (status, {}, b"default")

    @property
    def requests(self) -> list[Received]:
        with self._changed:
            return list(self._requests)

    def wait(self, count: int = 1, match: Callable[[Received], bool] = lambda _: True) -> list[Received]:
        """Waits until `count` requests match, or fails after the deadline. Wakes on arrival."""
        end = time.monotonic() + DEADLINE_S
        with self._changed:
            while True:
                found = [r for r in self._requests if match(r)]
                if len(found) >= count:
                    return found
                left = end - time.monotonic()
                if left <= 0:
                    got = [(r.path, r.headers.get("webhook-id"), r.body[:80]) for r in self._requests]
                    raise AssertionError(f"{len(found)} of {count} awaited requests came; all: {got}")
                self._changed.wait(left)

    def of(self, msg_id: str, count: int = 1) -> list[Received]:
        """Waits for `count` requests that carry this message."""
        return self.wait(count, lambda r: r.headers.get("webhook-id") == msg_id)

    def verify_everything(self) -> None:
        """Every request that ever came is signed with a secret this receiver trusts."""
        for r in self.requests:
            assert any(r.verifies(s) for s in self.secrets), f"unverifiable: {r} with {len(self.secrets)} secrets"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                with receiver._changed:
                    status, extra, text = receiver._answers.popleft() if receiver._answers else receiver.default
                self.send_response(status)
                for k, v in extra.items():
                    self.send_header(k, v)
                self.send_header("x-receiver", "python")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                self.wfile.flush()
                with receiver._changed:
                    receiver._requests.append(Received(self.command, self.path, headers, body))
                    receiver._changed.notify_all()

            do_PUT = do_PATCH = do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
