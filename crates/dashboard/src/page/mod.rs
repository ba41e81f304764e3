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
pub(crate) mod event_type_form;
pub(crate) mod impact;
pub(crate) mod live;
pub(crate) mod message;
pub(crate) mod node;
pub(crate) mod overview;
pub(crate) mod problem;
pub(crate) mod replay;
pub(crate) mod search;
pub(crate) mod secret;
pub(crate) mod setting;
pub(crate) mod settings;
pub(crate) mod source;
pub(crate) mod source_form;
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
        .route("/app/{app}/impact", get(impact::application))
        .route("/app/{app}/expire", post(application::expire))
        .route("/app/{app}/delete", post(application::delete))
        .route("/new/event-type", get(event_type_form::new).post(event_type_form::make))
        .route(
            "/event-type/{name}/setting",
            get(event_type_form::show).post(event_type_form::save),
        )
        .route("/event-type/{name}/impact", get(impact::event_type))
        .route("/event-type/{name}/archive", post(event_type::archive))
        .route("/event-type/{name}/delete", post(event_type::delete))
        .route("/source", get(source::list))
        .route("/source/{source}", get(source::show))
        .route("/new/source", get(source_form::new).post(source_form::make))
        .route(
            "/source/{source}/setting",
            get(source_form::show).post(source_form::save),
        )
        .route("/source/{source}/impact", get(impact::source))
        .route("/source/{source}/rotate", post(source::rotate))
        .route("/source/{source}/delete", post(source::delete))
        .route("/node", get(node::list))
        .route("/token", get(token::list).post(token::make))
        .route("/token/{token}/impact", get(impact::token))
        .route("/token/{token}/delete", post(token::delete))
        .route("/setting", get(setting::show))
        .route("/audit", get(audit::list))
}

/// Pages of the portal alone.
pub(crate) fn portal() -> Router<Side> {
    Router::new()
}
