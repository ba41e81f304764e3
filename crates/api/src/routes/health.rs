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
            .about("503 while it is stopping, or cannot write to its store.")
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
    match cx.server.store.health().await.unwritable {
        Some(why) => Err(ApiError::new(
            &STORE_UNAVAILABLE,
            format!("the store cannot be written: {why}"),
        )),
        None => Ok(Reply::nothing()),
    }
}
