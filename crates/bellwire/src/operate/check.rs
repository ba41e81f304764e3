//! `bellwire check`: proves that what is stored adds up.

use clap::Args;
use serde_json::json;

use super::{keys_of, open, place::existing_file, with_config};
use crate::{
    cli::{Failure, Out},
    config::ConfigArgs,
};

/// `check`.
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

impl CheckArgs {
    /// Looks at everything in the store.
    ///
    /// # Errors
    /// When something contradicts itself, or the store cannot be opened.
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let report = with_config(&self.config, async |config| {
            existing_file(&config)?;
            let store = open(&config, &keys_of(&config)?).await?;
            let report = store.check().await.map_err(super::failed);
            store.close().await;
            report
        })?;
        let counts = report.counts;
        if out.is_json() {
            let document = json!({
                "messages": report.messages,
                "deliveries": report.deliveries,
                "succeeded": counts.succeeded,
                "pending": counts.pending,
                "failed": counts.failed,
                "cancelled": counts.cancelled,
                "problems": report.problems,
            });
            out.line(&document.to_string())?;
        } else {
            out.line(&format!(
                "{} messages, {} deliveries: {} succeeded, {} pending, {} failed, {} cancelled",
                report.messages, report.deliveries, counts.succeeded, counts.pending, counts.failed, counts.cancelled
            ))?;
            for problem in &report.problems {
                out.line(problem)?;
            }
        }
        match report.problems.len() {
            0 => Ok(()),
            1 => Err(Failure::Failed("1 problem was found".to_owned())),
            n => Err(Failure::Failed(format!("{n} problems were found"))),
        }
    }
}
