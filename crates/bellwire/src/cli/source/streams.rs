//! `bellwire source streams`: how what a source keeps in order stands.

use clap::Args;
use serde_json::Value;

use super::SourceArg;
use crate::cli::{
    Session,
    client::{Query, WalkArgs},
    exit::Failure,
    out::{Column, cell},
};

/// `source streams`.
#[derive(Args)]
pub struct StreamsArgs {
    #[command(flatten)]
    source: SourceArg,
    /// Only this key
    #[arg(long)]
    key: Option<String>,
    /// Only keys for which something waits
    #[arg(long)]
    held: bool,
    /// Let this key begin anew: what waits is accepted, and the next message is its first
    #[arg(long, value_name = "KEY", conflicts_with_all = ["key", "held"])]
    reset: Option<String>,
    #[command(flatten)]
    page: WalkArgs,
}

const COLUMNS: &[Column] = &[
    Column {
        title: "KEY",
        show: |item| cell(item, "key"),
    },
    Column {
        title: "LAST",
        show: |item| cell(item, "last"),
    },
    Column {
        title: "WAITING",
        show: |item| match item["held"].as_u64() {
            Some(held) if held > 0 => held.to_string(),
            _ => String::new(),
        },
    },
    Column {
        title: "UNTIL",
        show: |item| cell(item, "until"),
    },
    Column {
        title: "NEVER CAME",
        show: gaps,
    },
];

/// The missing numbers: `4, 7-9`.
fn gaps(item: &Value) -> String {
    let gap = |gap: &Value| match (gap["first"].as_u64(), gap["last"].as_u64()) {
        (Some(first), Some(last)) if first == last => first.to_string(),
        (Some(first), Some(last)) => format!("{first}-{last}"),
        _ => String::new(),
    };
    let all: Vec<_> = item["gaps"].as_array().into_iter().flatten().map(gap).collect();
    all.join(", ")
}

impl StreamsArgs {
    /// Lists them, or resets one.
    ///
    /// # Errors
    /// Those of the requests.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        if let Some(key) = self.reset {
            let query = Query::default().maybe("key", Some(&key));
            client.delete(&self.source.path(&["stream"]), &query)?;
            out.note(&format!("{key} begins anew"));
            return Ok(());
        }
        let query = Query::default()
            .maybe("key", self.key)
            .maybe("held", self.held.then_some(true));
        client.list(out, &self.source.path(&["stream"]), query, &self.page.into(), COLUMNS)
    }
}
