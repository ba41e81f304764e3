"""Portal access: a token for one application only."""

from svix.api import (
    ApplicationIn,
    ApplicationOut,
    AppPortalAccessIn,
    EndpointIn,
    EventTypeIn,
    Svix,
    SvixOptions,
)

from helpers import refused
from receiver import Receiver


def portal(svix: Svix, url: str, app_id: str, **options: object) -> Svix:
    access = svix.authentication.app_portal_access(app_id, AppPortalAccessIn(**options))
    assert access.token and access.url
    return Svix(access.token, SvixOptions(server_url=url))


def test_portal_token_sees_its_application_and_no_other(
    svix: Svix, url: str, app: ApplicationOut, receiver: Receiver, name: str
) -> None:
    other = svix.application.create(ApplicationIn(name="other", uid=f"{name}-other"))
    tenant = portal(svix, url, app.uid or "")
    made = tenant.endpoint.create(app.id, EndpointIn(url=receiver.url))
    assert [e.id for e in tenant.endpoint.list(app.id).data] == [made.id]
    assert tenant.application.get(app.id).id == app.id
    for foreign in (other.id, f"{name}-other", "app_doesnotexist"):
        refused(404, tenant.endpoint.list, foreign)
    refused(403, tenant.application.create, ApplicationIn(name="sneaky"))
    refused(403, tenant.event_type.create, EventTypeIn(name=f"{name}.x", description="sneaky"))
    refused(403, tenant.environment.export)
    svix.application.delete(other.id)


def test_portal_access_may_create_the_application(svix: Svix, url: str, name: str) -> None:
    tenant = portal(svix, url, name, application=ApplicationIn(name="new", uid=name))
    assert tenant.endpoint.list(name).data == []
    svix.application.delete(name)


def test_logged_out_token_is_worthless(svix: Svix, url: str, app: ApplicationOut) -> None:
    tenant = portal(svix, url, app.id)
    tenant.endpoint.list(app.id)
    tenant.authentication.logout()
    refused(401, tenant.endpoint.list, app.id)


def test_bad_token_is_unauthorized(url: str) -> None:
    for token in ("nonsense", "bw_admin_0_0", "."):
        refused(401, Svix(token, SvixOptions(server_url=url)).application.list)
