//! Applications and event types.

use bellwire_sdk_suite::{World, bare, client, refused, unique_name};
use js_option::JsOption;
use serde_json::json;
use svix::api::{ApplicationListOptions, EventTypeDeleteOptions, EventTypeListOptions};
use svix::models::{
    ApplicationIn, ApplicationPatch, EventTypeIn, EventTypeOut, EventTypePatch, EventTypeUpsertIn, Ordering,
};

#[tokio::test]
async fn application_lives_from_creation_to_deletion() {
    let (svix, uid) = (client(), unique_name());
    let wanted = ApplicationIn {
        uid: Some(uid.clone()),
        throttle_rate: Some(7),
        metadata: Some([("plan".to_owned(), "gold".to_owned())].into()),
        ..ApplicationIn::new("Acme".to_owned())
    };
    let made = svix.application().create(wanted.clone(), None).await.unwrap();
    assert!(made.id.starts_with("app_"), "{made:?}");
    assert_eq!(
        (made.name.as_str(), made.uid.as_ref(), made.throttle_rate),
        ("Acme", Some(&uid), Some(7))
    );
    assert_eq!(svix.application().get(made.id.clone()).await.unwrap(), made);
    assert_eq!(svix.application().get(uid.clone()).await.unwrap(), made);
    assert_eq!(
        svix.application().get_or_create(wanted.clone(), None).await.unwrap(),
        made
    );
    refused(409, svix.application().create(wanted, None).await);

    let next = ApplicationIn {
        uid: Some(uid.clone()),
        ..ApplicationIn::new("two".to_owned())
    };
    let replaced = svix.application().upsert(uid.clone(), next).await.unwrap();
    assert_eq!(
        (replaced.id.as_str(), replaced.name.as_str()),
        (made.id.as_str(), "two")
    );
    assert!(replaced.metadata.is_empty());
    let patch = ApplicationPatch {
        uid: JsOption::Null,
        ..ApplicationPatch::new()
    };
    let cleared = svix.application().patch(made.id.clone(), patch).await.unwrap();
    assert_eq!((cleared.name.as_str(), cleared.uid), ("two", None));
    refused(404, svix.application().get(uid).await);

    svix.application().delete(made.id.clone()).await.unwrap();
    refused(404, svix.application().get(made.id).await);
}

#[tokio::test]
async fn upsert_says_whether_it_created() {
    let uid = unique_name();
    let (path, body) = (
        format!("/api/v1/app/{uid}"),
        json!({ "name": "x", "uid": uid }).to_string(),
    );
    assert_eq!(bare("PUT", &path, &body).0, 201);
    assert_eq!(bare("PUT", &path, &body).0, 200);
    client().application().delete(uid).await.unwrap();
}

#[tokio::test]
async fn list_is_walked_and_its_limit_is_kept() {
    let worlds = [World::new().await, World::new().await, World::new().await];
    let svix = client();
    let (mut seen, mut iterator) = (Vec::new(), None);
    loop {
        let options = ApplicationListOptions {
            limit: Some(100),
            iterator,
            order: Some(Ordering::Ascending),
            ..ApplicationListOptions::default()
        };
        let page = svix.application().list(Some(options)).await.unwrap();
        seen.extend(page.data.into_iter().map(|a| a.id));
        if page.done {
            break;
        }
        iterator = page.iterator;
    }
    let ours: Vec<_> = worlds.iter().map(World::app_id).collect();
    seen.retain(|id| ours.contains(id));
    assert_eq!(seen, ours);
    let too_many = ApplicationListOptions {
        limit: Some(251),
        ..ApplicationListOptions::default()
    };
    refused(422, svix.application().list(Some(too_many)).await);
    let bad = ApplicationIn {
        uid: Some("no way!".to_owned()),
        ..ApplicationIn::new("x".to_owned())
    };
    refused(422, svix.application().create(bad, None).await);
}

async fn listed(name: &str, include_archived: bool, with_content: bool) -> Option<EventTypeOut> {
    let (svix, mut iterator) = (client(), None);
    loop {
        let options = EventTypeListOptions {
            limit: Some(250),
            iterator,
            include_archived: Some(include_archived),
            with_content: Some(with_content),
            ..EventTypeListOptions::default()
        };
        let page = svix.event_type().list(Some(options)).await.unwrap();
        if let Some(found) = page.data.into_iter().find(|e| e.name == name) {
            return Some(found);
        }
        if page.done {
            return None;
        }
        iterator = page.iterator;
    }
}

#[tokio::test]
async fn event_type_is_changed_archived_revived_and_expunged() {
    let svix = client();
    let name = format!("{}.invoice.paid", unique_name());
    let schemas = json!({ "1": { "type": "object", "required": ["total"] } });
    let wanted = EventTypeIn {
        schemas: Some(schemas.clone()),
        ..EventTypeIn::new(name.clone(), "one".to_owned())
    };
    let made = svix.event_type().create(wanted.clone(), None).await.unwrap();
    assert_eq!(
        (made.description.as_str(), made.deprecated, made.schemas.as_ref()),
        ("one", false, Some(&schemas))
    );
    refused(409, svix.event_type().create(wanted.clone(), None).await);
    assert_eq!(listed(&name, false, false).await.unwrap().schemas, None);
    assert_eq!(listed(&name, false, true).await.unwrap().schemas, Some(schemas.clone()));

    let next = EventTypeUpsertIn {
        schemas: Some(schemas.clone()),
        ..EventTypeUpsertIn::new("two".to_owned())
    };
    assert_eq!(
        svix.event_type().upsert(name.clone(), next).await.unwrap().description,
        "two"
    );
    let patch = EventTypePatch {
        description: Some("three".to_owned()),
        ..EventTypePatch::new()
    };
    let patched = svix.event_type().patch(name.clone(), patch).await.unwrap();
    assert_eq!(
        (patched.description.as_str(), patched.schemas),
        ("three", Some(schemas))
    );

    svix.event_type().delete(name.clone(), None).await.unwrap();
    assert_eq!(listed(&name, false, false).await, None);
    assert_eq!(listed(&name, true, false).await.unwrap().archived, Some(true));
    assert_ne!(
        svix.event_type().create(wanted, None).await.unwrap().archived,
        Some(true)
    );
    let expunge = EventTypeDeleteOptions { expunge: Some(true) };
    svix.event_type().delete(name.clone(), Some(expunge)).await.unwrap();
    refused(404, svix.event_type().get(name).await);
}
