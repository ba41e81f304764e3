//! `/api/v1/health`: is it alive, is it ready.

use std::sync::atomic::Ordering;

use crate::{
    auth::Access,
    call::{Call, Nothing, Reply},
    error::{ApiError, STORE_UNAVAILABLE},
    operation::{Operation, get},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/v1/health", "v1.health.get", Access::PUBLIC)
            .summary("Whether the server is alive")
            .statuses(&[204])
            .to(alive),
        get("/api/v1/health/ping", "v1.health.ping", Access::PUBLIC)
            .summary("Whether the server is alive")
            .statuses(&[204])
            .to(alive),
        get("/api/v1/health/ready", "v1.health.ready", Access::PUBLIC)
            .summary("Whether the server takes messages")
            .about(
                "503 while it is stopping, cannot write to its store, or may begin no attempt because it does not know \
                 whether its place in a shared store, or its configuration, is still the newest.",
            )
            .statuses(&[204])
            .to(ready),
    ]
}

async fn alive(_: Call) -> Result<Reply<Nothing>, ApiError> {
    Ok(Reply::nothing())
}

async fn ready(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    if !cx.server.ready.load(Ordering::Relaxed) {
        return Err(ApiError::new(&STORE_UNAVAILABLE, "the server is starting or stopping"));
    }
    let store = &cx.server.store;
    if let Some(why) = store.health().await.unwritable {
        let why = format!("the store cannot be written: {why}");
        return Err(ApiError::new(&STORE_UNAVAILABLE, why));
    }
    if !store.may_attempt() {
        return Err(ApiError::new(
            &STORE_UNAVAILABLE,
            "the server has not heard from its store that its place and its configuration are the newest, and begins no attempt",
        ));
    }
    Ok(Reply::nothing())
}
