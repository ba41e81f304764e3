//! `bellwire store copy`: moves an installation from one store to another.

use std::time::{Duration, Instant};

use bellwire_store::{
    CopyError, OpenError, SystemClock,
    backends::{self, Copied, CopyStep, OpenOptions},
    vault::Vault,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{keys_of, with_config};
use crate::{
    cli::{Failure, Out, count},
    config::{Config, ConfigArgs},
    serve::keys,
};

/// How often it is told how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(2);

/// `store`.
#[derive(Subcommand)]
pub enum StoreCommand {
    /// Move everything from one store into another, empty one, and prove that it is there
    Copy(CopyArgs),
}

/// `store copy`.
#[derive(Args)]
pub struct CopyArgs {
    /// The store that is read, as `store` names it: sqlite:DIRECTORY, postgres://…
    #[arg(long, value_name = "URL")]
    from: String,
    /// The store that is written; it must be empty, and is made if it is not there
    #[arg(long, value_name = "URL")]
    to: String,
    #[command(flatten)]
    config: ConfigArgs,
}

impl StoreCommand {
    /// Copies.
    ///
    /// # Errors
    /// When one of the stores is in use, the target is not empty, or the copy is not what it was made from.
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let Self::Copy(CopyArgs { from, to, config }) = self;
        let copied = with_config(&config, async |config| copy(&config, &from, &to, out).await)?;
        let rows: u64 = copied.rows.iter().map(|(_, rows)| rows).sum();
        if out.is_json() {
            let by_table: serde_json::Map<String, Value> = copied
                .rows
                .iter()
                .map(|(table, rows)| ((*table).to_owned(), json!(rows)))
                .collect();
            let document = json!({
                "rows": by_table,
                "messages": copied.report.messages,
                "deliveries": copied.report.deliveries,
                "pending": copied.report.counts.pending,
                "held": copied.report.held,
                "beganAnew": copied.began_anew,
            });
            return out.line(&document.to_string());
        }
        for (table, rows) in &copied.rows {
            out.line(&format!("{table:<16} {rows:>12}"))?;
        }
        out.line(&format!(
            "copied {}; both stores add up to the same: {}",
            count(rows, "row"),
            super::check::summary(&copied.report)
        ))?;
        out.note(
            "give every server of the new store this main secret, start them on it, and do not start one on the old store again",
        );
        Ok(())
    }
}

pub(crate) async fn copy(config: &Config, from: &str, to: &str, out: &mut Out) -> Result<Copied, Failure> {
    let data = &config.storage.data;
    if config.secrets.main_secret.is_none() && !keys::kept_file(data).exists() {
        return Err(Failure::Usage(format!(
            "what is sealed goes over as it is, so its main secret is needed: there is no main-secret in {}; say where it is with \
             --data, or set main_secret",
            data.display()
        )));
    }
    let options = OpenOptions::new(std::sync::Arc::new(SystemClock), Vault::new(keys_of(config)?.ring));
    let mut progress = Progress::begin();
    let mut told = |step| {
        if let Some(line) = progress.line(step) {
            out.note(&line);
        }
    };
    let copied = backends::copy(from, to, options, &mut told).await.map_err(explained)?;
    if copied.began_anew {
        out.note("an earlier copy into this store had not been finished; it was taken away");
    }
    Ok(copied)
}

fn explained(error: CopyError) -> Failure {
    match error {
        CopyError::Open(OpenError::InUse(place)) => Failure::Failed(format!(
            "the store at {place} is in use by a running server; stop all servers of both stores first"
        )),
        CopyError::NotThere(_) | CopyError::NotEmpty { .. } | CopyError::Open(OpenError::UnknownScheme(..)) => {
            Failure::Usage(error.to_string())
        }
        other => super::failed(other),
    }
}

/// Says now and then how far it is.
struct Progress {
    table: &'static str,
    told: Instant,
}

impl Progress {
    fn begin() -> Self {
        Self {
            table: "",
            told: Instant::now(),
        }
    }

    fn line(&mut self, step: CopyStep) -> Option<String> {
        match step {
            CopyStep::Proving => Some("proving that what is to be copied adds up".to_owned()),
            CopyStep::Comparing => Some("all rows are over; comparing, and proving that the copy adds up".to_owned()),
            CopyStep::Rows { table, rows } => {
                let is_new = std::mem::replace(&mut self.table, table) != table;
                if !is_new && self.told.elapsed() < TOLD_EVERY {
                    return None;
                }
                self.told = Instant::now();
                Some(format!("{table}: {}", count(rows, "row")))
            }
        }
    }
}
