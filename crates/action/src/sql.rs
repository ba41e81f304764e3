//! The kind `sql`: a row written into a database, or a statement run in it, once for each message.
//!
//! What a message holds is bound as a value and never becomes SQL. Names of tables and columns, and statements, are the
//! settings' own: no template is in them.

mod database;
mod query;
mod statement;
#[cfg(test)]
mod tests;
mod value;

use std::{collections::BTreeMap, sync::Arc};

use bellwire_template::MessageScope;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as JsonValue, json};

use self::query::{Conflict, Name};
pub use self::{
    database::{Database, Place, Server, Tls},
    query::{Dialect, Query},
    value::Value,
};
use crate::{
    Called, Callee, Compiled, Event, PlanError, Problem,
    server::without_password,
    settings,
    text::{JsonText, Secret},
};

/// The settings as a person writes them: exactly one of `insert`, `upsert` and `statement`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Form {
    /// `postgres://user:password@host/database`, `mysql://…` or `sqlite:path`.
    url: Secret,
    /// The table that a row is added to.
    insert: Option<String>,
    /// The table in which a row is added, or changed where `key` is there already.
    upsert: Option<String>,
    /// With `upsert`: the columns that say which row it is; the table has a unique index over them.
    #[serde(default)]
    key: Vec<String>,
    /// With `insert` and `upsert`: the columns and their values. A value that is exactly one `{{ expression }}` keeps its type.
    #[serde(default)]
    set: BTreeMap<String, JsonText>,
    /// With `upsert`: the row is only changed where this column's new value is greater than the one it has.
    newer: Option<String>,
    /// SQL, with `:name` where a value goes.
    statement: Option<String>,
    /// With `statement`: its values, by name.
    #[serde(default)]
    params: BTreeMap<String, JsonText>,
    /// Whether the database remembers what was done, in the table `bellwire_done`, so that no message has its effect twice.
    #[serde(default = "yes")]
    once: bool,
}

fn yes() -> bool {
    true
}

/// Settings that were read: the SQL written, the templates compiled.
#[derive(Debug)]
pub struct Settings {
    database: Database,
    query: Query,
    row: Option<Arc<Row>>,
    /// Each value's setting and template.
    values: Vec<(String, JsonText)>,
    target: String,
    once: bool,
}

/// What is done in the database for one message.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The SQL, with the database's own places for values.
    pub text: String,
    /// The values, by place.
    pub values: Vec<Value>,
    /// Where the values go, when they are a row's.
    pub row: Option<Arc<Row>>,
    /// What names this effect and no other: written in the same transaction, and not done again where it is there already.
    pub once: Option<String>,
}

/// A row's place: a value for each column, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The table's schema, where it is named.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// The columns.
    pub columns: Vec<String>,
}

impl Settings {
    /// The database it is done in.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// What is done for a message.
    ///
    /// # Errors
    /// A template that does not render.
    pub fn plan(&self, event: &Event<'_>) -> Result<Plan, PlanError> {
        let scope = event.scope();
        let values = self.values.iter().map(|(name, text)| value(name, text, &scope));
        let values: Vec<Value> = values.collect::<Result<_, _>>()?;
        Ok(Plan {
            text: self.query.text.clone(),
            values: self.query.order.iter().map(|number| values[*number].clone()).collect(),
            row: self.row.clone(),
            once: self.once.then(|| event.effect_id()),
        })
    }
}

fn value(name: &str, text: &JsonText, scope: &MessageScope<'_>) -> Result<Value, PlanError> {
    let value = Value::from(text.render(name, scope)?);
    match &value {
        Value::Text(text) if text.contains('\0') => Err(PlanError::new(
            name,
            "holds a zero byte, which databases refuse; take it out",
        )),
        _ => Ok(value),
    }
}

impl Compiled for Settings {
    type Form = Form;

    fn read(settings: &JsonValue) -> Result<Self, Problem> {
        let mut form: Form = settings::read(settings)?;
        let url = Database::parse(form.url.expose());
        let database = url.map_err(|why| Problem::at(["url"], format!("the URL {why}")))?;
        let dialect = database.dialect();
        let once = form.once;
        let (query, row, values, target) = match (form.insert.take(), form.upsert.take(), form.statement.take()) {
            (Some(table), None, None) => form.row(dialect, "insert", &table)?,
            (None, Some(table), None) => form.row(dialect, "upsert", &table)?,
            (None, None, Some(statement)) => form.statement(dialect, &statement)?,
            _ => {
                return Err(Problem::at(
                    [],
                    "give exactly one of `insert`, `upsert` and `statement`",
                ));
            }
        };
        Ok(Self {
            database,
            query,
            row: row.map(Arc::new),
            values,
            target,
            once,
        })
    }

    fn hide(shown: &mut JsonValue) {
        if let Some(JsonValue::String(url)) = shown.get_mut("url") {
            *url = without_password(url);
        }
    }

    fn calls(&self) -> Option<Called> {
        let what = match &self.database {
            Database::Postgres(Server {
                place: Place::Tcp { host, port },
                ..
            })
            | Database::Mysql(Server {
                place: Place::Tcp { host, port },
                ..
            }) => Callee::Server {
                host: host.clone(),
                port: *port,
                usual: &[],
            },
            Database::Sqlite(_) | Database::Postgres(_) | Database::Mysql(_) => Callee::Local,
        };
        Some(Called { setting: "url", what })
    }

    fn target(&self) -> String {
        self.target.clone()
    }

    fn preview(&self, event: &Event<'_>) -> Result<JsonValue, PlanError> {
        let plan = self.plan(event)?;
        let values: Vec<JsonValue> = plan.values.into_iter().map(JsonValue::from).collect();
        Ok(json!({ "sql": plan.text, "values": values, "once": plan.once.is_some() }))
    }
}

/// The SQL, the row it writes, the values it takes with their settings' names, and what an attempt shows.
type Read = (Query, Option<Row>, Vec<(String, JsonText)>, String);

impl Form {
    fn row(self, dialect: Dialect, form: &str, table: &str) -> Result<Read, Problem> {
        let target = format!("sql:{table}");
        let named = Name::table(table).map_err(|why| Problem::at([form], why))?;
        if self.set.is_empty() {
            return Err(Problem::at(["set"], "is empty; give each column its value"));
        }
        if !self.params.is_empty() {
            return Err(Problem::at(
                ["params"],
                "belongs to `statement`; give the columns in `set`",
            ));
        }
        let column = |name: &String| Name::column(name).map_err(|why| Problem::at(["set"], why));
        let columns = self.set.keys().map(column).collect::<Result<Vec<_>, _>>()?;
        let find = |setting, name: &String| {
            let found = self.set.keys().position(|known| known == name);
            found.ok_or_else(|| {
                Problem::at(
                    [setting],
                    format!("names `{name}`, which is not in `set`; give it a value there"),
                )
            })
        };
        let key = self
            .key
            .iter()
            .map(|name| find("key", name))
            .collect::<Result<Vec<_>, _>>()?;
        let newer = self.newer.iter().map(|name| find("newer", name)).next().transpose()?;
        let conflict = match form {
            "upsert" if key.is_empty() => {
                return Err(Problem::at(
                    ["key"],
                    "is empty; name the columns that say which row it is",
                ));
            }
            "upsert" if newer.is_some_and(|newer| key.contains(&newer)) => {
                return Err(Problem::at(["newer"], "is a column of `key`; name one that changes"));
            }
            "upsert" => Some(Conflict { key: &key, newer }),
            _ if !key.is_empty() || newer.is_some() => {
                return Err(Problem::at([form], "takes no `key` and no `newer`; write `upsert`"));
            }
            _ => None,
        };
        let query = query::insert(dialect, &named, &columns, conflict);
        let (schema, table) = named.into_table();
        let row = Row {
            schema,
            table,
            columns: self.set.keys().cloned().collect(),
        };
        let values = self.set.into_iter().map(|(name, text)| (format!("set.{name}"), text));
        Ok((query, Some(row), values.collect(), target))
    }

    fn statement(self, dialect: Dialect, statement: &str) -> Result<Read, Problem> {
        if !self.set.is_empty() || !self.key.is_empty() || self.newer.is_some() {
            return Err(Problem::at(
                ["statement"],
                "takes `params` only; `set`, `key` and `newer` belong to `insert` and `upsert`",
            ));
        }
        let at = |why| Problem::at(["statement"], why);
        let pieces = statement::parse(statement, dialect).map_err(at)?;
        let names: Vec<&str> = self.params.keys().map(String::as_str).collect();
        let query = query::statement(dialect, &pieces, &names).map_err(at)?;
        if let Some(unused) = (0..names.len()).find(|number| !query.order.contains(number)) {
            let name = names[unused];
            return Err(Problem::at(
                ["params", name],
                format!("is given, and the statement has no `:{name}`"),
            ));
        }
        let values = self
            .params
            .into_iter()
            .map(|(name, text)| (format!("params.{name}"), text));
        Ok((query, None, values.collect(), "sql:statement".to_owned()))
    }
}
