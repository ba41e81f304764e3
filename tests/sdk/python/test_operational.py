"""Operational webhook endpoints: the operator is told, with signed messages, what happens to endpoints."""

from typing import Any, Callable, Iterator

import pytest
from svix.api import (
    ApplicationOut,
    EndpointOut,
    EndpointPatch,
    MessageOut,
    OperationalWebhookEndpointHeadersIn,
    OperationalWebhookEndpointIn,
    OperationalWebhookEndpointListOptions,
    OperationalWebhookEndpointOut,
    OperationalWebhookEndpointSecretIn,
    OperationalWebhookEndpointUpsertIn,
    Svix,
)

from helpers import refused
from receiver import Received, Receiver

Connect = Callable[..., EndpointOut]
Publish = Callable[..., MessageOut]
EventType = Callable[[str], str]
Operate = Callable[..., OperationalWebhookEndpointOut]


@pytest.fixture
def operate(svix: Svix) -> Iterator[Operate]:
    """Creates an operational endpoint whose receiver trusts its secret; removes it afterwards."""
    made: list[str] = []

    def create(to: Receiver, **fields: Any) -> OperationalWebhookEndpointOut:
        one = svix.operational_webhook.endpoint.create(OperationalWebhookEndpointIn(url=to.url, **fields))
        made.append(one.id)
        to.secrets.append(svix.operational_webhook.endpoint.get_secret(one.id).key)
        return one

    yield create
    for endpoint_id in made:
        try:
            svix.operational_webhook.endpoint.delete(endpoint_id)
        except Exception as gone:  # deleted by the test
            assert getattr(gone, "status_code", None) == 404


def about(app: ApplicationOut, kind: str) -> Callable[[Received], bool]:
    """Other suites cause events too: only those of `app` count."""
    return lambda r: r.json()["type"] == kind and r.json()["data"]["appId"] == app.id


def test_operator_hears_of_an_endpoint_from_birth_to_end(
    svix: Svix, app: ApplicationOut, receivers: Callable[[], Receiver], connect: Connect, operate: Operate, name: str
) -> None:
    console = receivers()
    operate(console, event_types=["endpoint.created", "endpoint.updated", "endpoint.deleted"])
    made = connect(receivers(), uid=f"{name}-ep")
    born = console.wait(1, about(app, "endpoint.created"))[0].json()["data"]
    assert born["endpointId"] == made.id
    assert (born["appUid"], born["endpointUid"]) == (app.uid, f"{name}-ep")
    svix.endpoint.patch(app.id, made.id, EndpointPatch(description="new"))
    assert console.wait(1, about(app, "endpoint.updated"))[0].json()["data"]["endpointId"] == made.id
    svix.endpoint.delete(app.id, made.id)
    assert console.wait(1, about(app, "endpoint.deleted"))[0].json()["data"]["endpointId"] == made.id


def test_operator_hears_of_an_exhausted_message(
    app: ApplicationOut,
    receivers: Callable[[], Receiver],
    connect: Connect,
    operate: Operate,
    event_type: EventType,
    publish: Publish,
    name: str,
) -> None:
    console, failing = receivers(), receivers()
    operate(console, event_types=["message.attempt.exhausted"])
    failing.always(500)
    made = connect(failing, retry=["100ms"])
    message = publish(event_type("ping"), event_id=f"{name}-evt")
    told = console.wait(1, about(app, "message.attempt.exhausted"))[0].json()["data"]
    assert (told["msgId"], told["endpointId"], told["msgEventId"]) == (message.id, made.id, f"{name}-evt")
    last = told["lastAttempt"]
    assert last["id"].startswith("atmpt_") and last["responseStatusCode"] == 500 and last["timestamp"]


def test_operator_hears_that_a_gone_endpoint_was_disabled(
    svix: Svix,
    app: ApplicationOut,
    receivers: Callable[[], Receiver],
    connect: Connect,
    operate: Operate,
    event_type: EventType,
    publish: Publish,
) -> None:
    console, leaving = receivers(), receivers()
    operate(console, event_types=["endpoint.disabled"])
    leaving.always(410)
    made = connect(leaving)
    message = publish(event_type("ping"))
    leaving.of(message.id)
    told = console.wait(1, about(app, "endpoint.disabled"))[0].json()["data"]
    assert told["endpointId"] == made.id and told["failSince"]
    assert svix.endpoint.get(app.id, made.id).disabled is True


def test_operational_endpoint_is_managed_like_any_other(svix: Svix, receiver: Receiver, operate: Operate) -> None:
    api = svix.operational_webhook.endpoint
    made = operate(receiver, description="console", event_types=["endpoint.disabled"], metadata={"k": "v"})
    assert made.id.startswith("ep_") and made.event_types == ["endpoint.disabled"]
    assert api.get(made.id) == made
    query = OperationalWebhookEndpointListOptions(limit=250)
    listed: list[str] = []
    while not listed or query.iterator:
        page = api.list(query)
        listed += [e.id for e in page.data]
        query.iterator = None if page.done else page.iterator
    assert made.id in listed

    changed = api.upsert(made.id, OperationalWebhookEndpointUpsertIn(url=receiver.url + "/2", description="moved"))
    assert (changed.url, changed.description, changed.event_types) == (receiver.url + "/2", "moved", None)
    api.set_headers(made.id, OperationalWebhookEndpointHeadersIn(headers={"X-Console": "1"}))
    assert {k.lower(): v for k, v in api.get_headers(made.id).headers.items()} == {"x-console": "1"}
    before = api.get_secret(made.id).key
    api.rotate_secret(made.id, OperationalWebhookEndpointSecretIn())
    assert api.get_secret(made.id).key != before
    receiver.secrets.append(api.get_secret(made.id).key)
    refused(422, api.create, OperationalWebhookEndpointIn(url="http://10.0.0.1/"))
    api.delete(made.id)
    refused(404, api.get, made.id)
