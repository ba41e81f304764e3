//! The operator's side: operational webhooks, portal access, environment, health.

use bellwire_sdk_suite::{Received, Receiver, World, client, client_with, refused};
use serde_json::{Value, json};
use svix::api::EventTypeDeleteOptions;
use svix::models::{
    AppPortalAccessIn, ApplicationIn, EndpointIn, EnvironmentIn, EventTypeIn, OperationalWebhookEndpointIn,
    OperationalWebhookEndpointSecretIn, OperationalWebhookEndpointUpsertIn,
};

#[tokio::test]
async fn operator_hears_of_endpoints_and_exhausted_messages() {
    let (world, console, failing) = (World::new().await, Receiver::new(), Receiver::new());
    let operational = world.svix.operational_webhook();
    let api = operational.endpoint();
    let kinds = ["endpoint.created", "message.attempt.exhausted"].map(str::to_owned);
    let wanted = OperationalWebhookEndpointIn {
        event_types: Some(kinds.into()),
        ..OperationalWebhookEndpointIn::new(console.url())
    };
    let listening = api.create(wanted, None).await.unwrap();
    console.trust(&api.get_secret(listening.id.clone()).await.unwrap().key);
    let told = |kind: &str| -> Value {
        let about_us = |r: &Received| {
            let event: Value = serde_json::from_slice(&r.body).unwrap();
            event["type"] == kind && event["data"]["appId"] == world.app.id
        };
        let event: Value = serde_json::from_slice(&console.wait(1, about_us)[0].body).unwrap();
        event["data"].clone()
    };
    failing.always(500);
    let made = world.connect_retrying(&failing, &["100ms"]).await;
    assert_eq!(told("endpoint.created")["endpointId"], made);
    let message = world.publish(&world.event_type("ping").await, json!({})).await;
    let exhausted = told("message.attempt.exhausted");
    assert_eq!(
        (&exhausted["msgId"], &exhausted["endpointId"]),
        (&json!(message.id), &json!(made))
    );

    let next = OperationalWebhookEndpointUpsertIn {
        description: Some("moved".to_owned()),
        ..OperationalWebhookEndpointUpsertIn::new(console.url())
    };
    assert_eq!(
        api.upsert(listening.id.clone(), next).await.unwrap().description,
        "moved"
    );
    let before = api.get_secret(listening.id.clone()).await.unwrap().key;
    api.rotate_secret(listening.id.clone(), OperationalWebhookEndpointSecretIn::new(), None)
        .await
        .unwrap();
    let after = api.get_secret(listening.id.clone()).await.unwrap().key;
    assert_ne!(after, before);
    console.trust(&after);
    api.delete(listening.id.clone()).await.unwrap();
    refused(404, api.get(listening.id).await);
}

#[tokio::test]
async fn portal_token_reaches_its_application_only() {
    let (mine, other, receiver) = (World::new().await, World::new().await, Receiver::new());
    let api = mine.svix.authentication();
    let access = api
        .app_portal_access(mine.app_id(), AppPortalAccessIn::new(), None)
        .await
        .unwrap();
    let tenant = client_with(access.token);
    tenant
        .endpoint()
        .create(mine.app_id(), EndpointIn::new(receiver.url()), None)
        .await
        .unwrap();
    assert_eq!(tenant.endpoint().list(mine.app_id(), None).await.unwrap().data.len(), 1);
    refused(404, tenant.endpoint().list(other.app_id(), None).await);
    refused(
        403,
        tenant
            .application()
            .create(ApplicationIn::new("sneaky".to_owned()), None)
            .await,
    );
    tenant.authentication().logout(None).await.unwrap();
    refused(401, tenant.endpoint().list(mine.app_id(), None).await);
    refused(401, client_with("nonsense".to_owned()).application().list(None).await);
}

#[tokio::test]
async fn event_types_travel_through_export_and_import() {
    let world = World::new().await;
    let name = world.event_type("travels").await;
    let exported = world.svix.environment().export(None).await.unwrap();
    assert!(exported.event_types.iter().any(|e| e.name == name));
    let expunge = EventTypeDeleteOptions { expunge: Some(true) };
    world
        .svix
        .event_type()
        .delete(name.clone(), Some(expunge))
        .await
        .unwrap();
    let again = EventTypeIn::new(name.clone(), "imported".to_owned());
    let wanted = EnvironmentIn {
        event_types: Some(vec![again]),
        settings: exported.settings,
        connectors: None,
    };
    world.svix.environment().import(wanted, None).await.unwrap();
    assert_eq!(world.svix.event_type().get(name).await.unwrap().description, "imported");
}

#[tokio::test]
async fn health_answers_and_the_unknown_is_not_found() {
    client().health().get().await.unwrap();
    refused(404, client().connector().list(None).await);
}
