//! Writes SQL: names are quoted, values are places.

use super::statement::Piece;

/// The longest name of a table or column, in bytes. PostgreSQL cuts longer ones off.
const NAME_BYTES_MAX: usize = 63;

/// What a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL's.
    Postgres,
    /// SQLite's.
    Sqlite,
    /// MySQL's and MariaDB's.
    Mysql,
}

/// A name of a table or column that is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name(Vec<String>);

impl Name {
    /// A column's name.
    pub fn column(name: &str) -> Result<Self, String> {
        check(name).map(|name| Self(vec![name]))
    }

    /// A table's name, perhaps behind its schema's: `shop.customers`.
    pub fn table(name: &str) -> Result<Self, String> {
        let parts = name.split('.').map(check).collect::<Result<Vec<_>, _>>()?;
        match parts.len() {
            1 | 2 => Ok(Self(parts)),
            _ => Err(format!("`{name}` has too many dots; write table or schema.table")),
        }
    }

    /// The schema, where it is named, and the table.
    pub fn into_table(mut self) -> (Option<String>, String) {
        let table = self.0.pop().unwrap_or_default();
        (self.0.pop(), table)
    }
}

fn check(name: &str) -> Result<String, String> {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let begins = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if begins && name.chars().all(is_letter) && name.len() <= NAME_BYTES_MAX {
        return Ok(name.to_owned());
    }
    Err(format!(
        "`{name}` is not a name; use letters, digits and underscores, at most {NAME_BYTES_MAX} bytes, or write a `statement`"
    ))
}

/// SQL with places for values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What is prepared.
    pub text: String,
    /// Which value goes to which place.
    pub order: Vec<usize>,
}

/// What an upsert does where the row is there already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conflict<'a> {
    /// The columns that say which row it is; by their places.
    pub key: &'a [usize],
    /// Only where this column's new value is greater.
    pub newer: Option<usize>,
}

/// `INSERT`, with what happens where the row is there already. One value for each column.
pub(super) fn insert(dialect: Dialect, table: &Name, columns: &[Name], conflict: Option<Conflict<'_>>) -> Query {
    let mut writer = Writer::new(dialect);
    writer.text("INSERT INTO ");
    writer.name(table);
    if conflict.is_some() && dialect != Dialect::Mysql {
        writer.text(" AS kept");
    }
    writer.text(" (");
    writer.list(columns, |writer, _, column| writer.name(column));
    writer.text(") VALUES (");
    writer.list(columns, |writer, at, _| writer.value(at));
    writer.text(")");
    if let Some(conflict) = conflict {
        match dialect {
            Dialect::Mysql => writer.on_duplicate_key(columns, conflict),
            Dialect::Postgres | Dialect::Sqlite => writer.on_conflict(columns, conflict),
        }
    }
    writer.query
}

/// A statement whose parameters were found among `names`.
///
/// # Errors
/// A parameter that is not among them.
pub(super) fn statement(dialect: Dialect, pieces: &[Piece<'_>], names: &[&str]) -> Result<Query, String> {
    let mut writer = Writer::new(dialect);
    for piece in pieces {
        match piece {
            Piece::Sql(sql) => writer.text(sql),
            Piece::Param(name) => {
                let at = names.iter().position(|known| known == name);
                writer.value(at.ok_or_else(|| format!("has `:{name}`, which params does not give"))?);
            }
        }
    }
    Ok(writer.query)
}

struct Writer {
    dialect: Dialect,
    query: Query,
}

impl Writer {
    fn new(dialect: Dialect) -> Self {
        let query = Query {
            text: String::new(),
            order: Vec::new(),
        };
        Self { dialect, query }
    }

    fn text(&mut self, sql: &str) {
        self.query.text.push_str(sql);
    }

    fn name(&mut self, name: &Name) {
        let quote = if self.dialect == Dialect::Mysql { '`' } else { '"' };
        for (at, part) in name.0.iter().enumerate() {
            let dot = if at > 0 { "." } else { "" };
            self.text(&format!("{dot}{quote}{part}{quote}"));
        }
    }

    /// A place for the value with this number. MySQL's places have no numbers of their own.
    fn value(&mut self, number: usize) {
        let place = match (self.dialect, self.query.order.iter().position(|known| *known == number)) {
            (Dialect::Mysql, _) | (_, None) => {
                self.query.order.push(number);
                self.query.order.len()
            }
            (_, Some(place)) => place + 1,
        };
        match self.dialect {
            Dialect::Postgres => self.text(&format!("${place}")),
            Dialect::Sqlite => self.text(&format!("?{place}")),
            Dialect::Mysql => self.text("?"),
        }
    }

    fn list(&mut self, columns: &[Name], mut write: impl FnMut(&mut Self, usize, &Name)) {
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                self.text(", ");
            }
            write(self, at, column);
        }
    }

    fn on_conflict(&mut self, columns: &[Name], conflict: Conflict<'_>) {
        let key: Vec<Name> = conflict.key.iter().map(|at| columns[*at].clone()).collect();
        let others = others(columns, conflict);
        self.text(" ON CONFLICT (");
        self.list(&key, |writer, _, column| writer.name(column));
        if others.is_empty() {
            self.text(") DO NOTHING");
            return;
        }
        self.text(") DO UPDATE SET ");
        self.list(&others, |writer, _, column| {
            writer.name(column);
            writer.text(" = excluded.");
            writer.name(column);
        });
        if let Some(newer) = conflict.newer.map(|at| &columns[at]) {
            self.text(" WHERE kept.");
            self.name(newer);
            self.text(" IS NULL OR kept.");
            self.name(newer);
            self.text(" < excluded.");
            self.name(newer);
        }
    }

    /// MySQL looks at every unique key of the table, and assigns from left to right: what is compared comes last.
    fn on_duplicate_key(&mut self, columns: &[Name], conflict: Conflict<'_>) {
        let newer = conflict.newer.map(|at| columns[at].clone());
        let mut others = others(columns, conflict);
        others.sort_by_key(|column| Some(column) == newer.as_ref());
        if others.is_empty() {
            // Nothing to change: a key keeps itself.
            let key: Vec<Name> = conflict.key.iter().take(1).map(|at| columns[*at].clone()).collect();
            self.text(" ON DUPLICATE KEY UPDATE ");
            self.list(&key, |writer, _, column| {
                writer.name(column);
                writer.text(" = ");
                writer.name(column);
            });
            return;
        }
        self.text(" ON DUPLICATE KEY UPDATE ");
        self.list(&others, |writer, _, column| {
            writer.name(column);
            writer.text(" = ");
            if let Some(newer) = &newer {
                writer.text("IF(");
                writer.name(newer);
                writer.text(" IS NULL OR VALUES(");
                writer.name(newer);
                writer.text(") > ");
                writer.name(newer);
                writer.text(", VALUES(");
                writer.name(column);
                writer.text("), ");
                writer.name(column);
                writer.text(")");
            } else {
                writer.text("VALUES(");
                writer.name(column);
                writer.text(")");
            }
        });
    }
}

/// The columns that are not of the key.
fn others(columns: &[Name], conflict: Conflict<'_>) -> Vec<Name> {
    let others = columns.iter().enumerate();
    others
        .filter(|(at, _)| !conflict.key.contains(at))
        .map(|(_, column)| column.clone())
        .collect()
}
