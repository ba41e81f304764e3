"""Secrets: given, generated, rotated with and without a time of grace; verified by the published libraries."""

import base64
import os
from typing import Callable

from svix.api import (
    ApplicationOut,
    EndpointIn,
    EndpointOut,
    EndpointSecretRotateIn,
    MessageOut,
    Svix,
)

from helpers import refused
from receiver import Receiver

Connect = Callable[..., EndpointOut]
Publish = Callable[..., MessageOut]
EventType = Callable[[str], str]


def fresh_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(24)).decode()


def test_generated_secret_is_strong_and_signs(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    made = connect(receiver)
    key = svix.endpoint.get_secret(app.id, made.id).key
    assert key.startswith("whsec_") and len(base64.b64decode(key[6:], validate=True)) >= 24
    message = publish(event_type("ping"))
    sent = receiver.of(message.id)[0]
    sent.verify(key)
    assert not sent.verifies(fresh_secret())
    assert sent.headers["webhook-id"] == sent.headers["svix-id"] == message.id
    assert sent.headers["webhook-timestamp"] == sent.headers["svix-timestamp"]
    assert sent.headers["webhook-timestamp"].isdigit()
    assert sent.headers["content-type"].startswith("application/json")


def test_given_secret_is_used_as_given(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    secret = fresh_secret()
    made = connect(receiver, secret=secret)
    assert svix.endpoint.get_secret(app.id, made.id).key == secret
    receiver.of(publish(event_type("ping")).id)[0].verify(secret)


def test_rotation_signs_with_old_and_new_during_the_grace(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    ping = event_type("ping")
    made = connect(receiver)
    old = svix.endpoint.get_secret(app.id, made.id).key
    new = svix.endpoint.rotate_secret(app.id, made.id, EndpointSecretRotateIn()).key
    receiver.secrets.append(new)
    assert new != old
    assert svix.endpoint.get_secret(app.id, made.id).key == new
    sent = receiver.of(publish(ping).id)[0]
    sent.verify(new)
    sent.verify(old)

    chosen = fresh_secret()
    receiver.secrets.append(chosen)
    assert svix.endpoint.rotate_secret(app.id, made.id, EndpointSecretRotateIn(key=chosen)).key == chosen
    sent = receiver.of(publish(ping).id)[0]
    for key in (chosen, new, old):
        sent.verify(key)


def test_rotation_without_grace_ends_the_old_secret(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    made = connect(receiver)
    old = svix.endpoint.get_secret(app.id, made.id).key
    new = svix.endpoint.rotate_secret(app.id, made.id, EndpointSecretRotateIn(grace_period_seconds=0)).key
    receiver.secrets.append(new)
    sent = receiver.of(publish(event_type("ping")).id)[0]
    sent.verify(new)
    assert not sent.verifies(old)


def test_bad_secrets_are_refused(svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect) -> None:
    for secret in ("whsec_short", "", "whsec_" + "!" * 40, "whsec_" + "A" * 200):
        refused(422, svix.endpoint.create, app.id, EndpointIn(url=receiver.url, secret=secret))
    made = connect(receiver)
    refused(422, svix.endpoint.rotate_secret, app.id, made.id, EndpointSecretRotateIn(key="whsec_short"))
    refused(
        422, svix.endpoint.rotate_secret, app.id, made.id, EndpointSecretRotateIn(grace_period_seconds=604801)
    )
