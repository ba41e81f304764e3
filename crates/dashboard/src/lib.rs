//! The pages: the operator's dashboard at `/`, and the portal of one application at `/portal`.
//!
//! A page is a client of the API inside the process: it asks the API's own router, with the token of whoever looks, and shows what
//! came. So permissions, bounds, audit and what a portal may see are the API's, and nothing is shown that the API would not say. The
//! binary calls [`router`] and hands in the router; this crate knows nothing of store, directory or scheduler.
//!
//! There is no state on the server: a session is a sealed cookie, good on every node that has the main secret. Without JavaScript
//! every page can be read and every form sent; the modules in `assets/` add the live tail, keys and copying.
//!
//! Deliberately not here: any decision about who may see what, any connection, any clock.

mod answer;
mod ask;
mod asset;
mod brand;
mod chart;
mod form;
mod frame;
mod link;
mod page;
mod read;
mod session;
mod shell;
mod visit;
mod words;
mod wrong;

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, middleware};
use bellwire_core::{seal::Keyring, time::Timestamp};

pub use brand::{Brand, Colour, ColourError, Logo};

use shell::{Kind, Shell, Side};

/// Where the portal is.
pub const PORTAL: &str = "/portal";

/// Tells the time.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the pages are made with.
pub struct Parts {
    /// The API's router.
    pub api: Router,
    /// Seals sessions.
    pub keyring: Keyring,
    /// The clock.
    pub now: Now,
    /// What people reach the server by, without a trailing slash. With `https` cookies are for secure connections only.
    pub public_url: String,
    /// How the pages look.
    pub brand: Brand,
    /// The origins whose pages may show the portal in a frame (`https://app.example.com`).
    pub frame_origins: Vec<String>,
    /// The settings in force, shown to administrators.
    pub settings: Vec<InForce>,
}

/// A setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Its name.
    pub name: String,
    /// Its value as it would be written; a secret's is not here.
    pub value: String,
    /// Where the value comes from.
    pub origin: String,
}

/// Who sent a request: the binary puts it among a request's extensions, so that signing in is bounded by address. What a page asks the
/// API carries it along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The pages, and what they are made of, below `/`.
pub fn router(parts: Parts) -> Router {
    let shell = Arc::new(Shell::new(parts));
    let side = |kind| Side {
        shell: Arc::clone(&shell),
        kind,
    };
    let dressed = |router: Router, kind| {
        let shell = Arc::clone(&shell);
        router.layer(middleware::map_response(move |response| {
            let dressed = answer::dress(&shell, kind, response);
            std::future::ready(dressed)
        }))
    };
    let operator = page::operator().merge(page::shared()).with_state(side(Kind::Operator));
    let portal = page::portal().merge(page::shared()).with_state(side(Kind::Portal));
    let assets = asset::router(&shell);
    dressed(operator.merge(assets), Kind::Operator).merge(dressed(Router::new().nest(PORTAL, portal), Kind::Portal))
}
