"""`welcome-email`: Clerk's sign-up becomes a mail at a real SMTP server."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Iterator

import pytest
from aiosmtpd.controller import Controller
from svix.webhooks import Webhook

from conftest import free_port, wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.refusals = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refusals > 0:
            self.refusals -= 1
            return "451 try again later"
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        self.recipients.append(envelope.rcpt_tos)
        return "250 kept"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box, f"smtp://127.0.0.1:{controller.port}"
    controller.stop()


def signed(body: bytes, event: str) -> dict[str, str]:
    now = datetime.now(tz=timezone.utc)
    return {
        "svix-id": event,
        "svix-timestamp": str(int(now.timestamp())),
        "svix-signature": Webhook(SECRET).sign(event, now, body.decode()),
    }


def sign_up() -> bytes:
    return (Path(os.environ["EXAMPLES_FOLDER"]) / "welcome-email" / "signup.json").read_bytes()


def test_a_new_user_gets_one_mail(serve: Any, mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    server = serve("welcome-email", CLERK_SECRET=SECRET, SMTP_URL=url)
    body = sign_up()
    assert server.post("signup", body, signed(body, "msg_1")) < 300
    # Sent again, as providers do: no second mail.
    assert server.post("signup", body, signed(body, "msg_1")) < 300
    other = json.dumps({"type": "user.deleted", "data": {"id": "user_1"}}).encode()
    assert server.post("signup", other, signed(other, "msg_2")) < 300
    wait_until(lambda: box.mails, "a mail")
    wait_until(lambda: len(server.attempts("signup")) == 1, "one attempt")
    (mail,) = box.mails
    assert box.recipients == [["ada@example.org"]]
    assert (mail["subject"], mail["from"]) == ("Welcome, Ada", "Acme <hello@acme.example>")
    parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
    assert "Good to have you here" in parts["text/plain"]
    assert "<b>Ada</b>" in parts["text/html"]


def test_a_mail_server_that_is_busy_gets_it_later(serve: Any, mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    box.refusals = 1
    server = serve("welcome-email", CLERK_SECRET=SECRET, SMTP_URL=url, BELLWIRE_RETRY_SCHEDULE="200ms,200ms,1s")
    body = sign_up()
    assert server.post("signup", body, signed(body, "msg_3")) < 300
    wait_until(lambda: box.mails, "the second try")
    wait_until(lambda: len(server.attempts("signup")) == 2, "two attempts")


def test_a_stranger_is_refused(serve: Any, mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    server = serve("welcome-email", CLERK_SECRET=SECRET, SMTP_URL=url)
    body = sign_up()
    assert server.post("signup", body, {}) == 401
    assert server.post("signup", body.replace(b"ada@", b"eve@"), signed(body, "msg_4")) == 401
    refused = wait_until(lambda: server.api("GET", "/ingest/api/v1/source/signup/log")["data"], "the list of refused requests")
    assert {row["status_code"] for row in refused} == {401}
    assert not box.mails
