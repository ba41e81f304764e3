//! A PostgreSQL for the commands that need one: Debian's package, started in a temporary folder.
//!
//! The benchmark has the same need; its file is borrowed, so that this crate depends on none of the workspace.

#[path = "../../bench/src/postgres.rs"]
mod server;

use anyhow::Result;

pub(crate) use self::server::Postgres;

/// Settings for runs that must end soon: the disk is what these runs are not about.
pub(crate) const QUICK: &[&str] = &["checkpoint_timeout=1h", "max_wal_size=4GB"];

/// Starts one below the system's temporary folder, which a user without rights can enter.
///
/// # Errors
/// When it is not installed, or does not start.
pub(crate) fn start() -> Result<Postgres> {
    Postgres::start(&std::env::temp_dir(), QUICK)
}

/// What tells a server to keep everything in it, in a schema of this name.
pub(crate) fn environment(postgres: &Postgres, schema: &str) -> [(&'static str, String); 2] {
    [
        ("BELLWIRE_STORE", postgres.url(schema)),
        (
            "BELLWIRE_MAIN_SECRET",
            "a-main-secret-of-a-test-and-no-secret-at-all".to_owned(),
        ),
    ]
}
