"""Endpoints through the SDK: fields, filters, headers, refusals, pagination both ways, stats, deletion."""

from typing import Any, Callable

import pytest
from svix.api import (
    ApplicationOut,
    EndpointHeadersIn,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointListOptions,
    EndpointOut,
    EndpointPatch,
    EndpointUpsertIn,
    MessageOut,
    Ordering,
    Svix,
)

from helpers import eventually, refused
from rawapi import RawApi
from receiver import Receiver

Connect = Callable[..., EndpointOut]
Publish = Callable[..., MessageOut]
EventType = Callable[[str], str]


def destinations(svix: Svix, app: ApplicationOut, message: MessageOut) -> set[str]:
    return {d.id for d in svix.message_attempt.list_attempted_destinations(app.id, message.id).data}


def test_created_endpoint_keeps_every_field(
    svix: Svix, app: ApplicationOut, receiver: Receiver, event_type: EventType, name: str
) -> None:
    paid, failed = event_type("invoice.paid"), event_type("invoice.failed")
    made = svix.endpoint.create(
        app.id,
        EndpointIn(
            url=receiver.url,
            uid=f"{name}-ep",
            description="billing",
            event_types=[paid, failed],
            channels=["eu", "beta"],
            throttle_rate=9,
            metadata={"team": "billing"},
        ),
    )
    assert made.id.startswith("ep_")
    assert (made.url, made.uid, made.description, made.throttle_rate) == (receiver.url, f"{name}-ep", "billing", 9)
    assert made.disabled is False
    assert set(made.event_types or []) == {paid, failed}
    assert set(made.channels or []) == {"eu", "beta"}
    assert made.metadata == {"team": "billing"}
    assert svix.endpoint.get(app.id, made.id) == made
    assert svix.endpoint.get(app.uid or "", f"{name}-ep") == made
    refused(409, svix.endpoint.create, app.id, EndpointIn(url=receiver.url, uid=f"{name}-ep"))


def test_upsert_replaces_and_patch_changes_only_what_it_names(
    svix: Svix, raw: RawApi, app: ApplicationOut, receiver: Receiver, name: str
) -> None:
    uid = f"{name}-ep"
    path = f"/api/v1/app/{app.id}/endpoint/{uid}"
    assert raw.call("PUT", path, {"url": receiver.url, "uid": uid, "description": "one"}).status == 201
    assert raw.call("PUT", path, {"url": receiver.url, "uid": uid, "description": "two"}).status == 200
    secret = svix.endpoint.get_secret(app.id, uid).key
    replaced = svix.endpoint.upsert(
        app.id, uid, EndpointUpsertIn(url=receiver.url + "/v2", uid=uid, channels=["eu"], metadata={"a": "1"})
    )
    assert (replaced.url, replaced.description, replaced.channels) == (receiver.url + "/v2", "", ["eu"])
    assert svix.endpoint.get_secret(app.id, uid).key == secret
    patched = svix.endpoint.patch(app.id, uid, EndpointPatch(description="three", disabled=True))
    assert (patched.description, patched.disabled, patched.channels) == ("three", True, ["eu"])
    assert patched.metadata == {"a": "1"}
    cleared = svix.endpoint.patch(app.id, uid, EndpointPatch(channels=None, uid=None))
    assert (cleared.channels, cleared.uid, cleared.description) == (None, None, "three")


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.1/hook",
        "http://169.254.169.254/latest/meta-data",
        "http://192.168.1.1",
        "http://[::ffff:10.0.0.1]/",
        "http://[fd00::1]/",
        "http://0x0a000001/",
        "http://100.64.0.1/",
        "ftp://example.com/",
        "http://user:secret@example.com/",
        "http://example.com:22/",
        "not a url",
        "http:///nohost",
    ],
)
def test_dangerous_urls_are_refused(svix: Svix, app: ApplicationOut, address: str) -> None:
    refused(422, svix.endpoint.create, app.id, EndpointIn(url=address))
    assert svix.endpoint.list(app.id).data == []


def test_dangerous_url_is_refused_by_update_and_patch(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect
) -> None:
    made = connect(receiver)
    refused(422, svix.endpoint.upsert, app.id, made.id, EndpointUpsertIn(url="http://10.0.0.1/"))
    refused(422, svix.endpoint.patch, app.id, made.id, EndpointPatch(url="http://10.0.0.1/"))
    assert svix.endpoint.get(app.id, made.id).url == receiver.url


def test_list_walks_forth_and_back(svix: Svix, app: ApplicationOut, receiver: Receiver) -> None:
    made = [svix.endpoint.create(app.id, EndpointIn(url=f"{receiver.url}/{i}")).id for i in range(5)]

    def page(order: Ordering, iterator: str | None = None) -> Any:
        return svix.endpoint.list(app.id, EndpointListOptions(limit=2, order=order, iterator=iterator))

    for order, expected in ((Ordering.ASCENDING, made), (Ordering.DESCENDING, made[::-1])):
        first = page(order)
        second = page(order, first.iterator)
        third = page(order, second.iterator)
        assert [[e.id for e in p.data] for p in (first, second, third)] == [expected[:2], expected[2:4], expected[4:]]
        assert [first.done, second.done, third.done] == [False, False, True]
        back = page(order, third.prev_iterator)
        start = page(order, back.prev_iterator)
        assert [e.id for e in back.data] == expected[2:4]
        assert [e.id for e in start.data] == expected[:2]
        # And forth again from a page that was reached backwards.
        assert [e.id for e in page(order, start.iterator).data] == expected[2:4]
    refused(422, svix.endpoint.list, app.id, EndpointListOptions(limit=251))


def test_headers_are_sent_listed_and_patched(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    ping = event_type("ping")
    made = connect(receiver, headers={"X-Team": "billing", "X-Stage": "prod"})
    sent = receiver.of(publish(ping).id)[0]
    assert (sent.headers["x-team"], sent.headers["x-stage"]) == ("billing", "prod")

    svix.endpoint.patch_headers(
        app.id, made.id, EndpointHeadersPatchIn(headers={"X-Team": "ops"}, delete_headers=["X-Stage"])
    )
    known = {k.lower(): v for k, v in svix.endpoint.get_headers(app.id, made.id).headers.items()}
    assert known == {"x-team": "ops"}
    svix.endpoint.set_headers(app.id, made.id, EndpointHeadersIn(headers={"X-Only": "1"}))
    sent = receiver.of(publish(ping).id)[0]
    assert sent.headers["x-only"] == "1" and "x-team" not in sent.headers


@pytest.mark.parametrize("header", ["Host", "Content-Length", "Transfer-Encoding", "webhook-id", "svix-signature"])
def test_forbidden_headers_are_refused(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, header: str
) -> None:
    made = connect(receiver)
    refused(422, svix.endpoint.set_headers, app.id, made.id, EndpointHeadersIn(headers={header: "x"}))


def test_sensitive_header_values_are_not_shown(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect
) -> None:
    made = connect(receiver)
    svix.endpoint.set_headers(
        app.id, made.id, EndpointHeadersIn(headers={"Authorization": "Bearer canary-value", "X-Plain": "shown"})
    )
    shown = svix.endpoint.get_headers(app.id, made.id)
    assert "canary-value" not in shown.model_dump_json()
    assert "authorization" in {s.lower() for s in shown.sensitive}


def test_filters_and_channels_choose_the_destinations(
    svix: Svix,
    app: ApplicationOut,
    receivers: Callable[[], Receiver],
    connect: Connect,
    event_type: EventType,
    publish: Publish,
) -> None:
    paid, other = event_type("invoice.paid"), event_type("user.created")
    everything, only_paid, only_eu = receivers(), receivers(), receivers()
    all_of_it = connect(everything).id
    paid_only = connect(only_paid, event_types=[paid]).id
    eu_only = connect(only_eu, channels=["eu"]).id

    plain = publish(other)
    paid_us = publish(paid, channels=["us"])
    paid_eu = publish(paid, channels=["us", "eu"])
    for message in (plain, paid_us, paid_eu):
        everything.of(message.id)
    only_paid.wait(2)
    only_eu.wait(1)
    assert destinations(svix, app, plain) == {all_of_it}
    assert destinations(svix, app, paid_us) == {all_of_it, paid_only}
    assert destinations(svix, app, paid_eu) == {all_of_it, paid_only, eu_only}
    assert [r.msg_id for r in only_eu.requests] == [paid_eu.id]
    assert sorted(r.msg_id for r in only_paid.requests) == sorted([paid_us.id, paid_eu.id])


def test_wildcard_filter_takes_the_whole_family(
    raw: RawApi,
    svix: Svix,
    app: ApplicationOut,
    receivers: Callable[[], Receiver],
    connect: Connect,
    event_type: EventType,
    publish: Publish,
    name: str,
) -> None:
    paid, user = event_type("invoice.paid"), event_type("user.created")
    witness, family = receivers(), receivers()
    connect(witness)
    wild = connect(family, event_types=[f"{name}.invoice.*"]).id
    unmatched, matched = publish(user), publish(paid)
    witness.of(unmatched.id)
    family.of(matched.id)
    assert wild in destinations(svix, app, matched)
    assert wild not in destinations(svix, app, unmatched)


def test_deleted_and_disabled_endpoints_get_nothing_more(
    svix: Svix,
    app: ApplicationOut,
    receivers: Callable[[], Receiver],
    connect: Connect,
    event_type: EventType,
    publish: Publish,
) -> None:
    ping = event_type("ping")
    witness, doomed, sleeping = receivers(), receivers(), receivers()
    witnessing = connect(witness).id
    gone, off = connect(doomed).id, connect(sleeping).id
    before = publish(ping)
    doomed.of(before.id), sleeping.of(before.id)

    svix.endpoint.delete(app.id, gone)
    svix.endpoint.patch(app.id, off, EndpointPatch(disabled=True))
    after = publish(ping)
    witness.of(after.id)
    assert destinations(svix, app, after) & {gone, off} == set()
    assert witnessing in destinations(svix, app, after)
    assert {r.msg_id for r in doomed.requests + sleeping.requests} == {before.id}
    refused(404, svix.endpoint.get, app.id, gone)
    refused(404, svix.endpoint.delete, app.id, gone)

    svix.endpoint.patch(app.id, off, EndpointPatch(disabled=False))
    sleeping.of(publish(ping).id)


def test_stats_count_what_was_delivered_and_what_failed(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    ping = event_type("ping")
    made = connect(receiver, retry=["100ms"])
    receiver.of(publish(ping).id), receiver.of(publish(ping).id)
    receiver.always(500)
    receiver.of(publish(ping).id, 2)
    stats = eventually(
        lambda: (s := svix.endpoint.get_stats(app.id, made.id)).success == 2 and s.fail >= 1 and s,
        "two successes and a failure in the stats",
    )
    assert (stats.pending, stats.sending, stats.canceled) == (0, 0, 0)


def test_example_is_sent_to_this_endpoint(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, name: str
) -> None:
    from svix.api import EventExampleIn, EventTypeIn

    full = f"{name}.example"
    schema = {"1": {"type": "object", "properties": {"total": {"type": "number"}}, "examples": [{"total": 42}]}}
    svix.event_type.create(EventTypeIn(name=full, description="with an example", schemas=schema))
    made = connect(receiver)
    message = svix.endpoint.send_example(app.id, made.id, EventExampleIn(event_type=full))
    assert receiver.of(message.id)[0].json() == {"total": 42}
    svix.event_type.delete(full)
