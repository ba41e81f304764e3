"""Recover, replay missing, bulk replay, and the background tasks they make."""

from datetime import datetime, timedelta, timezone
from typing import Any, Callable

from svix.api import (
    ApplicationOut,
    BackgroundTaskListOptions,
    BackgroundTaskStatus,
    BackgroundTaskType,
    BulkReplayIn,
    EndpointOut,
    MessageOut,
    MessageStatus,
    RecoverIn,
    ReplayIn,
    Svix,
)

from helpers import eventually, refused
from receiver import Receiver

Connect = Callable[..., EndpointOut]
Publish = Callable[..., MessageOut]
EventType = Callable[[str], str]


def hour_ago() -> datetime:
    return datetime.now(timezone.utc) - timedelta(hours=1)


def finished(svix: Svix, task: Any, kind: BackgroundTaskType) -> Any:
    assert task.task == kind and task.updated_at.tzinfo is not None
    done = eventually(
        lambda: (t := svix.background_task.get(task.id)).status != BackgroundTaskStatus.RUNNING and t,
        f"{kind} ends",
    )
    assert (done.id, done.task, done.status) == (task.id, kind, BackgroundTaskStatus.FINISHED), done
    return done


def fail_for_good(
    svix: Svix, app: ApplicationOut, receiver: Receiver, send: Callable[[], MessageOut]
) -> MessageOut:
    receiver.always(500)
    message = send()

    def failed() -> bool:
        found = svix.message_attempt.list_attempted_destinations(app.id, message.id).data
        return bool(found) and found[0].status == MessageStatus.FAIL

    eventually(failed, "the message is exhausted")
    receiver.always(200)
    return message


def test_recover_resends_what_failed_and_nothing_else(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    ping = event_type("ping")
    made = connect(receiver, retry=["100ms"])
    good = publish(ping)
    receiver.of(good.id)
    lost = fail_for_good(svix, app, receiver, lambda: publish(ping))
    task = svix.endpoint.recover(app.id, made.id, RecoverIn(since=hour_ago()))
    receiver.of(lost.id, 3)
    assert finished(svix, task, BackgroundTaskType.ENDPOINT_RECOVER).data["messagesSent"] == 1
    assert len(receiver.of(good.id)) == 1


def test_replay_missing_sends_what_the_endpoint_never_saw(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    ping, other = event_type("ping"), event_type("other")
    early = [publish(ping).id, publish(ping).id]
    publish(other)
    made = connect(receiver, event_types=[ping])
    seen = publish(ping).id
    receiver.of(seen)
    task = svix.endpoint.replay_missing(app.id, made.id, ReplayIn(since=hour_ago()))
    for message_id in early:
        receiver.of(message_id)
    assert finished(svix, task, BackgroundTaskType.ENDPOINT_REPLAY).data["messagesSent"] == 2
    assert sorted(r.msg_id for r in receiver.requests) == sorted([*early, seen])


def test_bulk_replay_sends_again_what_fits_the_filter(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    a, b = event_type("a"), event_type("b")
    made = connect(receiver)
    wanted, other = publish(a), publish(b)
    receiver.of(wanted.id), receiver.of(other.id)
    task = svix.endpoint.bulk_replay(app.id, made.id, BulkReplayIn(since=hour_ago(), event_types=[a]))
    receiver.of(wanted.id, 2)
    assert finished(svix, task, BackgroundTaskType.ENDPOINT_BULK_REPLAY).data["messagesSent"] == 1
    assert len(receiver.of(other.id)) == 1


def test_tasks_are_listed_and_filtered(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect, event_type: EventType, publish: Publish
) -> None:
    made = connect(receiver)
    receiver.of(publish(event_type("ping")).id)
    task = svix.endpoint.recover(app.id, made.id, RecoverIn(since=hour_ago()))
    finished(svix, task, BackgroundTaskType.ENDPOINT_RECOVER)

    def listed(**filters: Any) -> bool:
        query = BackgroundTaskListOptions(limit=50, **filters)
        while True:
            page = svix.background_task.list(query)
            if any(t.id == task.id for t in page.data):
                return True
            if page.done:
                return False
            query.iterator = page.iterator

    assert listed()
    assert listed(status=BackgroundTaskStatus.FINISHED, task=BackgroundTaskType.ENDPOINT_RECOVER)
    assert not listed(status=BackgroundTaskStatus.FAILED)
    assert not listed(task=BackgroundTaskType.ENDPOINT_BULK_REPLAY)


def test_refusals_name_what_is_wrong(
    svix: Svix, app: ApplicationOut, receiver: Receiver, connect: Connect
) -> None:
    made = connect(receiver)
    now = datetime.now(timezone.utc)
    refused(422, svix.endpoint.recover, app.id, made.id, RecoverIn(since=now, until=now - timedelta(hours=1)))
    refused(404, svix.endpoint.recover, app.id, "ep_doesnotexist", RecoverIn(since=now))
    refused(404, svix.background_task.get, "qtask_doesnotexist")
