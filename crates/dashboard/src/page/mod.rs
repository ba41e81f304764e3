//! The pages: a file for each, which asks the API and fills its templates in. Paths use the words of ARCHITECTURE.md.

pub(crate) mod application;
pub(crate) mod attempt;
pub(crate) mod audit;
pub(crate) mod backtest;
pub(crate) mod doctor;
pub(crate) mod door;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod event_type;
pub(crate) mod live;
pub(crate) mod message;
pub(crate) mod overview;
pub(crate) mod problem;
pub(crate) mod replay;
pub(crate) mod search;
pub(crate) mod secret;
pub(crate) mod setting;
pub(crate) mod settings;
pub(crate) mod source;
pub(crate) mod task;
pub(crate) mod token;

use axum::{
    Router,
    routing::{get, post},
};

use crate::shell::Side;

/// Pages that both sides have.
pub(crate) fn shared() -> Router<Side> {
    Router::new()
        .route("/", get(overview::show))
        .route("/sign-in", get(door::ask).post(door::enter))
        .route("/sign-out", post(door::leave))
        .route("/theme", post(door::theme))
        .route("/help", get(door::help))
        .route("/search", get(search::show))
        .route("/problem", get(problem::show))
        .route("/live", get(live::show))
        .route("/live/event", get(live::events))
        .route("/app/{app}", get(application::show))
        .route("/app/{app}/endpoint", get(endpoint::new).post(endpoint::make))
        .route("/app/{app}/endpoint/{endpoint}", get(endpoint::show))
        .route("/app/{app}/endpoint/{endpoint}/do", post(endpoint::act))
        .route(
            "/app/{app}/endpoint/{endpoint}/setting",
            get(settings::show).post(settings::save),
        )
        .route("/app/{app}/endpoint/{endpoint}/backtest", post(backtest::show))
        .route("/app/{app}/endpoint/{endpoint}/secret", post(secret::reveal))
        .route("/app/{app}/endpoint/{endpoint}/secret/rotate", post(secret::rotate))
        .route(
            "/app/{app}/endpoint/{endpoint}/replay",
            get(replay::ask).post(replay::begin),
        )
        .route("/app/{app}/endpoint/{endpoint}/impact", get(settings::impact))
        .route("/app/{app}/msg", get(message::list))
        .route("/app/{app}/msg/{msg}", get(message::show))
        .route("/app/{app}/msg/{msg}/resend", post(message::resend))
        .route("/app/{app}/msg/{msg}/attempt/{attempt}", get(attempt::show))
        .route("/event-type", get(event_type::list))
        .route("/event-type/{name}", get(event_type::show))
        .route("/task", get(task::list))
        .route("/task/{task}", get(task::show))
        .route("/task/{task}/cancel", post(task::cancel))
        .route("/doctor", get(doctor::ask).post(doctor::judge))
}

/// Pages of the operator alone.
pub(crate) fn operator() -> Router<Side> {
    Router::new()
        .route("/app", get(application::list).post(application::make))
        .route("/app/{app}/portal", post(application::portal))
        .route("/source", get(source::list))
        .route("/source/{source}", get(source::show))
        .route("/token", get(token::list).post(token::make))
        .route("/token/{token}/delete", post(token::delete))
        .route("/setting", get(setting::show))
        .route("/audit", get(audit::list))
}

/// Pages of the portal alone.
pub(crate) fn portal() -> Router<Side> {
    Router::new()
}
