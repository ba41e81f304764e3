//! `bellwire check`: proves that what is stored adds up.

use bellwire_store::query::CheckReport;
use clap::Args;
use serde_json::json;

use super::{keys_of, open, place::must_be_there, with_config};
use crate::{
    cli::{Failure, Out, count},
    config::ConfigArgs,
};

/// `check`.
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

impl CheckArgs {
    /// Where its configuration comes from.
    #[cfg(test)]
    pub fn config(&self) -> &ConfigArgs {
        &self.config
    }

    /// Looks at everything in the store.
    ///
    /// # Errors
    /// When something contradicts itself, or the store cannot be opened.
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let report = with_config(&self.config, async |config| {
            must_be_there(&config)?;
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
                "held": report.held,
                "problems": report.problems,
            });
            out.line(&document.to_string())?;
        } else {
            out.line(&summary(&report))?;
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

/// What was counted, on one line.
pub(super) fn summary(report: &CheckReport) -> String {
    let counts = report.counts;
    let deliveries = match report.deliveries {
        1 => "1 delivery".to_owned(),
        n => format!("{n} deliveries"),
    };
    let held = match report.held {
        0 => String::new(),
        n => format!("; {} held until their turn", count(n, "message")),
    };
    format!(
        "{}, {deliveries}: {} succeeded, {} pending, {} failed, {} cancelled{held}",
        count(report.messages, "message"),
        counts.succeeded,
        counts.pending,
        counts.failed,
        counts.cancelled
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_counted_as_many() {
        let report = |messages, deliveries| CheckReport {
            messages,
            deliveries,
            ..CheckReport::default()
        };
        assert!(summary(&report(1, 1)).starts_with("1 message, 1 delivery: 0 succeeded"));
        assert!(summary(&report(0, 2)).starts_with("0 messages, 2 deliveries: "));
        assert!(summary(&report(0, 0)).ends_with("0 cancelled"));
    }

    #[test]
    fn what_is_held_is_told_where_something_is() {
        let held = CheckReport {
            held: 3,
            ..CheckReport::default()
        };
        assert!(summary(&held).ends_with("0 cancelled; 3 messages held until their turn"));
    }
}
