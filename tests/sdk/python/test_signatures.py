"""HTTP message signatures (RFC 9421), order and batches: verified with PyPI `http-message-signatures`, by the code that
docs/receiving.md shows to receivers."""

from __future__ import annotations

import base64
from typing import Any, Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from svix.api import ApplicationOut, EndpointSecretRotateIn, Svix

from rawapi import RawApi
from receiver import Received, Receiver
from snippets import snippet

EventType = Callable[[str], str]
Create = Callable[..., dict[str, Any]]
Send = Callable[..., str]

signed_request = snippet("signed_request")


@pytest.fixture
def create(raw: RawApi, svix: Svix, app: ApplicationOut) -> Create:
    """An endpoint with fields that the SDK does not know."""

    def make(to: Receiver, **fields: Any) -> dict[str, Any]:
        answer = raw.call("POST", f"/api/v1/app/{app.id}/endpoint", {"url": to.url, **fields})
        assert answer.status == 201, answer.body
        made = answer.json()
        made["secret"] = svix.endpoint.get_secret(app.id, made["id"]).key
        to.secrets.append(made["secret"])
        return made

    return make


@pytest.fixture
def send(raw: RawApi, app: ApplicationOut) -> Send:
    def publish(event_type: str, ordering_key: str | None = None, payload: Any = None) -> str:
        body = {"eventType": event_type, "payload": payload or {"n": 1}, "orderingKey": ordering_key}
        answer = raw.call("POST", f"/api/v1/app/{app.id}/msg", body)
        assert answer.status == 202, answer.body
        return answer.json()["id"]

    return publish


def fresh_pair() -> tuple[str, str]:
    """A private key as whsk_…, and its public half as whpk_…."""
    key = Ed25519PrivateKey.generate()
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return "whsk_" + base64.b64encode(seed + public).decode(), "whpk_" + base64.b64encode(public).decode()


def verified(secret: str, to: Receiver, sent: Received) -> bool:
    return signed_request(secret, to.url, sent.method, sent.headers, sent.body)


def refuses_changes(secret: str, to: Receiver, sent: Received) -> None:
    """Every way in which somebody on the way could change the request; none may verify."""
    assert not signed_request(secret, to.url + "?x=1", sent.method, sent.headers, sent.body)
    assert not signed_request(secret, to.url, "PUT", sent.headers, sent.body)
    assert not signed_request(secret, to.url, sent.method, sent.headers, sent.body + b" ")
    covered = [k for k in sent.headers if k in ("content-type", "content-digest") or k.startswith("webhook-")]
    covered.remove("webhook-signature")
    assert len(covered) >= 4
    for name in covered:
        changed = {**sent.headers, name: sent.headers[name] + "1"}
        assert not signed_request(secret, to.url, sent.method, changed, sent.body), f"{name} changed"
        without = {k: v for k, v in sent.headers.items() if k != name}
        assert not signed_request(secret, to.url, sent.method, without, sent.body), f"{name} taken away"
    if "webhook-sequence" not in sent.headers:
        added = {**sent.headers, "webhook-sequence": "1"}
        assert not signed_request(secret, to.url, sent.method, added, sent.body)


def test_a_shared_secret_signs_the_request(
    receiver: Receiver, create: Create, event_type: EventType, send: Send
) -> None:
    made = create(receiver, httpSignatures=True)
    sent = receiver.of(send(event_type("ping"), payload={"é": "ü"}))[0]
    assert sent.headers["signature-input"].endswith(';alg="hmac-sha256";tag="bellwire"')
    assert verified(made["secret"], receiver, sent), sent.headers["signature-input"]
    refuses_changes(made["secret"], receiver, sent)
    assert not verified("whsec_" + base64.b64encode(b"x" * 24).decode(), receiver, sent)


def test_order_headers_are_covered_and_both_live_keys_of_different_kinds_sign(
    svix: Svix, app: ApplicationOut, receiver: Receiver, create: Create, event_type: EventType, send: Send
) -> None:
    made = create(receiver, httpSignatures=True, ordering="key", retrySchedule=[])
    private, public = fresh_pair()
    svix.endpoint.rotate_secret(app.id, made["id"], EndpointSecretRotateIn(key=private))
    ping, place = event_type("ping"), snippet("place")
    found = []
    for status in (200, 500, 200):
        receiver.answer(status)
        sent = receiver.of(send(ping, "customer 42/ä"))[0]
        assert sent.headers["webhook-ordering-key"] == "customer%2042/%C3%A4"
        for secret in (public, made["secret"]):
            assert verified(secret, receiver, sent), sent.headers["signature-input"]
            refuses_changes(secret, receiver, sent)
        assert not verified(fresh_pair()[1], receiver, sent)
        found.append((sent.headers["webhook-sequence"], sent.headers["webhook-previous-sequence"]))
        if status == 200:
            assert place(sent.headers)[0] == "next"
    assert found == [("1", "0"), ("2", "1"), ("3", "1")], "2 was given up"
    later = {**sent.headers, "webhook-sequence": "9", "webhook-previous-sequence": "7"}
    assert place(later) == ("gap", range(4, 8))
    assert place(later) == ("duplicate", range(0))


def test_two_live_shared_secrets_both_sign(
    svix: Svix, app: ApplicationOut, receiver: Receiver, create: Create, event_type: EventType, send: Send
) -> None:
    made = create(receiver, httpSignatures=True)
    new = svix.endpoint.rotate_secret(app.id, made["id"], EndpointSecretRotateIn()).key
    sent = receiver.of(send(event_type("ping")))[0]
    for secret in (new, made["secret"]):
        assert verified(secret, receiver, sent)
        refuses_changes(secret, receiver, sent)


@pytest.mark.parametrize("layout", ["json", "cloudevents"])
def test_a_batch_is_signed_and_taken_apart(
    receivers: Callable[[], Receiver], create: Create, event_type: EventType, send: Send, layout: str
) -> None:
    receiver, ping = receivers(), event_type("ping")
    batch = {"maxMessages": 3, "maxWaitMs": 20_000, "format": layout}
    made = create(receiver, httpSignatures=True, ordering="key", batch=batch)
    ids = [send(ping, f"key {n}", {"n": n}) for n in (1, 2, 3)]
    sent = receiver.wait()[0]
    assert sent.msg_id.startswith("batch_")
    assert verified(made["secret"], receiver, sent)
    refuses_changes(made["secret"], receiver, sent)
    messages = snippet("messages_of")(sent.headers, sent.body)
    assert sorted(m["id"] for m in messages) == sorted(ids)
    assert sorted((m["type"], m["data"]["n"]) for m in messages) == [(ping, 1), (ping, 2), (ping, 3)]
    assert all(int(item["sequence"]) == 1 for item in sent.json())
