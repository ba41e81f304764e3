//! `bellwire source refused`: requests that were not accepted, and why.

use clap::Args;

use super::SourceArg;
use crate::cli::{
    Session,
    client::{PageArgs, Query},
    exit::Failure,
    out::{Column, cell},
};

/// `source refused`.
#[derive(Args)]
pub struct RefusedArgs {
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    page: PageArgs,
}

const COLUMNS: &[Column] = &[
    Column {
        title: "TIME",
        show: |item| cell(item, "created_at"),
    },
    Column {
        title: "STATUS",
        show: |item| cell(item, "status_code"),
    },
    Column {
        title: "REASON",
        show: |item| cell(item, "reason"),
    },
    Column {
        title: "FROM",
        show: |item| cell(item, "peer"),
    },
    Column {
        title: "MORE",
        show: |item| match item["skipped"].as_u64() {
            Some(skipped) if skipped > 0 => format!("+{skipped}"),
            _ => String::new(),
        },
    },
    Column {
        title: "WHY",
        show: |item| cell(item, "error_text"),
    },
];

impl RefusedArgs {
    /// Lists them.
    ///
    /// # Errors
    /// Those of the requests.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        client.list(out, &self.source.path(&["log"]), Query::default(), &self.page, COLUMNS)
    }
}
