//! The operator's commands: they work on the configuration and the store itself, beside a server or without one.
//!
//! Called by the command line. Each command is one file. What a tenant or a publisher does goes through the API and is under
//! [`crate::cli`].

mod backup;
pub mod bench;
mod check;
pub(crate) mod copy;
mod migrate;
pub(crate) mod place;
mod restore;
mod rotate;
mod show;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc};

use bellwire_store::{OpenError, Store, SystemClock, backends, query::Role, vault::Vault};

pub use backup::BackupArgs;
pub use check::CheckArgs;
pub use copy::StoreCommand;
pub use migrate::MigrateArgs;
pub use restore::RestoreArgs;
pub use rotate::SecretsCommand;
pub use show::{ConfigCommand, openapi};

use crate::{
    cli::Failure,
    config::{self, Config, ConfigArgs},
    serve::keys::{self, Keys},
    telemetry,
};

/// A configuration and a runtime to do something with it; what is logged goes to standard error.
fn with_config<T, F>(args: &ConfigArgs, act: impl FnOnce(Config) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let config = config::load(args).map_err(Failure::usage)?.config;
    telemetry::log_to_stderr(config::LogFormat::Human, "warn");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(act(config))
}

/// The main secrets as the configuration has them.
fn keys_of(config: &Config) -> Result<Keys, Failure> {
    keys::load(config).map_err(failed)
}

/// Opens the store as a server would: it is brought to this version's schema, and nobody else may have it open.
async fn open(config: &Config, keys: &Keys) -> Result<Arc<dyn Store>, Failure> {
    open_at(&config.storage.url(), keys).await
}

async fn open_at(url: &str, keys: &Keys) -> Result<Arc<dyn Store>, Failure> {
    let options = backends::OpenOptions {
        // Beside servers that share the store it makes no deliveries.
        role: Role::Api,
        host: "a command".to_owned(),
        ..backends::OpenOptions::new(Arc::new(SystemClock), Vault::new(keys.ring.clone()))
    };
    backends::open(url, options).await.map_err(|error| match error {
        OpenError::InUse(place) => Failure::Failed(format!(
            "the store at {place} is in use by a running server; stop it first"
        )),
        other => failed(other),
    })
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}
