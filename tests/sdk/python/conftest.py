"""Fixtures: the official client, a bare client, receivers, and names nobody else on the server uses.

`BELLWIRE_URL` and `BELLWIRE_TOKEN` (an admin token) name a running server started with `--dev`. Tests isolate
themselves by unique names, so several suites may run against one server at once.
"""

from __future__ import annotations

import os
import uuid
from typing import Any, Callable, Iterator

import pytest
from svix.api import ApplicationIn, EndpointIn, EventTypeDeleteOptions, EventTypeIn, Svix, SvixOptions
from svix.api.errors.http_error import HttpError
from svix.models import ApplicationOut, EndpointOut, MessageIn, MessageOut

from rawapi import RawApi
from receiver import Receiver


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.exit(f"{name} is not set: start `bellwire serve --dev` and export it", returncode=2)
    return value


class RetryingEndpointIn(EndpointIn):
    """The SDK's model plus Bellwire's additive `retrySchedule`: the waits before each retry."""

    retry_schedule: list[str]


@pytest.fixture(scope="session")
def url() -> str:
    return _required("BELLWIRE_URL")


@pytest.fixture(scope="session")
def svix(url: str) -> Svix:
    return Svix(_required("BELLWIRE_TOKEN"), SvixOptions(server_url=url))


@pytest.fixture(scope="session")
def raw(url: str) -> RawApi:
    return RawApi(url, _required("BELLWIRE_TOKEN"))


@pytest.fixture
def name() -> str:
    """A prefix unique to this test, usable as a uid and as the start of an event type."""
    return f"py{uuid.uuid4().hex[:12]}"


@pytest.fixture
def app(svix: Svix, name: str) -> Iterator[ApplicationOut]:
    made = svix.application.create(ApplicationIn(name=f"suite {name}", uid=f"{name}-app"))
    yield made
    try:
        svix.application.delete(made.id)
    except HttpError as refused:  # the test deleted it itself
        assert refused.status_code == 404


@pytest.fixture
def event_type(svix: Svix, name: str) -> Iterator[Callable[[str], str]]:
    """Registers `<unique>.<suffix>` and gives its full name back."""
    made: list[str] = []

    def register(suffix: str) -> str:
        full = f"{name}.{suffix}"
        svix.event_type.create(EventTypeIn(name=full, description=f"{suffix} of a test"))
        made.append(full)
        return full

    yield register
    for full in made:
        try:
            svix.event_type.delete(full, EventTypeDeleteOptions(expunge=True))
        except HttpError as refused:
            assert refused.status_code == 404


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    """Opens receivers; when the test ends, everything they got must verify."""
    opened: list[Receiver] = []

    def open_one() -> Receiver:
        opened.append(Receiver())
        return opened[-1]

    yield open_one
    for receiver in opened:
        receiver.close()
    for receiver in opened:
        receiver.verify_everything()


@pytest.fixture
def receiver(receivers: Callable[[], Receiver]) -> Receiver:
    return receivers()


@pytest.fixture
def connect(svix: Svix, app: ApplicationOut) -> Callable[..., EndpointOut]:
    """Creates an endpoint of `app` that points at a receiver and makes the receiver trust its secret."""

    def make(to: Receiver, retry: list[str] | None = None, **fields: Any) -> EndpointOut:
        if retry is None:
            wanted = EndpointIn(url=to.url, **fields)
        else:
            wanted = RetryingEndpointIn(url=to.url, retry_schedule=retry, **fields)
        made = svix.endpoint.create(app.id, wanted)
        to.secrets.append(svix.endpoint.get_secret(app.id, made.id).key)
        return made

    return make


@pytest.fixture
def publish(svix: Svix, app: ApplicationOut) -> Callable[..., MessageOut]:
    def send(event_type: str, payload: dict[str, Any] | None = None, **fields: Any) -> MessageOut:
        return svix.message.create(app.id, MessageIn(event_type=event_type, payload=payload or {"n": 1}, **fields))

    return send
