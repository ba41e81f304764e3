"""Requests signed as the providers' documentation says, for those of whom no library is published.

Nothing of Bellwire signs here: each line is what the page describes, in Python's own `hmac` and `hashlib`. The page is named in
`docs/providers.md`, in the last column of the provider's row. Passwords are requests as the page shows them.
"""

import base64
import hashlib
import hmac
import json


def hexadecimal(key, text, algorithm="sha256"):
    return hmac.new(key.encode(), text.encode(), algorithm).hexdigest()


def base_64(key, text, algorithm="sha256"):
    return base64.b64encode(hmac.new(key.encode(), text.encode(), algorithm).digest()).decode()


def of_the_body(key, body):
    """Provider, and the headers that it sends with this body."""
    urlsafe = base64.urlsafe_b64encode(hmac.new(key.encode(), body.encode(), hashlib.sha256).digest()).decode()
    return {
        "meta": {"X-Hub-Signature-256": "sha256=" + hexadecimal(key, body)},
        "dropbox": {"X-Dropbox-Signature": hexadecimal(key, body)},
        "intercom": {"X-Hub-Signature": "sha1=" + hexadecimal(key, body, "sha1")},
        "typeform": {"Typeform-Signature": "sha256=" + base_64(key, body)},
        "docusign": {"X-DocuSign-Signature-1": base_64(key, body)},
        "asana": {"X-Hook-Signature": hexadecimal(key, body)},
        "woocommerce": {"X-WC-Webhook-Signature": base_64(key, body)},
        "sentry": {"Sentry-Hook-Signature": hexadecimal(key, body)},
        "vercel": {"x-vercel-signature": hexadecimal(key, body, "sha1")},
        "nango": {"X-Nango-Hmac-Sha256": hexadecimal(key, body)},
        "merge": {"X-Merge-Webhook-Signature": urlsafe},
        "rutter": {"X-Rutter-Signature": "sha256=" + base_64(key, body)},
        "segment": {"X-Signature": hexadecimal(key, body, "sha1")},
        "veriff": {"X-HMAC-SIGNATURE": hexadecimal(key, body)},
    }


def of_a_time_and_the_body(key, body, now):
    millis = str(now * 1000)
    in_words = "2023-11-14T22:13:20Z"
    stripe_like = f"t={now},v1={hexadecimal(key, f'{now}.{body}')}"
    return {
        "calendly": {"Calendly-Webhook-Signature": stripe_like},
        "tailscale": {"Tailscale-Webhook-Signature": stripe_like},
        "zoom": {
            "x-zm-request-timestamp": str(now),
            "x-zm-signature": "v0=" + hexadecimal(key, f"v0:{now}:{body}"),
        },
        "zendesk": {
            "X-Zendesk-Webhook-Signature": base_64(key, in_words + body),
            "X-Zendesk-Webhook-Signature-Timestamp": in_words,
        },
        "airwallex": {"x-timestamp": millis, "x-signature": hexadecimal(key, millis + body)},
        "port-io": {
            "X-Port-Timestamp": str(now),
            "X-Port-Signature": "v1," + base_64(key, f"{now}.{body}"),
        },
    }


def passwords(secret):
    return {
        "telegram": {"X-Telegram-Bot-Api-Secret-Token": secret},
        "okta": {"Authorization": secret},
        "openclaw": {"x-openclaw-token": secret},
        "vapi": {"X-Vapi-Secret": secret},
    }


def requests(add, secret, body, url, now):
    """Calls `add` with every request."""

    def documented(provider, headers, settings=None, **more):
        add("documentation", provider, settings or {"secret": secret}, headers, list(headers), **more)

    for made in [of_the_body(secret, body), of_a_time_and_the_body(secret, body, now), passwords(secret)]:
        for provider, headers in made.items():
            documented(provider, headers)

    documented("trello", {"X-Trello-Webhook": base_64(secret, body + url, "sha1")})
    documented("panda-doc", {}, url=f"{url}&signature={hexadecimal(secret, body)}")
    documented("adobe-sign", {"X-AdobeSign-ClientId": secret}, settings={"clientId": secret})
    # What Very Good Security sends is said by the settings alone.
    settings = {"secret": secret, "header": "vgs-signature", "prefix": "sha256="}
    documented("vgs", {"vgs-signature": "sha256=" + hexadecimal(secret, body)}, settings=settings)

    notice = {"value": [{"id": "1", "subscriptionId": "2", "clientState": secret, "changeType": "created"}]}
    documented("ms-graph", {}, body=json.dumps(notice), fields=["/value/0/clientState"])
    token = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
    signature = {"timestamp": str(now), "token": token, "signature": hexadecimal(secret, f"{now}{token}")}
    event = {"signature": signature, "event-data": {"event": "opened"}}
    fields = [f"/signature/{name}" for name in signature]
    documented("mailgun", {}, body=json.dumps(event), fields=fields)
