//! Query parameters, and lists that come in pages.
//!
//! Called by every `list` command.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::{Client, path::escape};
use crate::cli::{
    exit::Failure,
    out::{Column, Out},
};

/// Query parameters, in order, escaped when written.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.push((name, value.to_string()));
        self
    }

    /// Adds a parameter when there is a value.
    #[must_use]
    pub fn maybe(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a list, joined by commas, when it has items.
    #[must_use]
    pub fn list(self, name: &'static str, items: &[String]) -> Self {
        if items.is_empty() {
            self
        } else {
            self.with(name, items.join(","))
        }
    }

    /// The path with the parameters after it.
    pub fn after(&self, path: &str) -> String {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={}", escape(value)))
            .collect();
        if pairs.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{}", pairs.join("&"))
        }
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Order {
    /// Oldest first.
    #[value(alias = "ascending")]
    Asc,
    /// Newest first.
    #[value(alias = "descending")]
    Desc,
}

/// Which part of a list, in either order.
#[derive(Args, Clone, Debug, Default)]
pub struct PageArgs {
    #[command(flatten)]
    walk: WalkArgs,
    /// Oldest or newest first
    #[arg(long)]
    order: Option<Order>,
}

/// Which part of a list that has one order only.
#[derive(Args, Clone, Debug, Default)]
pub struct WalkArgs {
    /// How many items in one answer
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=250))]
    limit: Option<u16>,
    /// Go on after this iterator, as the page before printed it
    #[arg(long)]
    iterator: Option<String>,
    /// Fetch every page
    #[arg(long)]
    all: bool,
}

impl PageArgs {
    /// All of it.
    pub fn every() -> Self {
        WalkArgs {
            all: true,
            ..WalkArgs::default()
        }
        .into()
    }
}

impl From<WalkArgs> for PageArgs {
    fn from(walk: WalkArgs) -> Self {
        Self { walk, order: None }
    }
}

/// One page of a list, its items as they came.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The items.
    pub data: Vec<Box<RawValue>>,
    /// Where the next page starts.
    pub iterator: Option<String>,
    /// Where the page before starts.
    #[serde(default)]
    pub prev_iterator: Option<String>,
    /// Whether this is the last page.
    pub done: bool,
}

impl Page {
    /// The items as values, for tables.
    pub fn values(&self) -> Vec<Value> {
        self.data
            .iter()
            .filter_map(|item| serde_json::from_str(item.get()).ok())
            .collect()
    }
}

impl Client {
    /// Prints the list at `path`: a table for people, the API's answer for programs. With `--all` every page: one table
    /// after another, or one answer that holds all items.
    ///
    /// # Errors
    /// Those of the requests and of writing.
    pub fn list(
        &self,
        out: &mut Out,
        path: &str,
        query: Query,
        page: &PageArgs,
        columns: &[Column],
    ) -> Result<(), Failure> {
        self.list_with(out, path, query, page, columns, &|_| {})
    }

    /// As [`Self::list`]; for people each item is changed before it is shown.
    ///
    /// # Errors
    /// Those of the requests and of writing.
    pub fn list_with(
        &self,
        out: &mut Out,
        path: &str,
        query: Query,
        page: &PageArgs,
        columns: &[Column],
        change: &dyn Fn(&mut Value),
    ) -> Result<(), Failure> {
        let order = page.order.map(|order| {
            if matches!(order, Order::Asc) {
                "ascending"
            } else {
                "descending"
            }
        });
        let page = &page.walk;
        let limit = page.limit.or(page.all.then_some(250));
        let query = query.maybe("limit", limit).maybe("order", order);
        let mut next = page.iterator.clone();
        let mut gathered: Option<Page> = None;
        loop {
            let answer = self.get(path, &query.clone().maybe("iterator", next.as_deref()))?;
            if out.is_json() && !page.all {
                return out.raw(&answer.text);
            }
            let mut got: Page = answer.json()?;
            let done = got.done || got.data.is_empty();
            next = got.iterator.clone();
            match &mut gathered {
                None => gathered = Some(got),
                Some(all) => {
                    all.data.append(&mut got.data);
                    all.iterator = got.iterator;
                    all.done = got.done;
                }
            }
            if done || !page.all || next.is_none() {
                break;
            }
        }
        let Some(gathered) = gathered else { return Ok(()) };
        if out.is_json() {
            let text = serde_json::to_string(&gathered).map_err(|error| Failure::Failed(error.to_string()))?;
            return out.raw(&text);
        }
        let mut items = gathered.values();
        items.iter_mut().for_each(change);
        if items.is_empty() {
            out.note("nothing");
            return Ok(());
        }
        out.table(columns, &items)?;
        if let (false, Some(iterator)) = (gathered.done, &gathered.iterator) {
            out.aside(&format!("more: --iterator {iterator} (or --all)"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{
        out::cell,
        testing::{Captured, Scripted},
    };

    const COLUMNS: &[Column] = &[Column {
        title: "ID",
        show: |item| cell(item, "id"),
    }];
    const FIRST: &str = r#"{"data":[{"id":"a","n":1.10}],"iterator":"a","prevIterator":"-a","done":false}"#;
    const LAST: &str = r#"{"data":[{"id":"b"}],"iterator":"b","prevIterator":"-b","done":true}"#;

    #[test]
    fn a_query_is_escaped_and_leaves_out_what_is_not_asked() {
        let query = Query::default()
            .with("a", "x&y")
            .maybe("b", None::<u8>)
            .list("c", &["p.q".into(), "r".into()]);
        assert_eq!(query.after("/p"), "/p?a=x%26y&c=p.q%2Cr");
        assert_eq!(Query::default().list("c", &[]).after("/p"), "/p");
    }

    #[test]
    fn one_page_tells_how_to_go_on() {
        let server = Scripted::answering(vec![(200, FIRST)]);
        let captured = Captured::default();
        let mut session = server.session(&captured, false);
        let walk = WalkArgs {
            limit: Some(1),
            ..WalkArgs::default()
        };
        let page = PageArgs {
            walk,
            order: Some(Order::Desc),
        };
        session
            .client
            .list(&mut session.out, "/api/v1/app", Query::default(), &page, COLUMNS)
            .unwrap();
        assert_eq!(captured.text(), "ID\na\n");
        assert!(captured.notes().contains("--iterator a"));
        assert_eq!(server.seen().remove(0).line, "GET /api/v1/app?limit=1&order=descending");
    }

    #[test]
    fn every_page_is_fetched_and_items_keep_their_text() {
        let server = Scripted::answering(vec![(200, FIRST), (200, LAST)]);
        let captured = Captured::default();
        let mut session = server.session(&captured, true);
        let page = PageArgs::every();
        session
            .client
            .list(&mut session.out, "/api/v1/app", Query::default(), &page, COLUMNS)
            .unwrap();
        let whole = r#"{"data":[{"id":"a","n":1.10},{"id":"b"}],"iterator":"b","prevIterator":"-a","done":true}"#;
        assert_eq!(captured.text().trim(), whole);
        let lines: Vec<String> = server.seen().into_iter().map(|seen| seen.line).collect();
        assert_eq!(
            lines,
            ["GET /api/v1/app?limit=250", "GET /api/v1/app?limit=250&iterator=a"]
        );
    }
}
