use std::sync::atomic::Ordering;

use crate::harness::Api;

#[tokio::test]
async fn health_needs_no_token_and_readiness_follows_the_server() {
    let api = Api::new().await;
    for path in [
        "/api/v1/health",
        "/api/v1/health/",
        "/api/v1/health/ping",
        "/api/v1/health/ready",
    ] {
        api.call_as("", "GET", path, ()).await.ok(204);
        api.call_as("", "HEAD", path, ()).await.ok(204);
    }
    api.state.ready.store(false, Ordering::Relaxed);
    api.call_as("", "GET", "/api/v1/health/ready", ()).await.refused(503);
    api.call_as("", "GET", "/api/v1/health", ()).await.ok(204);
}
