"""Attempts: retries, lists and filters, content, headers, resend, destinations."""

from datetime import timedelta
from typing import Any, Callable

from svix.api import (
    ApplicationOut,
    EndpointOut,
    MessageAttemptListAttemptedMessagesOptions,
    MessageAttemptListByEndpointOptions,
    MessageAttemptListByMsgOptions,
    MessageAttemptTriggerType,
    MessageOut,
    MessageStatus,
    MessageStatusText,
    StatusCodeClass,
    Svix,
)

from helpers import eventually, refused
from rawapi import RawApi
from receiver import Receiver

Connect = Callable[..., EndpointOut]
Publish = Callable[..., MessageOut]
EventType = Callable[[str], str]


def attempts(svix: Svix, app: ApplicationOut, message: MessageOut, **options: Any) -> list[Any]:
    return svix.message_attempt.list_by_msg(app.id, message.id, MessageAttemptListByMsgOptions(**options)).data


def settled(svix: Svix, app: ApplicationOut, message: MessageOut, count: int) -> list[Any]:
    """The message's attempts, newest first, once `count` of them are recorded."""
    return eventually(
        lambda: (a := attempts(svix, app, message)) and len(a) >= count and a, f"{count} attempts of {message.id}"
    )


def test_failed_delivery_is_retried_with_the_same_id_and_then_succeeds(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    receiver.answer(500, 503)
    made = connect(receiver, retry=["1s", "1s"])
    message = publish(event_type("ping"), {"n": 7})
    sent = receiver.of(message.id, 3)
    assert {r.body for r in sent} == {b'{"n":7}'}
    found = settled(svix, app, message, 3)
    assert [a.response_status_code for a in found] == [200, 503, 500]
    assert [a.status for a in found] == [MessageStatus.SUCCESS, MessageStatus.FAIL, MessageStatus.FAIL]
    assert [a.status_text for a in found] == [
        MessageStatusText.SUCCESS,
        MessageStatusText.FAIL,
        MessageStatusText.FAIL,
    ]
    for a in found:
        assert (a.msg_id, a.endpoint_id, a.url) == (message.id, made.id, receiver.url)
        assert a.id.startswith("atmpt_") and a.response_duration_ms >= 0
        assert a.trigger_type == MessageAttemptTriggerType.SCHEDULED


def test_exhausted_delivery_stops_and_is_visibly_failed(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    receiver.always(500)
    made = connect(receiver, retry=["100ms"])
    message = publish(event_type("ping"))
    receiver.of(message.id, 2)

    def failed() -> Any:
        found = svix.message_attempt.list_attempted_destinations(app.id, message.id).data
        return found and found[0].status == MessageStatus.FAIL and found[0]

    destination = eventually(failed, "the destination fails")
    assert (destination.id, destination.status_text, destination.next_attempt) == (
        made.id,
        MessageStatusText.FAIL,
        None,
    )
    assert len(receiver.requests) == 2


def test_lists_filter_by_status_class_channel_type_and_time(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    a, b = event_type("a"), event_type("b")
    receiver.answer(500)
    made = connect(receiver, retry=["100ms"])
    bumpy = publish(a, {"k": "v"}, channels=["eu"])
    receiver.of(bumpy.id, 2)
    smooth = publish(b)
    receiver.of(smooth.id)
    settled(svix, app, bumpy, 2), settled(svix, app, smooth, 1)

    def by_endpoint(**options: Any) -> list[tuple[str, int]]:
        found = svix.message_attempt.list_by_endpoint(app.id, made.id, MessageAttemptListByEndpointOptions(**options))
        return [(x.msg_id, x.response_status_code) for x in found.data]

    assert by_endpoint() == [(smooth.id, 200), (bumpy.id, 200), (bumpy.id, 500)]
    assert by_endpoint(status=MessageStatus.FAIL) == [(bumpy.id, 500)]
    assert by_endpoint(status=MessageStatus.SUCCESS) == [(smooth.id, 200), (bumpy.id, 200)]
    assert by_endpoint(status_code_class=StatusCodeClass.CODE5XX) == [(bumpy.id, 500)]
    assert by_endpoint(status_code_class=StatusCodeClass.CODE4XX) == []
    assert by_endpoint(channel="eu") == [(bumpy.id, 200), (bumpy.id, 500)]
    assert by_endpoint(event_types=[b]) == [(smooth.id, 200)]
    assert by_endpoint(before=bumpy.timestamp - timedelta(hours=1)) == []
    assert len(by_endpoint(after=bumpy.timestamp - timedelta(hours=1))) == 3
    assert len(attempts(svix, app, bumpy, endpoint_id=made.id)) == 2
    assert attempts(svix, app, bumpy, status=MessageStatus.FAIL)[0].response_status_code == 500

    with_msg = svix.message_attempt.list_by_endpoint(
        app.id, made.id, MessageAttemptListByEndpointOptions(with_msg=True, with_content=True, event_types=[a])
    ).data[0]
    assert with_msg.msg is not None and with_msg.msg.id == bumpy.id and with_msg.msg.payload == {"k": "v"}


def test_attempt_list_walks_forth_and_back(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    ping = event_type("ping")
    made = connect(receiver)
    for n in range(1, 6):
        publish(ping)
        receiver.wait(n)

    def page(iterator: str | None = None) -> Any:
        options = MessageAttemptListByEndpointOptions(limit=2, iterator=iterator)
        return svix.message_attempt.list_by_endpoint(app.id, made.id, options)

    whole = eventually(
        lambda: len(a := svix.message_attempt.list_by_endpoint(app.id, made.id).data) == 5 and [x.id for x in a],
        "five attempts",
    )
    first = page()
    second = page(first.iterator)
    third = page(second.iterator)
    assert [[x.id for x in p.data] for p in (first, second, third)] == [whole[:2], whole[2:4], whole[4:]]
    assert [x.id for x in page(third.prev_iterator).data] == whole[2:4]


def test_response_is_kept_shown_on_demand_and_expunged(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    receiver.default = (202, {}, b"thanks a lot")
    connect(receiver)
    message = publish(event_type("ping"))
    receiver.of(message.id)
    attempt = settled(svix, app, message, 1)[0]
    assert attempt.response == ""
    assert attempts(svix, app, message, with_content=True)[0].response == "thanks a lot"
    whole = svix.message_attempt.get(app.id, message.id, attempt.id)
    assert (whole.id, whole.response, whole.response_status_code) == (attempt.id, "thanks a lot", 202)
    svix.message_attempt.expunge_content(app.id, message.id, attempt.id)
    assert "thanks" not in svix.message_attempt.get(app.id, message.id, attempt.id).response
    refused(404, svix.message_attempt.get, app.id, message.id, "atmpt_doesnotexist")


def test_sent_and_received_headers_are_kept(
    svix: Svix,
    raw: RawApi,
    app: ApplicationOut,
    receiver: Receiver,
    connect: Connect,
    event_type: EventType,
    publish: Publish,
) -> None:
    receiver.default = (200, {"x-trace": "abc"}, b"")
    connect(receiver, headers={"X-Team": "billing"})
    message = publish(event_type("ping"))
    receiver.of(message.id)
    attempt = settled(svix, app, message, 1)[0]
    answer = raw.call("GET", f"/api/v1/app/{app.id}/msg/{message.id}/attempt/{attempt.id}/headers")
    assert answer.status == 200, answer.body
    shown = answer.json()
    sent = {k.lower(): v for k, v in shown["sentHeaders"].items()}
    assert sent["webhook-id"] == message.id and sent["x-team"] == "billing"
    assert ["x-trace", "abc"] in [[k.lower(), v] for k, v in shown["responseHeaders"]]
    assert isinstance(shown["sensitive"], list)


def test_resend_delivers_the_same_message_again(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    made = connect(receiver)
    message = publish(event_type("ping"), {"again": True})
    receiver.of(message.id)
    settled(svix, app, message, 1)
    svix.message_attempt.resend(app.id, message.id, made.id)
    first, second = receiver.of(message.id, 2)
    assert first.body == second.body
    newest = settled(svix, app, message, 2)[0]
    assert newest.trigger_type == MessageAttemptTriggerType.MANUAL
    refused(404, svix.message_attempt.resend, app.id, "msg_doesnotexist", made.id)
    refused(404, svix.message_attempt.resend, app.id, message.id, "ep_doesnotexist")


def test_attempted_messages_of_an_endpoint_are_listed_with_their_status(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    a, b = event_type("a"), event_type("b")
    made = connect(receiver, retry=["100ms"])
    good = publish(a, {"n": 1}, channels=["eu"])
    receiver.of(good.id)
    receiver.always(400)
    bad = publish(b)
    receiver.of(bad.id, 2)

    def listed(**options: Any) -> dict[str, MessageStatus]:
        query = MessageAttemptListAttemptedMessagesOptions(**options)
        found = svix.message_attempt.list_attempted_messages(app.id, made.id, query)
        return {m.id: m.status for m in found.data}

    eventually(
        lambda: listed() == {good.id: MessageStatus.SUCCESS, bad.id: MessageStatus.FAIL}, "both messages settled"
    )
    assert list(listed(status=MessageStatus.FAIL)) == [bad.id]
    assert list(listed(channel="eu")) == [good.id]
    assert list(listed(event_types=[b])) == [bad.id]
    whole = svix.message_attempt.list_attempted_messages(
        app.id, made.id, MessageAttemptListAttemptedMessagesOptions(with_content=True, event_types=[a])
    ).data[0]
    assert whole.payload == {"n": 1} and whole.status_text == MessageStatusText.SUCCESS


def test_destinations_show_a_waiting_retry(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    receiver.always(500)
    connect(receiver, retry=["2h"], description="slow one")
    message = publish(event_type("ping"))
    receiver.of(message.id)

    def waiting() -> Any:
        found = svix.message_attempt.list_attempted_destinations(app.id, message.id).data
        return found and found[0].next_attempt and found[0]

    # Until the first attempt is on record the next one is that first one.
    eventually(lambda: svix.message_attempt.list_by_msg(app.id, message.id).data, "the first attempt is on record")
    destination = eventually(waiting, "a next attempt is known")
    assert destination.status == MessageStatus.PENDING
    assert destination.description == "slow one" and destination.url == receiver.url
    assert destination.next_attempt - message.timestamp > timedelta(hours=1)
