//! Attempts, resend, recover, replays.

use bellwire_sdk_suite::{Receiver, World, eventually, finished, hour_ago, refused};
use serde_json::json;
use svix::api::{BackgroundTaskListOptions, MessageAttemptListByEndpointOptions, MessageAttemptListByMsgOptions};
use svix::models::{
    BackgroundTaskStatus, BackgroundTaskType, BulkReplayIn, MessageAttemptOut, MessageAttemptTriggerType, MessageOut,
    MessageStatus, MessageStatusText, RecoverIn, ReplayIn, StatusCodeClass,
};

/// The message's attempts, newest first, once `count` of them are recorded.
async fn settled(world: &World, message: &MessageOut, count: usize) -> Vec<MessageAttemptOut> {
    eventually("the attempts are recorded", async || {
        let options = MessageAttemptListByMsgOptions {
            with_content: Some(true),
            ..Default::default()
        };
        let api = world.svix.message_attempt();
        let page = api
            .list_by_msg(world.app_id(), message.id.clone(), Some(options))
            .await
            .unwrap();
        (page.data.len() >= count).then_some(page.data)
    })
    .await
}

async fn exhausted(world: &World, message: &MessageOut) {
    eventually("the message is exhausted", async || {
        let api = world.svix.message_attempt();
        let page = api
            .list_attempted_destinations(world.app_id(), message.id.clone(), None)
            .await
            .unwrap();
        (page.data.first()?.status == MessageStatus::Fail).then_some(())
    })
    .await;
}

#[tokio::test]
async fn failing_receiver_is_tried_again() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let ping = world.event_type("ping").await;
    receiver.answer(&[500]);
    let made = world.connect_retrying(&receiver, &["1s", "1s"]).await;
    let message = world.publish(&ping, json!({ "n": 1 })).await;
    let sent = receiver.of(&message.id, 2);
    assert_eq!(sent[0].body, sent[1].body);
    let found = settled(&world, &message, 2).await;
    let told: Vec<_> = found
        .iter()
        .map(|a| (a.response_status_code, a.status, a.status_text))
        .collect();
    let expected = [
        (200, MessageStatus::Success, MessageStatusText::Success),
        (500, MessageStatus::Fail, MessageStatusText::Fail),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        (found[0].endpoint_id.as_str(), found[0].response.as_str()),
        (made.as_str(), "thanks")
    );
    assert_eq!(found[0].trigger_type, MessageAttemptTriggerType::Scheduled);

    let api = world.svix.message_attempt();
    let codes = async |options: MessageAttemptListByEndpointOptions| {
        let page = api
            .list_by_endpoint(world.app_id(), made.clone(), Some(options))
            .await
            .unwrap();
        page.data.iter().map(|a| a.response_status_code).collect::<Vec<_>>()
    };
    let query = MessageAttemptListByEndpointOptions::default;
    assert_eq!(codes(query()).await, [200, 500]);
    assert_eq!(
        codes(MessageAttemptListByEndpointOptions {
            status: Some(MessageStatus::Fail),
            ..query()
        })
        .await,
        [500]
    );
    let class = Some(StatusCodeClass::Code2xx);
    assert_eq!(
        codes(MessageAttemptListByEndpointOptions {
            status_code_class: class,
            ..query()
        })
        .await,
        [200]
    );

    let (app, id, attempt) = (world.app_id(), message.id.clone(), found[0].id.clone());
    assert_eq!(
        api.get(app.clone(), id.clone(), attempt.clone(), None)
            .await
            .unwrap()
            .response,
        "thanks"
    );
    api.expunge_content(app.clone(), id.clone(), attempt.clone())
        .await
        .unwrap();
    assert!(
        !api.get(app, id, attempt, None)
            .await
            .unwrap()
            .response
            .contains("thanks")
    );
}

#[tokio::test]
async fn resend_is_a_manual_delivery() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let ping = world.event_type("ping").await;
    let made = world.connect(&receiver, |_| ()).await;
    let message = world.publish(&ping, json!({ "n": 1 })).await;
    settled(&world, &message, 1).await;
    let api = world.svix.message_attempt();
    api.resend(world.app_id(), message.id.clone(), made.clone(), None)
        .await
        .unwrap();
    receiver.of(&message.id, 2);
    assert_eq!(
        settled(&world, &message, 2).await[0].trigger_type,
        MessageAttemptTriggerType::Manual
    );
    let seen = api
        .list_attempted_messages(world.app_id(), made.clone(), None)
        .await
        .unwrap();
    assert_eq!(
        (seen.data[0].id.as_str(), seen.data[0].status),
        (message.id.as_str(), MessageStatus::Success)
    );
    refused(
        404,
        api.resend(world.app_id(), "msg_doesnotexist".to_owned(), made, None)
            .await,
    );
}

#[tokio::test]
async fn recover_sends_what_failed() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let ping = world.event_type("ping").await;
    let made = world.connect_retrying(&receiver, &["100ms"]).await;
    let good = world.publish(&ping, json!({})).await;
    receiver.of(&good.id, 1);
    receiver.always(500);
    let lost = world.publish(&ping, json!({})).await;
    exhausted(&world, &lost).await;
    receiver.always(200);
    let task = world
        .svix
        .endpoint()
        .recover(world.app_id(), made, RecoverIn::new(hour_ago()), None)
        .await
        .unwrap();
    assert_eq!(task.task, BackgroundTaskType::EndpointRecover);
    receiver.of(&lost.id, 3);
    assert_eq!(finished(&world.svix, &task.id).await.data["messagesSent"], 1);
    assert_eq!(receiver.of(&good.id, 1).len(), 1);

    let options = BackgroundTaskListOptions {
        status: Some(BackgroundTaskStatus::Finished),
        task: Some(BackgroundTaskType::EndpointRecover),
        limit: Some(250),
        ..Default::default()
    };
    let listed = world.svix.background_task().list(Some(options)).await.unwrap();
    assert!(listed.data.iter().any(|t| t.id == task.id));
}

#[tokio::test]
async fn replays_send_what_was_missed_and_what_was_sent() {
    let (world, receiver) = (World::new().await, Receiver::new());
    let (a, b) = (world.event_type("a").await, world.event_type("b").await);
    let early = world.publish(&a, json!({})).await;
    let made = world.connect(&receiver, |_| ()).await;
    let late = world.publish(&b, json!({})).await;
    receiver.of(&late.id, 1);
    let api = world.svix.endpoint();
    let task = api
        .replay_missing(world.app_id(), made.clone(), ReplayIn::new(hour_ago()), None)
        .await
        .unwrap();
    receiver.of(&early.id, 1);
    finished(&world.svix, &task.id).await;
    settled(&world, &early, 1).await;
    let only_b = BulkReplayIn {
        event_types: Some([b].into()),
        ..BulkReplayIn::new(hour_ago())
    };
    let task = api.bulk_replay(world.app_id(), made, only_b, None).await.unwrap();
    receiver.of(&late.id, 2);
    finished(&world.svix, &task.id).await;
    assert_eq!(receiver.of(&early.id, 1).len(), 1);
}
