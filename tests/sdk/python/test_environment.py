"""Environment export and import, health, statistics, and how the unknown is answered."""

from datetime import datetime, timedelta, timezone
from typing import Callable

from svix.api import (
    ApplicationOut,
    AppUsageStatsIn,
    BackgroundTaskStatus,
    BackgroundTaskType,
    EndpointOut,
    EnvironmentIn,
    EventTypeDeleteOptions,
    EventTypeIn,
    MessageOut,
    Svix,
)

from helpers import eventually, refused
from rawapi import RawApi
from receiver import Receiver


def test_exported_event_types_can_be_imported_again(svix: Svix, name: str) -> None:
    full = f"{name}.travels"
    schema = {"1": {"type": "object"}}
    svix.event_type.create(EventTypeIn(name=full, description="goes round", schemas=schema))
    exported = svix.environment.export()
    assert exported.connectors == []
    ours = [t for t in exported.event_types if t.name == full]
    assert len(ours) == 1 and ours[0].schemas == schema
    svix.event_type.delete(full, EventTypeDeleteOptions(expunge=True))
    refused(404, svix.event_type.get, full)
    # Only our own comes back: the environment is shared with other suites.
    again = EventTypeIn(name=full, description=ours[0].description, schemas=ours[0].schemas)
    svix.environment.import_(EnvironmentIn(event_types=[again], settings=exported.settings))
    assert svix.event_type.get(full).description == "goes round"
    svix.event_type.delete(full, EventTypeDeleteOptions(expunge=True))


def test_health_answers(svix: Svix, raw: RawApi, url: str) -> None:
    svix.health.get()
    assert raw.call("GET", "/api/v1/health").status == 204
    assert RawApi(url, None).call("GET", "/api/v1/health").status == 204


def test_attempts_of_an_application_are_counted(
    svix: Svix,
    raw: RawApi,
    app: ApplicationOut,
    receiver: Receiver,
    connect: Callable[..., EndpointOut],
    event_type: Callable[[str], str],
    publish: Callable[..., MessageOut],
) -> None:
    ping = event_type("ping")
    connect(receiver)
    receiver.of(publish(ping).id), receiver.of(publish(ping).id)

    def counted() -> bool:
        answer = raw.call("GET", f"/api/v1/stats/app/{app.id}/attempt")
        assert answer.status == 200, answer.body
        shown = answer.json()
        assert shown["startDate"] and shown["endDate"] and shown["period"]
        return sum(shown["data"].get("successCount") or []) == 2

    eventually(counted, "two successes in the statistics")


def test_usage_statistics_are_a_background_task(
    svix: Svix,
    app: ApplicationOut,
    receiver: Receiver,
    connect: Callable[..., EndpointOut],
    event_type: Callable[[str], str],
    publish: Callable[..., MessageOut],
) -> None:
    connect(receiver)
    receiver.of(publish(event_type("ping")).id)
    now = datetime.now(timezone.utc)
    wanted = AppUsageStatsIn(
        since=now - timedelta(hours=2), until=now + timedelta(hours=1), app_ids=[app.id, "app_doesnotexist"]
    )
    task = svix.statistics.aggregate_app_stats(wanted)
    assert task.task == BackgroundTaskType.APPLICATION_STATS
    assert task.unresolved_app_ids == ["app_doesnotexist"]
    done = eventually(
        lambda: (t := svix.background_task.get(task.id)).status != BackgroundTaskStatus.RUNNING and t, "the task ends"
    )
    assert done.status == BackgroundTaskStatus.FINISHED
    (row,) = done.data["appStats"]
    assert (row["appId"], row["appUid"], row["messageDestinations"]) == (app.id, app.uid, 1)


def test_event_type_usage_is_a_background_task(
    svix: Svix,
    app: ApplicationOut,
    receiver: Receiver,
    connect: Callable[..., EndpointOut],
    event_type: Callable[[str], str],
) -> None:
    paid = event_type("invoice.paid")
    connect(receiver, event_types=[paid])
    task = svix.statistics.aggregate_event_types()
    assert task.task == BackgroundTaskType.EVENT_TYPE_AGGREGATE
    done = eventually(
        lambda: (t := svix.background_task.get(task.id)).status != BackgroundTaskStatus.RUNNING and t, "the task ends"
    )
    (row,) = [r for r in done.data["event_types"] if r["appId"] == app.id]
    assert (row["explicitlySubscribedEventTypes"], row["hasCatchAllEndpoint"]) == ([paid], False)


def test_what_is_not_offered_says_so_in_json(svix: Svix, raw: RawApi) -> None:
    refused(404, svix.connector.list)
    answer = raw.call("GET", "/api/v1/no/such/thing")
    assert answer.status == 404 and answer.json()["code"] and answer.json()["detail"]


def test_slashes_and_unknown_parameters_do_no_harm(raw: RawApi) -> None:
    assert raw.call("GET", "/api/v1/app/?limit=1&nobody=knows").status == 200


def test_malformed_json_is_refused_in_json(raw: RawApi) -> None:
    for body in (b"{", b"[]", b'"text"', b"\xff\xfe", b'{"name": 7}'):
        answer = raw.call("POST", "/api/v1/app", body)
        assert answer.status in (400, 422), (body, answer)
        assert answer.json()["detail"]
