"""Applications through the SDK: create, find by id and uid, upsert, patch, list both ways, delete."""

from svix.api import ApplicationIn, ApplicationListOptions, ApplicationPatch, Ordering, Svix

from helpers import refused
from rawapi import RawApi


def test_created_application_is_found_by_id_and_by_uid(svix: Svix, name: str) -> None:
    made = svix.application.create(
        ApplicationIn(name="Acme", uid=name, throttle_rate=17, metadata={"plan": "gold", "seats": "3"})
    )
    assert made.id.startswith("app_")
    assert (made.name, made.uid, made.throttle_rate) == ("Acme", name, 17)
    assert made.metadata == {"plan": "gold", "seats": "3"}
    assert made.created_at.tzinfo is not None and made.updated_at.tzinfo is not None
    assert svix.application.get(made.id) == made
    assert svix.application.get(name) == made
    svix.application.delete(made.id)


def test_get_or_create_gives_the_existing_application_unchanged(svix: Svix, raw: RawApi, name: str) -> None:
    first = svix.application.get_or_create(ApplicationIn(name="first", uid=name))
    again = svix.application.get_or_create(ApplicationIn(name="second", uid=name))
    assert again == first
    body = {"name": "third", "uid": name}
    assert raw.call("POST", "/api/v1/app?get_if_exists=true", body).status == 200
    svix.application.delete(name)
    assert raw.call("POST", "/api/v1/app?get_if_exists=true", body).status == 201
    svix.application.delete(name)


def test_upsert_creates_then_replaces(svix: Svix, raw: RawApi, name: str) -> None:
    created = svix.application.upsert(name, ApplicationIn(name="one", uid=name, metadata={"a": "1"}))
    replaced = svix.application.upsert(name, ApplicationIn(name="two", uid=name))
    assert replaced.id == created.id
    assert (replaced.name, replaced.metadata) == ("two", {})
    other = f"{name}-other"
    assert raw.call("PUT", f"/api/v1/app/{other}", {"name": "x", "uid": other}).status == 201
    assert raw.call("PUT", f"/api/v1/app/{other}", {"name": "y", "uid": other}).status == 200
    svix.application.delete(name)
    svix.application.delete(other)


def test_patch_changes_only_what_it_names_and_null_clears(svix: Svix, name: str) -> None:
    made = svix.application.create(ApplicationIn(name="before", uid=name, throttle_rate=5, metadata={"k": "v"}))
    renamed = svix.application.patch(made.id, ApplicationPatch(name="after"))
    assert (renamed.name, renamed.uid, renamed.throttle_rate, renamed.metadata) == ("after", name, 5, {"k": "v"})
    cleared = svix.application.patch(made.id, ApplicationPatch(uid=None, throttle_rate=None))
    assert (cleared.name, cleared.uid, cleared.throttle_rate) == ("after", None, None)
    refused(404, svix.application.get, name)
    svix.application.delete(made.id)


def test_taken_uid_is_a_conflict(svix: Svix, name: str) -> None:
    made = svix.application.create(ApplicationIn(name="holder", uid=name))
    other = svix.application.create(ApplicationIn(name="other"))
    refused(409, svix.application.create, ApplicationIn(name="again", uid=name))
    refused(409, svix.application.patch, other.id, ApplicationPatch(uid=name))
    svix.application.delete(made.id)
    svix.application.delete(other.id)


def test_wrong_fields_are_refused_by_name(svix: Svix) -> None:
    error = refused(422, svix.application.create, ApplicationIn(name="n", uid="not a uid!"))
    assert "uid" in error.detail[0].loc
    refused(422, svix.application.create, ApplicationIn(name="", uid=None))
    refused(422, svix.application.create, ApplicationIn(name="n", uid="x" * 257))
    refused(422, svix.application.create, ApplicationIn(name="n", throttle_rate=0))


def test_list_walks_forward_to_the_newest_and_knows_its_end(svix: Svix, name: str) -> None:
    made = [svix.application.create(ApplicationIn(name=name, uid=f"{name}-{i}")).id for i in range(3)]
    seen: list[str] = []
    options = ApplicationListOptions(limit=2, order=Ordering.DESCENDING)
    # Other suites create applications meanwhile: the three are found in order, not alone.
    while len([i for i in seen if i in made]) < 3:
        page = svix.application.list(options)
        seen += [a.id for a in page.data]
        assert len(page.data) <= 2
        if page.done:
            break
        options.iterator = page.iterator
    assert [i for i in seen if i in made] == made[::-1]
    assert len(seen) == len(set(seen))
    for i in made:
        svix.application.delete(i)


def test_limit_over_250_is_refused(svix: Svix) -> None:
    svix.application.list(ApplicationListOptions(limit=250))
    refused(422, svix.application.list, ApplicationListOptions(limit=251))


def test_deleted_application_is_gone_with_all_it_had(svix: Svix, name: str) -> None:
    made = svix.application.create(ApplicationIn(name="short-lived", uid=name))
    svix.application.delete(made.id)
    refused(404, svix.application.get, made.id)
    refused(404, svix.application.get, name)
    refused(404, svix.application.delete, made.id)
    refused(404, svix.endpoint.list, made.id)
    # The uid is free again.
    svix.application.delete(svix.application.create(ApplicationIn(name="next", uid=name)).id)
