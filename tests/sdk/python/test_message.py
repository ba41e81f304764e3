"""Messages: exact bytes, idempotency, event ids, filters, content, precheck, raw payloads."""

import base64
import json
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

from svix.api import (
    ApplicationIn,
    ApplicationOut,
    EndpointOut,
    MessageCreateOptions,
    MessageGetOptions,
    MessageIn,
    MessageListOptions,
    MessageOut,
    MessagePrecheckIn,
    Svix,
)
from svix.api.message import message_in_raw

from helpers import refused
from rawapi import RawApi
from receiver import Receiver

Connect = Callable[..., EndpointOut]
Publish = Callable[..., MessageOut]
EventType = Callable[[str], str]

# Keys out of order, a number no float keeps, trailing zeros, an exponent, escapes, and spaces inside.
EXACT = (
    b'{"zebra": 1.10, "apple":  12345678901234567890123,"exp" : 1E+2, "neg": -0.0,'
    b'\n "text":"\\u00e9\\/\xc3\xa9", "nested":{"b":[1, 2.0],"a":null}}'
)


def test_payload_arrives_byte_for_byte(
    raw: RawApi, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType
) -> None:
    connect(receiver)
    ping = event_type("ping")
    body = b'{"eventType":"%s","payload":%s}' % (ping.encode(), EXACT)
    answer = raw.call("POST", f"/api/v1/app/{app.id}/msg", body)
    assert answer.status == 202, answer.body
    assert receiver.of(answer.json()["id"])[0].body == EXACT
    shown = raw.call("GET", f"/api/v1/app/{app.id}/msg/{answer.json()['id']}/raw")
    assert shown.status == 200 and shown.json()["payload"].encode() == EXACT


def test_sdk_payload_arrives_as_it_was_built(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType
) -> None:
    connect(receiver)
    payload: dict[str, Any] = {"zebra": 1, "apple": {"é": [1.5, None, True]}, "big": 2**60}
    made = svix.message.create(
        app.id,
        MessageIn(event_type=event_type("ping"), payload=payload, channels=["eu"]),
        MessageCreateOptions(with_content=True),
    )
    assert made.id.startswith("msg_") and made.timestamp.tzinfo is not None
    assert made.payload == payload and made.channels == ["eu"]
    sent = receiver.of(made.id)[0]
    assert sent.method == "POST"
    assert list(sent.json()) == ["zebra", "apple", "big"] and sent.json() == payload


def test_raw_payload_helper_sends_any_text_with_its_content_type(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType
) -> None:
    connect(receiver)
    made = svix.message.create(app.id, message_in_raw(event_type("ping"), "<a>not json</a>", "text/xml"))
    sent = receiver.wait(1)[0]
    assert sent.msg_id == made.id
    assert sent.body == b"<a>not json</a>" and sent.headers["content-type"] == "text/xml"


def test_event_id_is_unique_per_application(
    svix: Svix, app: ApplicationOut, event_type: EventType, publish: Publish, name: str
) -> None:
    ping = event_type("ping")
    made = publish(ping, event_id=f"{name}-evt")
    assert made.event_id == f"{name}-evt"
    refused(409, svix.message.create, app.id, MessageIn(event_type=ping, payload={}, event_id=f"{name}-evt"))
    assert svix.message.get(app.id, f"{name}-evt").id == made.id
    other = svix.application.create(ApplicationIn(name="other"))
    svix.message.create(other.id, MessageIn(event_type=ping, payload={}, event_id=f"{name}-evt"))
    svix.application.delete(other.id)


def test_idempotency_key_gives_the_first_answer_again(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType
) -> None:
    connect(receiver)
    ping = event_type("ping")
    key = MessageCreateOptions(idempotency_key=uuid.uuid4().hex)
    first = svix.message.create(app.id, MessageIn(event_type=ping, payload={"n": 1}), key)
    again = svix.message.create(app.id, MessageIn(event_type=ping, payload={"n": 1}), key)
    assert again == first
    refused(422, svix.message.create, app.id, MessageIn(event_type=ping, payload={"n": 2}), key)
    assert [m.id for m in svix.message.list(app.id).data] == [first.id]
    receiver.of(first.id)
    # Every POST honours it, not only messages.
    made = svix.application.create(ApplicationIn(name="idem"), _app_key(key))
    assert svix.application.create(ApplicationIn(name="idem"), _app_key(key)).id == made.id
    svix.application.delete(made.id)
    assert len(receiver.requests) == 1


def _app_key(key: MessageCreateOptions) -> Any:
    from svix.api import ApplicationCreateOptions

    return ApplicationCreateOptions(idempotency_key=f"app-{key.idempotency_key}")


def test_content_is_left_out_unless_asked_for(
    svix: Svix, raw: RawApi, app: ApplicationOut, event_type: EventType, publish: Publish
) -> None:
    made = publish(event_type("ping"), {"deep": "secret"})
    assert made.payload == {}
    assert svix.message.get(app.id, made.id).payload == {}
    assert svix.message.get(app.id, made.id, MessageGetOptions(with_content=True)).payload == {"deep": "secret"}
    assert svix.message.list(app.id).data[0].payload == {}
    assert svix.message.list(app.id, MessageListOptions(with_content=True)).data[0].payload == {"deep": "secret"}
    # Without the parameter the API's own default is to show it.
    assert raw.call("GET", f"/api/v1/app/{app.id}/msg/{made.id}").json()["payload"] == {"deep": "secret"}


def test_list_filters_by_channel_event_type_tag_and_time(
    svix: Svix, app: ApplicationOut, event_type: EventType, publish: Publish
) -> None:
    a, b, c = event_type("a"), event_type("b"), event_type("c")
    first = publish(a, channels=["eu"])
    second = publish(b, channels=["us", "eu"], tags=["vip"])
    third = publish(c)

    def ids(**options: Any) -> list[str]:
        return [m.id for m in svix.message.list(app.id, MessageListOptions(**options)).data]

    assert ids() == [third.id, second.id, first.id]
    assert ids(channel="eu") == [second.id, first.id]
    assert ids(channel="us") == [second.id]
    assert ids(tag="vip") == [second.id]
    assert ids(event_types=[a]) == [first.id]
    assert ids(event_types=[a, c]) == [third.id, first.id]
    hour = timedelta(hours=1)
    assert ids(after=first.timestamp - hour) == [third.id, second.id, first.id]
    assert ids(after=third.timestamp + hour) == []
    assert ids(before=first.timestamp - hour) == []
    assert ids(before=third.timestamp + hour, after=first.timestamp - hour, event_types=[b]) == [second.id]
    # The SDK sends a datetime without a zone as it is; it means UTC.
    naive = (datetime.now(timezone.utc) + hour).replace(tzinfo=None)
    assert len(ids(before=naive)) == 3


def test_list_walks_forth_and_back(svix: Svix, app: ApplicationOut, event_type: EventType, publish: Publish) -> None:
    ping = event_type("ping")
    newest_first = [publish(ping).id for _ in range(5)][::-1]

    def page(iterator: str | None = None) -> Any:
        return svix.message.list(app.id, MessageListOptions(limit=2, iterator=iterator))

    first = page()
    second = page(first.iterator)
    third = page(second.iterator)
    walked = [[m.id for m in p.data] for p in (first, second, third)]
    assert walked == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert [first.done, second.done, third.done] == [False, False, True]
    assert [m.id for m in page(third.prev_iterator).data] == newest_first[2:4]
    assert [m.id for m in page(page(third.prev_iterator).prev_iterator).data] == newest_first[:2]
    refused(422, svix.message.list, app.id, MessageListOptions(limit=251))


def test_expunged_content_is_gone(
    svix: Svix, raw: RawApi, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType
) -> None:
    connect(receiver)
    canary = f"canary-{uuid.uuid4().hex}"
    made = svix.message.create(app.id, MessageIn(event_type=event_type("ping"), payload={"card": canary}))
    receiver.of(made.id)
    svix.message.expunge_content(app.id, made.id)
    assert canary not in svix.message.get(app.id, made.id, MessageGetOptions(with_content=True)).model_dump_json()
    assert canary.encode() not in raw.call("GET", f"/api/v1/app/{app.id}/msg/{made.id}/raw").body
    refused(404, svix.message.expunge_content, app.id, "msg_doesnotexist")


def test_precheck_says_whether_anybody_listens(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType
) -> None:
    paid, other = event_type("invoice.paid"), event_type("user.created")
    assert svix.message.precheck(app.id, MessagePrecheckIn(event_type=paid)).active is False
    connect(receiver, event_types=[paid], channels=["eu"])
    assert svix.message.precheck(app.id, MessagePrecheckIn(event_type=paid, channels=["eu"])).active is True
    assert svix.message.precheck(app.id, MessagePrecheckIn(event_type=paid, channels=["us"])).active is False
    assert svix.message.precheck(app.id, MessagePrecheckIn(event_type=other, channels=["eu"])).active is False


def test_wrong_messages_are_refused_and_leave_nothing(
    svix: Svix, raw: RawApi, app: ApplicationOut, event_type: EventType
) -> None:
    ping = event_type("ping")
    path = f"/api/v1/app/{app.id}/msg"
    refused(422, svix.message.create, app.id, MessageIn(event_type="has space", payload={}))
    refused(422, svix.message.create, app.id, MessageIn(event_type=ping, payload={}, channels=["no way!"]))
    refused(422, svix.message.create, app.id, MessageIn(event_type=ping, payload={}, event_id="no way!"))
    assert raw.call("POST", path, {"eventType": ping}).status == 422
    assert raw.call("POST", path, {"payload": {}}).status == 422
    assert raw.call("POST", path, b'{"eventType":').status in (400, 422)
    huge = {"eventType": ping, "payload": {"blob": base64.b64encode(bytes(3_000_000)).decode()}}
    answer = raw.call("POST", path, huge)
    assert answer.status == 413 and answer.json()["code"]
    refused(404, svix.message.create, "app_doesnotexist", MessageIn(event_type=ping, payload={}))
    assert svix.message.list(app.id).data == []


def test_message_may_bring_its_application(svix: Svix, event_type: EventType, name: str) -> None:
    ping = event_type("ping")
    uid = f"{name}-brought"
    made = svix.message.create(
        uid, MessageIn(event_type=ping, payload={}, application=ApplicationIn(name="brought", uid=uid))
    )
    assert svix.application.get(uid).name == "brought"
    assert svix.message.get(uid, made.id).event_type == ping
    svix.application.delete(uid)


def test_answers_are_plain_json(raw: RawApi, app: ApplicationOut, event_type: EventType) -> None:
    ping = event_type("ping")
    answer = raw.call("POST", f"/api/v1/app/{app.id}/msg/?with_content=false", {"eventType": ping, "payload": {"a": 1}})
    assert answer.status == 202 and answer.headers["content-type"].startswith("application/json")
    shown = json.loads(answer.body)
    assert shown["payload"] == {} and shown["eventType"] == ping
