//! Lists in pages: `limit`, `iterator`, `order` in; `data`, `iterator`, `prevIterator`, `done` out.
//!
//! An iterator is the id of the last row (or the name, for event types), and walks on behind it. With a `-` before it, it is a
//! prevIterator: the page that ends just before that row.

use std::borrow::Cow;

use bellwire_core::id::Id;
use bellwire_store::query::{Order, Page, Rows, Start};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{error::ApiError, problem::Problem};

/// Rows in a page when nothing is asked.
const LIMIT_DEFAULT: usize = 50;
/// Most rows in a page.
const LIMIT_MAX: u64 = 250;

/// How many rows: 1 to 250.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(usize);

impl Default for Limit {
    fn default() -> Self {
        Self(LIMIT_DEFAULT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = u64::deserialize(deserializer)?;
        match usize::try_from(limit) {
            Ok(rows) if (1..=LIMIT_MAX).contains(&limit) => Ok(Self(rows)),
            _ => Err(D::Error::custom(format_args!(
                "{limit} is out of bounds; ask for 1 to {LIMIT_MAX}"
            ))),
        }
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT })
    }
}

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ordering {
    /// Oldest (or first by name) first.
    Ascending,
    /// Newest (or last by name) first.
    Descending,
}

impl From<Ordering> for Order {
    fn from(ordering: Ordering) -> Self {
        match ordering {
            Ordering::Ascending => Self::Ascending,
            Ordering::Descending => Self::Descending,
        }
    }
}

/// The parameters of a list that can run both ways.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct ListQuery {
    /// How many rows at most.
    #[serde(default)]
    pub limit: Limit,
    /// The `iterator` or `prevIterator` of another page.
    pub iterator: Option<String>,
    /// Which way the list runs.
    pub order: Option<Ordering>,
}

impl ListQuery {
    /// The page that is asked for; `default` is the order when none is asked.
    ///
    /// # Errors
    /// `validation_failed` for an iterator that is none.
    pub fn page<T: Id>(&self, default: Order) -> Result<Page, ApiError> {
        page::<T>(
            self.limit,
            self.iterator.as_deref(),
            self.order.map_or(default, Order::from),
        )
    }
}

/// The page that is asked for, of a list of things with this kind of id.
///
/// # Errors
/// `validation_failed` for an iterator that is none.
pub fn page<T: Id>(limit: Limit, iterator: Option<&str>, order: Order) -> Result<Page, ApiError> {
    page_asked_in::<T>("query", limit, iterator, order)
}

/// As [`page`], asked for in the `body` or in the `query`.
///
/// # Errors
/// `validation_failed` for an iterator that is none.
pub fn page_asked_in<T: Id>(root: &str, limit: Limit, iterator: Option<&str>, order: Order) -> Result<Page, ApiError> {
    let number = |text: &str| {
        let problem = |error| {
            let msg = format!("{error}; give the `iterator` of another page");
            Problem::at(root, ["iterator"], "value_error", msg)
        };
        text.parse::<T>()
            .map(Id::number)
            .map_err(|error| ApiError::invalid(problem(error)))
    };
    let start = match iterator {
        None => Start::First,
        Some(text) => match text.strip_prefix('-') {
            None => Start::After(number(text)?),
            Some(before) => Start::Before(number(before)?),
        },
    };
    Ok(Page {
        limit: limit.rows(),
        start,
        order,
    })
}

impl Limit {
    /// As a number of rows.
    pub fn rows(self) -> usize {
        self.0
    }
}

/// What iterators over keys begin with: the empty key must not make an empty one.
const MARK: char = '=';

/// The iterator that walks on behind a key.
pub fn mark(key: &str) -> String {
    format!("{MARK}{key}")
}

/// The key behind which an iterator walks on.
///
/// # Errors
/// `validation_failed` for an iterator that is none.
pub fn key_of(iterator: &str) -> Result<String, ApiError> {
    match iterator.strip_prefix(MARK) {
        Some(key) => Ok(key.to_owned()),
        None => Err(ApiError::invalid(Problem::query(
            "iterator",
            "give the `iterator` of another page",
        ))),
    }
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ListResponse_{T}_")]
pub struct ListResponse<T> {
    /// The rows, in the order that was asked for.
    pub data: Vec<T>,
    /// Walks on: the page behind this one. Null when this page is empty.
    pub iterator: Option<String>,
    /// Walks back: the page before this one. Null when this page is empty.
    pub prev_iterator: Option<String>,
    /// Whether this walk has come to its end.
    pub done: bool,
}

impl<T> ListResponse<T> {
    /// A page of rows; `key` is a row's id, `show` what is answered of it.
    pub fn new<R>(rows: Rows<R>, key: impl Fn(&R) -> String, show: impl FnMut(R) -> T) -> Self {
        let iterator = rows.items.last().map(&key);
        let prev_iterator = rows.items.first().map(|row| format!("-{}", key(row)));
        Self {
            data: rows.items.into_iter().map(show).collect(),
            iterator,
            prev_iterator,
            done: !rows.more,
        }
    }

    /// A page of rows that can be walked one way only.
    pub fn one_way<R>(rows: Rows<R>, key: impl Fn(&R) -> String, show: impl FnMut(R) -> T) -> Self {
        Self {
            prev_iterator: None,
            ..Self::new(rows, key, show)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Reader;
    use bellwire_core::id::EndpointId;

    fn asked(query: &str) -> Result<Page, ApiError> {
        Reader::of::<ListQuery>()
            .read::<ListQuery>(query)?
            .page::<EndpointId>(Order::Ascending)
    }

    #[test]
    fn a_page_is_read_from_the_query() {
        let id = EndpointId::from_number(99);
        assert_eq!(
            asked("").unwrap(),
            Page {
                limit: 50,
                start: Start::First,
                order: Order::Ascending
            }
        );
        assert_eq!(asked("order=descending&limit=250").unwrap().order, Order::Descending);
        assert_eq!(asked(&format!("iterator={id}")).unwrap().start, Start::After(99));
        assert_eq!(asked(&format!("iterator=-{id}")).unwrap().start, Start::Before(99));
    }

    #[test]
    fn limits_and_iterators_out_of_bounds_are_refused() {
        for query in [
            "limit=0",
            "limit=251",
            "limit=x",
            "iterator=nonsense",
            "iterator=-",
            "order=sideways",
        ] {
            assert_eq!(asked(query).unwrap_err().code().status, 422, "{query}");
        }
    }

    #[test]
    fn iterators_are_there_also_at_the_end_and_null_when_empty() {
        let list =
            |rows| serde_json::to_value(ListResponse::new(rows, |row: &&str| (*row).to_owned(), |row| row)).unwrap();
        let last = list(Rows {
            items: vec!["a", "b"],
            more: false,
        });
        assert_eq!(
            last,
            serde_json::json!({ "data": ["a", "b"], "iterator": "b", "prevIterator": "-a", "done": true })
        );
        let none = list(Rows::EMPTY);
        assert_eq!(
            none,
            serde_json::json!({ "data": [], "iterator": null, "prevIterator": null, "done": true })
        );
    }
}
