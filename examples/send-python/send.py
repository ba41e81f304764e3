"""Publishes one event to Bellwire and shows what becomes of it."""

import os
import sys
import time
import uuid

from svix.api import ApplicationIn, EndpointUpsertIn, MessageCreateOptions, MessageIn, Svix, SvixOptions
from svix.exceptions import HttpError

APP = "acme"
ENDPOINT = "acme-hook"

bellwire = Svix(
    os.environ["BELLWIRE_TOKEN"],
    SvixOptions(server_url=os.environ.get("BELLWIRE_URL", "http://127.0.0.1:8071")),
)


def set_up(url: str) -> None:
    """One application and one endpoint, however often this runs."""
    bellwire.application.get_or_create(ApplicationIn(name="Acme Corp", uid=APP))
    bellwire.endpoint.upsert(APP, ENDPOINT, EndpointUpsertIn(url=url, uid=ENDPOINT, event_types=["invoice.*"]))
    print("endpoint secret:", bellwire.endpoint.get_secret(APP, ENDPOINT).key)


def publish_once(event_id: str, payload: dict) -> None:
    """The key covers a request that is repeated, the event id a program that runs twice."""
    message = MessageIn(event_type="invoice.paid", event_id=event_id, payload=payload)
    try:
        made = bellwire.message.create(APP, message, MessageCreateOptions(idempotency_key=str(uuid.uuid4())))
        print("published:", made.id)
    except HttpError as error:
        if error.status_code != 409:
            raise
        print("published before:", event_id)


def show_delivery(event_id: str) -> None:
    for _ in range(20):
        destinations = bellwire.message_attempt.list_attempted_destinations(APP, event_id).data
        if destinations and all(str(found.status_text) != "pending" for found in destinations):
            break
        time.sleep(0.1)
    for found in destinations:
        again = f", next attempt {found.next_attempt}" if found.next_attempt else ""
        print(f"{found.url}: {found.status_text}{again}")


if __name__ == "__main__":
    set_up(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8090/hook")
    event_id = f"invoice-{int(time.time())}"
    publish_once(event_id, {"type": "invoice.paid", "id": event_id, "amount": "19.90"})
    publish_once(event_id, {"type": "invoice.paid", "id": event_id, "amount": "19.90"})
    show_delivery(event_id)
