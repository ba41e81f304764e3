//! What a question about many things is about: everything that the caller may see, one application, or one endpoint.

use std::sync::Arc;

use bellwire_core::{
    app::App,
    id::{AppId, EndpointId},
};
use bellwire_store::{
    directory::EndpointEntry,
    query::{Order, Page, Start},
};

use crate::{call::Context, error::ApiError, problem::Problem};

/// Everything there is, in one page.
pub(super) const ALL: Page = Page {
    limit: usize::MAX,
    start: Start::First,
    order: Order::Ascending,
};

/// What a question is about.
pub(super) struct Scoped {
    /// These applications, by id; those of sources as well.
    pub apps: Vec<Arc<App>>,
    /// Their endpoints, or the one that was named.
    pub endpoints: Vec<Arc<EndpointEntry>>,
    /// Whether one endpoint was named.
    pub one_endpoint: bool,
}

impl Scoped {
    /// The endpoints' ids.
    pub fn endpoint_ids(&self) -> Vec<EndpointId> {
        self.endpoints.iter().map(|entry| entry.endpoint.id).collect()
    }

    /// The applications' ids, sorted.
    pub fn app_ids(&self) -> Vec<AppId> {
        self.apps.iter().map(|app| app.id).collect()
    }

    /// One of the applications.
    pub fn app(&self, id: AppId) -> Option<&Arc<App>> {
        let at = self.apps.binary_search_by_key(&id, |app| app.id).ok()?;
        self.apps.get(at)
    }
}

/// What a request's `app` and `endpoint` name, of what the caller may see.
///
/// # Errors
/// `not_found`; `validation_failed` for an endpoint's uid without its application.
pub(super) fn scope(cx: &Context, app: Option<&str>, endpoint: Option<&str>) -> Result<Scoped, ApiError> {
    let directory = &cx.server.directory;
    let caller = cx.caller()?;
    let mut apps = match (app, caller.app) {
        (Some(name), _) => vec![
            cx.find_app(name)?
                .ok_or_else(|| ApiError::not_found("application", name))?,
        ],
        (None, Some(only)) => directory.app_by_id(only).into_iter().collect(),
        (None, None) => {
            let mut all = directory.apps(caller.environment, ALL).items;
            all.extend(directory.source_apps(caller.environment));
            all
        }
    };
    apps.sort_unstable_by_key(|app| app.id);
    let Some(name) = endpoint else {
        let of = |app: &Arc<App>| directory.endpoints(app.id, ALL).items;
        let endpoints = apps.iter().flat_map(of).collect();
        return Ok(Scoped {
            apps,
            endpoints,
            one_endpoint: false,
        });
    };
    let unknown = || ApiError::not_found("endpoint", name);
    let entry = match (name.parse::<EndpointId>(), &apps[..]) {
        (Ok(id), _) => directory.endpoint_by_id(id).ok_or_else(unknown)?,
        (Err(_), [app]) => directory.endpoint(app.id, name).ok_or_else(unknown)?,
        (Err(_), _) => {
            let msg = format!("`{name}` is not an endpoint's id; give its application as `app` beside its uid");
            return Err(ApiError::invalid(Problem::query("endpoint", msg)));
        }
    };
    apps.retain(|app| app.id == entry.endpoint.app);
    if apps.is_empty() {
        return Err(unknown());
    }
    Ok(Scoped {
        apps,
        endpoints: vec![entry],
        one_endpoint: true,
    })
}
