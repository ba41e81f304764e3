"""Event types through the SDK: schemas, update, archive, list, expunge."""

from svix.api import (
    EventTypeDeleteOptions,
    EventTypeIn,
    EventTypeListOptions,
    EventTypeOut,
    EventTypePatch,
    EventTypeUpsertIn,
    Svix,
)

from helpers import refused
from rawapi import RawApi

SCHEMA = {"1": {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}}


def listed(svix: Svix, wanted: str, **options: bool) -> EventTypeOut | None:
    """Walks the whole list, which other suites add to meanwhile."""
    query = EventTypeListOptions(limit=250, **options)
    while True:
        page = svix.event_type.list(query)
        for one in page.data:
            if one.name == wanted:
                return one
        if page.done:
            return None
        query.iterator = page.iterator


def expunge(svix: Svix, name: str) -> None:
    svix.event_type.delete(name, EventTypeDeleteOptions(expunge=True))


def test_created_event_type_keeps_its_schemas(svix: Svix, name: str) -> None:
    full = f"{name}.invoice.paid"
    made = svix.event_type.create(EventTypeIn(name=full, description="an invoice was paid", schemas=SCHEMA))
    assert (made.name, made.description, made.archived, made.deprecated) == (full, "an invoice was paid", False, False)
    assert made.schemas == SCHEMA
    assert svix.event_type.get(full).schemas == SCHEMA
    refused(409, svix.event_type.create, EventTypeIn(name=full, description="again"))
    expunge(svix, full)


def test_upsert_and_patch_change_the_event_type(svix: Svix, raw: RawApi, name: str) -> None:
    full = f"{name}.made.by.put"
    path = f"/api/v1/event-type/{full}"
    assert raw.call("PUT", path, {"description": "first"}).status == 201
    assert raw.call("PUT", path, {"description": "second"}).status == 200
    updated = svix.event_type.upsert(full, EventTypeUpsertIn(description="third", schemas=SCHEMA, deprecated=True))
    assert (updated.description, updated.deprecated, updated.schemas) == ("third", True, SCHEMA)
    patched = svix.event_type.patch(full, EventTypePatch(description="fourth"))
    assert (patched.description, patched.deprecated, patched.schemas) == ("fourth", True, SCHEMA)
    expunge(svix, full)


def test_archived_event_type_hides_from_the_plain_list_until_created_again(svix: Svix, name: str) -> None:
    full = f"{name}.old"
    svix.event_type.create(EventTypeIn(name=full, description="soon archived"))
    svix.event_type.delete(full)
    assert listed(svix, full) is None
    archived = listed(svix, full, include_archived=True)
    assert archived is not None and archived.archived is True
    back = svix.event_type.create(EventTypeIn(name=full, description="back"))
    assert back.archived is False
    assert listed(svix, full) is not None
    svix.event_type.patch(full, EventTypePatch(archived=True))
    assert listed(svix, full) is None
    expunge(svix, full)


def test_list_gives_schemas_only_when_asked(svix: Svix, name: str) -> None:
    full = f"{name}.with.schema"
    svix.event_type.create(EventTypeIn(name=full, description="has a schema", schemas=SCHEMA))
    lean = listed(svix, full)
    whole = listed(svix, full, with_content=True)
    assert lean is not None and not lean.schemas
    assert whole is not None and whole.schemas == SCHEMA
    expunge(svix, full)


def test_expunged_event_type_is_gone(svix: Svix, name: str) -> None:
    full = f"{name}.gone"
    svix.event_type.create(EventTypeIn(name=full, description="to be expunged"))
    expunge(svix, full)
    refused(404, svix.event_type.get, full)
    assert listed(svix, full, include_archived=True) is None


def test_bad_names_are_refused(svix: Svix) -> None:
    refused(422, svix.event_type.create, EventTypeIn(name="has space", description="x"))
    refused(422, svix.event_type.create, EventTypeIn(name="x" * 257, description="x"))
