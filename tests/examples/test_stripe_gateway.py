"""`stripe-gateway`: one event of Stripe's reaches every service that wants it, signed."""

from __future__ import annotations

import json
import time
from typing import Any, Callable

import stripe
from standardwebhooks.webhooks import Webhook

from conftest import Readme, Receiver, wait_until

SECRET = "whsec_gateway"


def test_one_event_reaches_each_service_that_wants_it(serve: Any, receivers: Callable[[], Receiver]) -> None:
    server = serve("stripe-gateway", STRIPE_SECRET=SECRET)
    readme = Readme("stripe-gateway")
    (make_app,) = readme.commands("app", "create")
    server.run(*make_app)
    services = {}
    for words in readme.commands("endpoint", "create"):
        (url,) = (word for word in words if word.startswith("https://"))
        uid = url.removeprefix("https://").partition(".")[0]
        services[uid] = receivers()
        server.run(*(services[uid].url + "/hook" if word == url else word for word in words), "--uid", uid)
    assert sorted(services) == ["invoices", "warehouse"]
    for event, kind in (("evt_1", "invoice.paid"), ("evt_2", "charge.refunded"), ("evt_1", "invoice.paid")):
        body = json.dumps({"id": event, "object": "event", "type": kind, "data": {"object": {"amount": 1990}}}).encode()
        now = int(time.time())
        signature = stripe.WebhookSignature._compute_signature(f"{now}.{body.decode()}", SECRET)
        assert server.post("stripe", body, {"stripe-signature": f"t={now},v1={signature}"}) < 300
    services["warehouse"].wait(2)
    wait_until(lambda: len(server.attempts("stripe")) == 2, "both publications")
    assert [request.json()["id"] for request in services["invoices"].wait(1)] == ["evt_1"]
    assert sorted(request.json()["id"] for request in services["warehouse"].requests) == ["evt_1", "evt_2"]
    for uid, service in services.items():
        secret = server.api("GET", f"/api/v1/app/billing/endpoint/{uid}/secret")["key"]
        for request in service.requests:
            headers = {name: request.headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
            Webhook(secret).verify(request.body, headers)
