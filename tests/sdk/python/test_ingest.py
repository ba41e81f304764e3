"""Sources: where the webhooks of others come in, made and managed with the official client."""

import hashlib
import hmac
from typing import Any, Callable, Iterator
from urllib.parse import urlsplit

import pytest
from svix.api import (
    CronConfig,
    GithubConfig,
    IngestEndpointHeadersIn,
    IngestEndpointIn,
    IngestEndpointSecretIn,
    IngestEndpointTransformationPatch,
    IngestEndpointUpsertIn,
    IngestSourceConsumerPortalAccessIn,
    IngestSourceIn,
    IngestSourceOut,
    MessageIn,
    MetaConfig,
    OrumIoConfig,
    Svix,
    SvixConfig,
    SvixOptions,
    TailscaleConfig,
)
from svix.api.ingest_endpoint import IngestEndpointListOptions
from svix.api.ingest_source import IngestSourceListOptions

from helpers import eventually, refused
from rawapi import RawApi
from receiver import Receiver

Source = Callable[..., IngestSourceOut]

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def source(svix: Svix, name: str) -> Iterator[Source]:
    """Makes sources of this test's own; removes them afterwards."""
    made: list[str] = []

    def make(kind: str = "github", config: Any = None, **fields: Any) -> IngestSourceOut:
        wanted = IngestSourceIn(
            name=f"suite {name}",
            type=kind,
            config=GithubConfig(secret="s3cret") if config is None else config,
            **fields,
        )
        one = svix.ingest.source.create(wanted)
        made.append(one.id)
        return one

    yield make
    for source_id in made:
        try:
            svix.ingest.source.delete(source_id)
        except Exception as gone:  # deleted by the test
            assert getattr(gone, "status_code", None) == 404


def test_a_source_has_a_url_and_shows_no_secret(svix: Svix, raw: RawApi, source: Source, name: str) -> None:
    made = source(uid=f"{name}-src", metadata={"team": "a"})
    assert made.id.startswith("src_") and made.type == "github" and made.metadata == {"team": "a"}
    assert made.ingest_url is not None and made.ingest_url.rsplit("/", 1)[0].endswith("/in")
    for known in (made.id, f"{name}-src"):
        assert svix.ingest.source.get(known) == made
    shown = raw.call("GET", f"/ingest/api/v1/source/{made.id}")
    assert b"s3cret" not in shown.body and shown.json()["secrets"] == {"secret": 1}
    second = IngestSourceIn(name="second", type="generic-webhook", config={}, uid=made.uid)
    refused(409, svix.ingest.source.create, second)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("generic-webhook", {}),
        ("svix", SvixConfig(secret=WHSEC)),
        ("clerk", SvixConfig(secret=WHSEC)),
        ("meta", MetaConfig(secret="a", verify_token="b")),
        ("tailscale", TailscaleConfig(secret="tskey-webhook-a", timestamp_grace_seconds=60)),
        ("cron", CronConfig(schedule="*/5 * * * *", payload='{"a": 1}', content_type="application/json")),
    ],
)
def test_the_client_reads_every_kind_that_it_writes(svix: Svix, source: Source, kind: str, config: Any) -> None:
    made = source(kind, config)
    assert made.type == kind
    assert svix.ingest.source.get(made.id) == made
    if kind == "cron":
        assert made.config == config and made.ingest_url is None


def test_a_key_that_is_none_is_refused_by_its_name(svix: Svix) -> None:
    wanted = IngestSourceIn(name="x", type="orum-io", config=OrumIoConfig(public_key="not a key"))
    error = refused(422, svix.ingest.source.create, wanted)
    assert error.detail[0].loc == ["body", "config", "publicKey"]


def test_settings_that_verify_nothing_are_refused(svix: Svix) -> None:
    for kind, config in (("github", GithubConfig()), ("svix", SvixConfig(secret="whsec_%%"))):
        error = refused(422, svix.ingest.source.create, IngestSourceIn(name="x", type=kind, config=config))
        assert error.detail[0].loc == ["body", "config", "secret"]


def test_sources_are_listed_page_by_page(svix: Svix, source: Source) -> None:
    mine = [source().id for _ in range(3)]
    query = IngestSourceListOptions(limit=2)
    found: list[str] = []
    while True:
        page = svix.ingest.source.list(query)
        found += [one.id for one in page.data]
        if page.done:
            break
        query.iterator = page.iterator
    assert [one for one in found if one in mine] == mine


def test_kinds_that_the_client_does_not_know_do_not_break_it(svix: Svix, raw: RawApi, name: str) -> None:
    body = {"name": f"suite {name}", "type": "gitlab", "config": {"secret": "t"}, "uid": f"{name}-lab"}
    made = raw.call("POST", "/ingest/api/v1/source", body)
    assert made.status == 201 and made.json()["type"] == "gitlab"
    try:
        read = svix.ingest.source.get(f"{name}-lab")
        assert read.type == "generic-webhook"
        # What was read is written back, and the source still verifies.
        svix.ingest.source.upsert(read.id, IngestSourceIn(name="Lab", type=read.type, config={}, uid=read.uid))
        now = raw.call("GET", f"/ingest/api/v1/source/{read.id}").json()
        assert (now["type"], now["name"], now["secrets"]) == ("gitlab", "Lab", {"secret": 1})
    finally:
        svix.ingest.source.delete(f"{name}-lab")


def test_upserting_makes_and_then_replaces(svix: Svix, raw: RawApi, name: str) -> None:
    api = svix.ingest.source
    made = api.upsert(f"{name}-up", IngestSourceIn(name="One", type="github", config=GithubConfig(secret="a")))
    try:
        assert (made.uid, made.name) == (f"{name}-up", "One")
        replaced = api.upsert(
            made.id, IngestSourceIn(name="Two", type="svix", config=SvixConfig(secret=WHSEC), uid=made.uid)
        )
        assert (replaced.id, replaced.type, replaced.ingest_url) == (made.id, "svix", made.ingest_url)
        # No client has it.
        patched = raw.call("PATCH", f"/ingest/api/v1/source/{made.id}", {"name": "Three", "metadata": {"k": "v"}})
        assert patched.status == 200
        assert (api.get(made.id).name, api.get(made.id).metadata) == ("Three", {"k": "v"})
    finally:
        api.delete(made.id)
    refused(404, api.get, made.id)


def test_rotating_the_token_makes_another_url(svix: Svix, source: Source) -> None:
    made = source()
    rotated = svix.ingest.source.rotate_token(made.id)
    assert rotated.ingest_url != made.ingest_url
    assert svix.ingest.source.get(made.id).ingest_url == rotated.ingest_url


def test_endpoints_of_a_source_are_managed(svix: Svix, source: Source, receiver: Receiver, name: str) -> None:
    made, api = source(), svix.ingest.endpoint
    one = api.create(made.id, IngestEndpointIn(url=receiver.url, uid=f"{name}-ep", headers={"X-One": "1"}))
    assert one.id.startswith("ep_") and api.get(made.id, f"{name}-ep") == one
    assert [e.id for e in api.list(made.id, IngestEndpointListOptions(limit=1)).data] == [one.id]
    changed = api.upsert(made.id, one.id, IngestEndpointUpsertIn(url=f"{receiver.url}/2", description="moved"))
    assert (changed.url, changed.description) == (f"{receiver.url}/2", "moved")
    assert {k.lower(): v for k, v in api.get_headers(made.id, one.id).headers.items()} == {"x-one": "1"}
    api.set_headers(made.id, one.id, IngestEndpointHeadersIn(headers={"X-Two": "2"}))
    assert {k.lower(): v for k, v in api.get_headers(made.id, one.id).headers.items()} == {"x-two": "2"}
    assert api.transformation.get(made.id, one.id).code is None
    code = '{"id": "{{ body.id }}"}'
    api.transformation.patch(made.id, one.id, IngestEndpointTransformationPatch(code=code, enabled=True))
    shown = api.transformation.get(made.id, one.id)
    assert (shown.code, shown.enabled) == (code, True)
    before = api.get_secret(made.id, one.id).key
    api.rotate_secret(made.id, one.id, IngestEndpointSecretIn())
    assert api.get_secret(made.id, one.id).key != before
    refused(422, api.create, made.id, IngestEndpointIn(url="http://10.0.0.1/"))
    api.delete(made.id, one.id)
    refused(404, api.get, made.id, one.id)


def test_the_portal_of_a_source_sees_its_application_only(
    svix: Svix, raw: RawApi, source: Source, receiver: Receiver, url: str
) -> None:
    made = source()
    one = svix.ingest.endpoint.create(made.id, IngestEndpointIn(url=receiver.url))
    access = svix.ingest.authentication.consumer_portal_access(
        made.id, IngestSourceConsumerPortalAccessIn(expiry=3600, read_only=True)
    )
    app_id = raw.call("GET", f"/ingest/api/v1/source/{made.id}").json()["appId"]
    portal = Svix(access.token, SvixOptions(server_url=url))
    assert [e.id for e in portal.endpoint.list(app_id).data] == [one.id]
    assert portal.message.list(app_id).data == []
    refused(403, portal.ingest.source.list)


def test_refused_requests_and_streams_are_listed(raw: RawApi, source: Source) -> None:
    made = source()
    for part in ("log", "stream"):
        answer = raw.call("GET", f"/ingest/api/v1/source/{made.id}/{part}?limit=1")
        assert (answer.status, answer.json()["data"], answer.json()["done"]) == (200, [], True)


def test_what_comes_in_is_delivered_and_what_is_not_trusted_is_listed(
    svix: Svix, raw: RawApi, source: Source, receiver: Receiver, url: str
) -> None:
    made = source()
    endpoint = svix.ingest.endpoint.create(made.id, IngestEndpointIn(url=receiver.url))
    receiver.secrets.append(svix.ingest.endpoint.get_secret(made.id, endpoint.id).key)
    assert made.ingest_url is not None
    path = urlsplit(made.ingest_url).path
    stranger = RawApi(url, None)
    body = b'{"ref": "main",  "n": 1.10}'
    proof = "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": proof, "x-github-event": "push", "x-github-delivery": "d-1"}
    assert stranger.call("POST", path, body, headers).status // 100 == 2
    assert receiver.wait(1)[0].body == body

    app_id = raw.call("GET", f"/ingest/api/v1/source/{made.id}").json()["appId"]
    message = svix.message.list(app_id).data[0]
    assert (message.event_type, message.event_id, message.payload["ref"]) == ("push", "d-1", "main")
    inbound = raw.call("GET", f"/api/v1/app/source:{made.id}/msg/{message.id}").json()["inbound"]
    assert inbound["sourceId"] == made.id and inbound["headers"]["x-github-event"] == "push" and inbound["verdict"]
    assert path not in inbound["target"]
    refused(409, svix.message.create, app_id, MessageIn(event_type="push", payload={}))

    assert stranger.call("POST", path, b"{}", headers | {"x-github-delivery": "d-2"}).status == 401
    listed = eventually(lambda: raw.call("GET", f"/ingest/api/v1/source/{made.id}/log").json()["data"], "it is listed")
    assert listed[0]["status_code"] == 401 and listed[0]["error_text"] and listed[0]["source_id"] == made.id
