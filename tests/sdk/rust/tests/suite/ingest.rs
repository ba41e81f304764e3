//! Sources: where the webhooks of others come in.

use bellwire_sdk_suite::{Receiver, bare, client, client_with, refused, unique_name};
use serde_json::{Value, json};
use svix::api::IngestSourceListOptions;
use svix::models::{
    CronConfig, GithubConfig, IngestEndpointHeadersIn, IngestEndpointIn, IngestEndpointSecretIn,
    IngestEndpointUpsertIn, IngestSourceConsumerPortalAccessIn, IngestSourceIn, IngestSourceInConfig, IngestSourceOut,
    IngestSourceOutConfig, MetaConfig, SvixConfig,
};

fn wanted(config: IngestSourceInConfig) -> IngestSourceIn {
    IngestSourceIn {
        name: "suite".to_owned(),
        uid: Some(unique_name()),
        metadata: None,
        config,
    }
}

fn github() -> IngestSourceInConfig {
    IngestSourceInConfig::Github(GithubConfig {
        secret: Some("s3cret".to_owned()),
    })
}

async fn made(config: IngestSourceInConfig) -> IngestSourceOut {
    let svix = client();
    let created = svix.ingest().source().create(wanted(config), None).await;
    created.expect("the source is created")
}

#[tokio::test]
async fn every_kind_that_the_client_writes_it_reads() {
    let svix = client();
    let api = svix.ingest().source();
    for config in [
        IngestSourceInConfig::GenericWebhook,
        github(),
        IngestSourceInConfig::Svix(SvixConfig::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())),
        IngestSourceInConfig::Meta(MetaConfig::new("a".to_owned(), "b".to_owned())),
        IngestSourceInConfig::Cron(CronConfig::new("*/5 * * * *".to_owned(), "{}".to_owned())),
    ] {
        let one = made(config.clone()).await;
        let called = !matches!(config, IngestSourceInConfig::Cron(_));
        assert_eq!(one.ingest_url.is_some(), called, "{one:?}");
        assert_eq!(api.get(one.id.clone()).await.unwrap(), one);
        api.delete(one.id).await.unwrap();
    }
}

#[tokio::test]
async fn a_source_is_replaced_given_another_url_and_deleted() {
    let svix = client();
    let (api, one) = (svix.ingest().source(), made(github()).await);
    let (status, text) = bare("GET", &format!("/ingest/api/v1/source/{}", one.id), "");
    assert!(status == 200 && !text.contains("s3cret"), "{text}");
    let mut next = wanted(IngestSourceInConfig::GenericWebhook);
    next.uid = one.uid.clone();
    next.name = "Open".to_owned();
    let replaced = api.upsert(one.id.clone(), next).await.unwrap();
    assert_eq!(
        (&replaced.name, &replaced.ingest_url),
        (&"Open".to_owned(), &one.ingest_url)
    );
    assert_eq!(replaced.config, IngestSourceOutConfig::GenericWebhook);
    let rotated = api.rotate_token(one.id.clone(), None).await.unwrap();
    assert_ne!(Some(rotated.ingest_url), one.ingest_url);
    api.delete(one.id.clone()).await.unwrap();
    refused(404, api.get(one.id).await);
}

#[tokio::test]
async fn sources_of_kinds_that_the_client_does_not_know_are_listed_all_the_same() {
    let svix = client();
    let (api, uid) = (svix.ingest().source(), unique_name());
    let body = json!({ "name": "Lab", "type": "gitlab", "config": { "secret": "t" }, "uid": uid }).to_string();
    assert_eq!(bare("POST", "/ingest/api/v1/source", &body).0, 201);
    let mut iterator = None;
    let lab = loop {
        let options = IngestSourceListOptions {
            limit: Some(250),
            iterator,
            order: None,
        };
        let page = api.list(Some(options)).await.unwrap();
        if let Some(found) = page.data.into_iter().find(|one| one.uid.as_ref() == Some(&uid)) {
            break found;
        }
        assert!(!page.done, "the source is in the list");
        iterator = page.iterator;
    };
    assert_eq!(lab.config, IngestSourceOutConfig::GenericWebhook);
    api.delete(lab.id).await.unwrap();
}

#[tokio::test]
async fn settings_that_verify_nothing_are_refused() {
    let svix = client();
    let config = IngestSourceInConfig::Github(GithubConfig::new());
    refused(422, svix.ingest().source().create(wanted(config), None).await);
}

#[tokio::test]
async fn endpoints_of_a_source_are_managed() {
    let (svix, receiver, one) = (client(), Receiver::new(), made(github()).await);
    let ingest = svix.ingest();
    let (api, source) = (ingest.endpoint(), || one.id.clone());
    let endpoint = api
        .create(source(), IngestEndpointIn::new(receiver.url()), None)
        .await
        .unwrap();
    let id = || endpoint.id.clone();
    assert_eq!(api.get(source(), id()).await.unwrap(), endpoint);
    assert_eq!(api.list(source(), None).await.unwrap().data.len(), 1);
    let next = IngestEndpointUpsertIn {
        description: Some("moved".to_owned()),
        ..IngestEndpointUpsertIn::new(receiver.url())
    };
    assert_eq!(api.upsert(source(), id(), next).await.unwrap().description, "moved");
    let headers = [("X-One".to_owned(), "1".to_owned())].into();
    api.set_headers(source(), id(), IngestEndpointHeadersIn::new(headers))
        .await
        .unwrap();
    assert_eq!(api.get_headers(source(), id()).await.unwrap().headers.len(), 1);
    let before = api.get_secret(source(), id()).await.unwrap().key;
    api.rotate_secret(source(), id(), IngestEndpointSecretIn::new(), None)
        .await
        .unwrap();
    assert_ne!(api.get_secret(source(), id()).await.unwrap().key, before);

    let access = ingest
        .authentication()
        .consumer_portal_access(source(), IngestSourceConsumerPortalAccessIn::new(), None)
        .await
        .unwrap();
    let (_, text) = bare("GET", &format!("/ingest/api/v1/source/{}", one.id), "");
    let shown: Value = serde_json::from_str(&text).unwrap();
    let app = shown["appId"].as_str().unwrap().to_owned();
    let portal = client_with(access.token);
    assert_eq!(portal.endpoint().list(app, None).await.unwrap().data.len(), 1);
    api.delete(source(), id()).await.unwrap();
    refused(404, api.get(source(), id()).await);
    ingest.source().delete(source()).await.unwrap();
}
