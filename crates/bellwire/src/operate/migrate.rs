//! `bellwire migrate`: brings the store to this version's schema, or rehearses it: a file on a copy, a database in a transaction
//! that is taken back.

use std::{fs, path::Path};

use bellwire_store::backends;
use clap::Args;
use serde_json::json;

use super::{
    failed, keys_of, open, open_at,
    place::{BESIDE, appended, existing_file, is_in_use},
    with_config,
};
use crate::{
    cli::{Failure, Out},
    config::{Config, ConfigArgs},
    serve::{keys::Keys, private},
};

/// `migrate`.
#[derive(Args)]
pub struct MigrateArgs {
    /// Rehearse on a copy beside the file, or in a transaction that is taken back, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

impl MigrateArgs {
    /// Migrates. A server does the same when it starts; this is for whoever wants to do it before. Servers on a database may run
    /// meanwhile.
    ///
    /// # Errors
    /// When a file is in use, or the store is newer than this program, or cannot be brought to its schema.
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let dry_run = self.dry_run;
        let place = with_config(&self.config, async |config| migrate(&config, dry_run).await)?;
        if out.is_json() {
            return out
                .line(&json!({ "store": place, "dryRun": dry_run, "version": env!("CARGO_PKG_VERSION") }).to_string());
        }
        let what = if dry_run { "can be brought to" } else { "has" };
        out.line(&format!(
            "the store at {place} {what} the schema of bellwire {}",
            env!("CARGO_PKG_VERSION")
        ))
    }
}

pub(super) async fn migrate(config: &Config, dry_run: bool) -> Result<String, Failure> {
    if let Some(migrated) = backends::migrate(&config.storage.url(), dry_run)
        .await
        .map_err(failed)?
    {
        let backends::Migrated { location, found, known } = migrated;
        return Ok(if found < known {
            format!("{location} (version {found} → {known})")
        } else {
            location
        });
    }
    let file = existing_file(config)?;
    let keys = keys_of(config)?;
    if dry_run {
        if is_in_use(&file) {
            return Err(Failure::Failed(format!(
                "the store at {} is in use by a running server; stop it first",
                file.display()
            )));
        }
        rehearse(&file, &keys).await?;
    } else {
        open(config, &keys).await?.close().await;
    }
    Ok(file.display().to_string())
}

/// Opens and checks a copy in a directory of its own, and removes it.
async fn rehearse(file: &Path, keys: &Keys) -> Result<(), Failure> {
    let directory = appended(file, ".rehearsal");
    let copy = directory.join("bellwire.db");
    let copied = private::make_directory(&directory).and_then(|()| {
        fs::copy(file, &copy)?;
        for end in BESIDE {
            let beside = appended(file, end);
            if beside.exists() {
                fs::copy(beside, appended(&copy, end))?;
            }
        }
        Ok(())
    });
    let rehearsed = match copied {
        Err(error) => Err(Failure::Failed(format!(
            "cannot copy the store to {}: {error}",
            directory.display()
        ))),
        Ok(()) => opens_and_adds_up(&copy, keys).await,
    };
    let removed = fs::remove_dir_all(&directory);
    rehearsed?;
    removed.map_err(|error| Failure::Failed(format!("cannot remove {}: {error}", directory.display())))
}

/// Opens a store and proves that what is in it adds up.
pub(super) async fn opens_and_adds_up(database: &Path, keys: &Keys) -> Result<(), Failure> {
    let store = open_at(&format!("sqlite:{}", database.display()), keys).await?;
    let report = store.check().await.map_err(failed);
    store.close().await;
    match report?.problems.first() {
        None => Ok(()),
        Some(problem) => Err(Failure::Failed(format!("the store does not add up: {problem}"))),
    }
}
