"""Requests signed by the providers' own Python libraries, as a JSON list in the file named by the first argument.

The second argument is a folder: a throw-away RSA key and its certificate are left there for the Node suite.
"""

import base64
import hashlib
import hmac
import json
import re
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jwt
import nacl.encoding
import nacl.signing
import razorpay
import standardwebhooks
import stripe
import svix
from Adyen.util import generate_notification_sig, is_valid_hmac_notification
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from easypost.util import validate_webhook
from hubspot.utils.signature import Signature
from sendgrid.helpers.eventwebhook import EventWebhook
from gidgetlab.exceptions import ValidationFailure
from gidgetlab.sansio import Event
from paypalrestsdk import WebhookEvent
from pywa.utils import webhook_updates_validator
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator

import documented

NOW = int(time.time())
BODY = '{"id":"evt_1","type":"thing.made","n":1.10,"text":"naïve ✓ </script>"}'
URL = "https://example.com/in/source?a=b"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRET = "s3cret_0123456789"

vectors = []


def add(name, provider, settings, headers, signed, body=BODY, url=URL, at_ms=None, certificate=None, fields=()):
    """`name` begins with the package that signed or verified, or is "documentation"."""
    by = re.split(",| for ", name)[0]
    vector = {
        "name": f"python: {name}" if by != "documentation" else f"python: as documented: {provider}",
        "by": by if by == "documentation" else f"{by} (PyPI)",
        "provider": provider,
        "settings": settings,
        "url": url,
        "headers": headers,
        "body": body,
        "at_ms": NOW * 1000 if at_ms is None else at_ms,
        "signed": signed,
        "signed_fields": list(fields),
    }
    if certificate:
        vector["certificate"] = certificate
    vectors.append(vector)


def b64(data):
    return base64.b64encode(data).decode()


def standard_webhooks():
    at = datetime.fromtimestamp(NOW, tz=timezone.utc)
    for package, provider, prefix in [
        (svix, "svix", "svix"),
        (svix, "clerk", "svix"),
        (standardwebhooks, "standard-webhooks", "webhook"),
        (standardwebhooks, "open-ai", "webhook"),
    ]:
        webhook = package.Webhook(WHSEC)
        headers = {
            f"{prefix}-id": "msg_1",
            f"{prefix}-timestamp": str(NOW),
            f"{prefix}-signature": webhook.sign("msg_1", at, BODY),
        }
        webhook.verify(BODY, headers)
        add(f"{package.__name__} for {provider}", provider, {"secret": WHSEC}, headers, list(headers))


def stripe_header():
    payload = f"{NOW}.{BODY}"
    signature = stripe.WebhookSignature._compute_signature(payload, SECRET)
    header = f"t={NOW},v1={signature}"
    assert stripe.WebhookSignature.verify_header(BODY, header, SECRET, 300)
    add("stripe", "stripe", {"secret": SECRET}, {"stripe-signature": header}, ["stripe-signature"])


def slack():
    verifier = SignatureVerifier(SECRET)
    headers = {
        "x-slack-request-timestamp": str(NOW),
        "x-slack-signature": verifier.generate_signature(timestamp=str(NOW), body=BODY),
    }
    assert verifier.is_valid_request(BODY, headers)
    add("slack_sdk", "slack", {"secret": SECRET}, headers, list(headers))


def twilio():
    validator = RequestValidator(SECRET)
    fields = {"MessageSid": "SM1", "Body": "hello world", "From": "555"}
    form = "Body=hello+world&From=555&MessageSid=SM1"
    for name, algorithm, extra in [
        ("form", None, {}),
        (
            "form with a shared key",
            "HMAC_SHA256",
            {"x-twilio-webhooks-signature-settings": "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"},
        ),
    ]:
        signature = validator.compute_signature(URL, fields, algorithm)
        assert validator.validate(URL, fields, signature, algorithm)
        headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature, **extra}
        add(f"twilio, {name}", "twilio", {"secret": SECRET}, headers, ["x-twilio-signature"], body=form)
    url = f"{URL}&bodySHA256={validator.compute_hash(BODY)}"
    signature = validator.compute_signature("https://example.com:443" + url[len("https://example.com") :], {})
    assert validator.validate(url, BODY, signature)
    headers = {"content-type": "application/json", "x-twilio-signature": signature}
    add("twilio, JSON, signed with the port", "twilio", {"secret": SECRET}, headers, ["x-twilio-signature"], url=url)


def sendgrid():
    key = ec.generate_private_key(ec.SECP256R1())
    public = b64(
        key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    signature = b64(key.sign((str(NOW) + BODY).encode(), ec.ECDSA(hashes.SHA256())))
    assert EventWebhook(public).verify_signature(BODY, signature, str(NOW))
    headers = {
        "x-twilio-email-event-webhook-signature": signature,
        "x-twilio-email-event-webhook-timestamp": str(NOW),
    }
    add("sendgrid", "sendgrid", {"publicKey": public}, headers, list(headers))


def easypost():
    digest = hmac.new(SECRET.encode(), BODY.encode(), hashlib.sha256).hexdigest()
    headers = {"X-Hmac-Signature": f"hmac-sha256-hex={digest}"}
    assert validate_webhook(BODY.encode(), headers, SECRET) == json.loads(BODY)
    add("easypost", "easypost", {"secret": SECRET}, headers, list(headers))


def adyen():
    key = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
    item = {
        "pspReference": "7914073381342284",
        "originalReference": "",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": "TestPayment-1407325143704",
        "amount": {"value": 1130, "currency": "EUR"},
        "eventCode": "AUTHORISATION",
        "success": "true",
    }
    item["additionalData"] = {"hmacSignature": generate_notification_sig(item, key).decode()}
    body = {"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}
    assert is_valid_hmac_notification(body, key)
    names = ["pspReference", "merchantReference", "amount/currency", "eventCode", "success"]
    fields = [f"/notificationItems/0/NotificationRequestItem/{name}" for name in names]
    add("Adyen", "adyen", {"secret": key}, {}, [], body=json.dumps(body), fields=fields)


def razorpay_signature():
    signature = hmac.new(SECRET.encode(), BODY.encode(), hashlib.sha256).hexdigest()
    razorpay.Client(auth=("id", "key")).utility.verify_webhook_signature(BODY, signature, SECRET)
    headers = {"x-razorpay-signature": signature}
    add("razorpay", "razorpay", {"secret": SECRET}, headers, list(headers))


def hubspot():
    at_ms = NOW * 1000
    signature = Signature.get_signature(SECRET, BODY, "v3", URL, "POST", str(at_ms))
    assert Signature.is_valid(signature, SECRET, BODY, URL, "POST", "v3", str(at_ms))
    headers = {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": str(at_ms)}
    add("hubspot", "hubspot", {"secret": SECRET}, headers, list(headers))


def whatsapp():
    digest = hmac.new(SECRET.encode(), BODY.encode(), hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": f"sha256={digest}"}
    assert webhook_updates_validator(SECRET, BODY.encode(), headers["x-hub-signature-256"])
    add("pywa", "meta", {"secret": SECRET}, headers, list(headers))


def gitlab():
    headers = {"x-gitlab-event": "Push Hook", "x-gitlab-token": SECRET, "content-type": "application/json"}
    Event.from_http(headers, BODY.encode(), secret=SECRET)
    try:
        Event.from_http({**headers, "x-gitlab-token": "another"}, BODY.encode(), secret=SECRET)
    except ValidationFailure:
        add("gidgetlab", "gitlab", {"secret": SECRET}, headers, ["x-gitlab-token"])


def ed25519():
    key = nacl.signing.SigningKey.generate()
    public = key.verify_key
    message = f"{NOW}{BODY}".encode()
    signature = key.sign(message).signature
    # As Discord documents it for Python.
    public.verify(message, signature)
    headers = {"x-signature-ed25519": signature.hex(), "x-signature-timestamp": str(NOW)}
    settings = {"publicKey": public.encode(nacl.encoding.HexEncoder).decode()}
    add("PyNaCl for discord", "discord", settings, headers, list(headers))

    signature = key.sign(f"{NOW}|{BODY}".encode()).signature
    headers = {"telnyx-signature-ed25519": b64(signature), "telnyx-timestamp": str(NOW)}
    add("PyNaCl for telnyx", "telnyx", {"publicKey": b64(bytes(public))}, headers, list(headers))


def tokens():
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())
    claims = {"iat": NOW, "request_body_sha256": hashlib.sha256(BODY.encode()).hexdigest()}
    token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": "1"})
    jwk = json.dumps({**json.loads(jwk), "kid": "1"})
    add("documentation", "plaid", {"jwk": jwk}, {"plaid-verification": token}, ["plaid-verification"])

    secret = "0123456789abcdef0123456789abcdef"
    token = jwt.encode({"iat": NOW, "exp": NOW + 60, "iss": "me"}, secret, algorithm="HS256")
    assert jwt.decode(token, secret, algorithms=["HS256"])["iss"] == "me"
    settings = {"secret": secret, "header": "x-token", "issuer": "me"}
    add("PyJWT, HS256", "jwt", settings, {"x-token": token}, ["x-token"])

    rsa_key = rsa.generate_private_key(65537, 2048)
    jwk = json.dumps({"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key()))]})
    token = jwt.encode({"exp": NOW + 60, "aud": ["me"]}, rsa_key, algorithm="RS256")
    settings = {"jwk": jwk, "header": "x-token", "audience": "me"}
    add("PyJWT, RS256", "jwt", settings, {"x-token": token}, ["x-token"])


def certificates(folder):
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.com")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))

    body = '{"event_id":"1","created_at":"2023-11-14T22:13:20Z"}'
    signed = (body + "2023-11-14T22:13:20Z").encode()
    signature = b64(key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    add("documentation", "orum-io", {"publicKey": public}, {"signature": signature}, ["signature"], body=body)

    # PayPal's library makes the text that is signed; that it verifies with is gone from OpenSSL's bindings.
    headers = {
        "paypal-transmission-id": "b2384410-f8d2-11e4-8bf3-77339302725b",
        "paypal-transmission-time": "2023-11-14T22:13:20Z",
        "paypal-cert-url": "https://api.paypal.com/v1/notifications/certs/CERT-1",
        "paypal-auth-algo": "SHA256withRSA",
    }
    webhook = "4JH86294D6297924G"
    ids = headers["paypal-transmission-id"], headers["paypal-transmission-time"]
    signed = WebhookEvent._get_expected_sig(*ids, webhook, BODY)
    signature = b64(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))
    headers["paypal-transmission-sig"] = signature
    add(
        "paypalrestsdk",
        "paypal",
        {"webhookId": webhook},
        headers,
        ["paypal-transmission-id", "paypal-transmission-time", "paypal-transmission-sig"],
        certificate=certificate.public_bytes(pem).decode(),
    )


def main():
    standard_webhooks()
    stripe_header()
    slack()
    twilio()
    sendgrid()
    easypost()
    adyen()
    razorpay_signature()
    hubspot()
    whatsapp()
    gitlab()
    ed25519()
    tokens()
    certificates(Path(sys.argv[2]))
    documented.requests(add, SECRET, BODY, URL, NOW)
    Path(sys.argv[1]).write_text(json.dumps(vectors), encoding="utf-8")


main()
