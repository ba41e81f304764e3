"""`payment-updates`: Stripe's paid checkout becomes a PUT at a CRM."""

from __future__ import annotations

import json
import time
from typing import Any

import stripe

from conftest import Receiver, wait_until

SECRET = "whsec_test_secret"


def checkout(status: str = "paid", event: str = "evt_1") -> bytes:
    data = {"client_reference_id": "order 7/x", "payment_status": status, "amount_total": 1990, "currency": "eur"}
    return json.dumps({"id": event, "object": "event", "type": "checkout.session.completed", "data": {"object": data}}).encode()


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    now = int(time.time())
    signature = stripe.WebhookSignature._compute_signature(f"{now}.{body.decode()}", secret)
    return {"stripe-signature": f"t={now},v1={signature}"}


def test_a_payment_reaches_the_crm_as_often_as_it_takes(serve: Any, receiver: Receiver) -> None:
    receiver.answers.extend([503, 200])
    server = serve("payment-updates", STRIPE_SECRET=SECRET, CRM_URL=receiver.url, CRM_TOKEN="t0p")
    body = checkout()
    assert server.post("payments", body, signed(body)) < 300
    first, second = receiver.wait(2)
    for request in (first, second):
        # What came from outside is one segment of the path, whatever is in it.
        assert (request.method, request.path) == ("PUT", "/orders/order%207%2Fx")
        assert request.headers["authorization"] == "Bearer t0p"
        assert request.json() == {"status": "paid", "amount": 1990, "currency": "eur"}
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    wait_until(lambda: len(server.attempts("payments")) == 2, "both attempts")


def test_unpaid_checkouts_and_repetitions_change_nothing(serve: Any, receiver: Receiver) -> None:
    server = serve("payment-updates", STRIPE_SECRET=SECRET, CRM_URL=receiver.url, CRM_TOKEN="t0p")
    unpaid, paid = checkout("unpaid", "evt_2"), checkout("paid", "evt_3")
    for body in (unpaid, paid, paid):
        assert server.post("payments", body, signed(body)) < 300
    wait_until(lambda: server.attempts("payments"), "an attempt")
    assert len(receiver.requests) == 1
    assert server.post("payments", paid, signed(paid, "whsec_another")) == 401


def test_the_old_secret_still_signs_while_it_is_replaced(serve: Any, receiver: Receiver) -> None:
    server = serve("payment-updates", STRIPE_SECRET="whsec_new", STRIPE_OLD_SECRET="whsec_old", CRM_URL=receiver.url, CRM_TOKEN="t")
    for secret, event in (("whsec_new", "evt_4"), ("whsec_old", "evt_5")):
        body = checkout(event=event)
        assert server.post("payments", body, signed(body, secret)) < 300
    receiver.wait(2)
