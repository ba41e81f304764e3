//! A statement as its author wrote it: SQL with `:name` where a value goes.
//!
//! It is read only as far as it takes to tell a parameter from a quoted text, a comment or a cast, and one statement from two.

use super::query::Dialect;

/// The longest statement, in bytes.
const STATEMENT_BYTES_MAX: usize = 64 * 1_024;

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Sql(&'a str),
    Param(&'a str),
}

/// Takes a statement apart.
///
/// # Errors
/// What is wrong and what to do.
pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Vec<Piece<'_>>, String> {
    if text.len() > STATEMENT_BYTES_MAX {
        return Err(format!(
            "has {} bytes; a statement has at most {STATEMENT_BYTES_MAX}",
            text.len()
        ));
    }
    if text.contains('\0') {
        return Err("holds a zero byte; remove it".to_owned());
    }
    let mut reader = Reader {
        text,
        dialect,
        at: 0,
        taken: 0,
        pieces: Vec::new(),
    };
    reader.read()?;
    reader.sql_until(text.len());
    if !reader
        .pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Sql(sql) if !sql.trim().is_empty()))
    {
        return Err("is empty".to_owned());
    }
    Ok(reader.pieces)
}

struct Reader<'a> {
    text: &'a str,
    dialect: Dialect,
    /// Where we are, in bytes.
    at: usize,
    /// Up to where pieces were made.
    taken: usize,
    pieces: Vec<Piece<'a>>,
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(first) = self.byte(0) {
            match first {
                b'\'' => {
                    let escapes = self.dialect == Dialect::Mysql || self.is_escape_string();
                    self.quoted(b'\'', escapes)?;
                }
                b'"' => self.quoted(b'"', self.dialect == Dialect::Mysql)?,
                b'`' if self.dialect != Dialect::Postgres => self.quoted(b'`', false)?,
                b'[' if self.dialect == Dialect::Sqlite => self.quoted(b']', false)?,
                b'-' if self.is_line_comment() => self.line_comment(),
                b'#' if self.dialect == Dialect::Mysql => self.line_comment(),
                b'/' if self.byte(1) == Some(b'*') => self.block_comment()?,
                b'$' if self.dialect == Dialect::Postgres && self.dollar_quoted()? => {}
                b'$' if self.dialect != Dialect::Mysql => self.foreign_parameter("$")?,
                b'?' if self.dialect != Dialect::Postgres => self.foreign_parameter("?")?,
                b'@' if self.dialect == Dialect::Sqlite => self.foreign_parameter("@")?,
                b':' if self.byte(1) == Some(b':') => self.at += 2,
                b':' => self.parameter(),
                b';' => self.end()?,
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn before(&self, back: usize) -> Option<u8> {
        self.at
            .checked_sub(back)
            .and_then(|at| self.text.as_bytes().get(at))
            .copied()
    }

    fn sql_until(&mut self, end: usize) {
        if let Some(sql) = self.text.get(self.taken..end).filter(|sql| !sql.is_empty()) {
            self.pieces.push(Piece::Sql(sql));
        }
        self.taken = end;
    }

    /// Whether the quotation mark here follows PostgreSQL's `E`.
    fn is_escape_string(&self) -> bool {
        self.dialect == Dialect::Postgres
            && self.before(1).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'e'))
            && !self.before(2).is_some_and(is_word)
    }

    /// A quoted text, up to its closing mark; a doubled mark stands for itself.
    fn quoted(&mut self, close: u8, escapes: bool) -> Result<(), String> {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            self.at += 1;
            if byte == b'\\' && escapes {
                self.at += 1;
            } else if byte == close {
                if close == b']' || self.byte(0) != Some(close) {
                    return Ok(());
                }
                self.at += 1;
            }
        }
        Err(format!(
            "has a `{}` at byte {start} that is never closed",
            char::from(close)
        ))
    }

    fn is_line_comment(&self) -> bool {
        let dashes = self.byte(1) == Some(b'-');
        // MySQL takes `1--1` for a sum.
        dashes && (self.dialect != Dialect::Mysql || self.byte(2).is_none_or(|byte| byte.is_ascii_whitespace()))
    }

    fn line_comment(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    fn block_comment(&mut self) -> Result<(), String> {
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.byte(0) {
            match (byte, self.byte(1)) {
                (b'/', Some(b'*')) if depth == 0 || self.dialect == Dialect::Postgres => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => self.at += 1,
            }
        }
        Err(format!("has a comment at byte {start} that is never closed"))
    }

    /// `$tag$ … $tag$`; false when this dollar sign begins none.
    fn dollar_quoted(&mut self) -> Result<bool, String> {
        if self.before(1).is_some_and(is_word) {
            self.at += 1;
            return Ok(true);
        }
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let tag = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map(|end| &rest[..end]);
        let Some(tag) =
            tag.filter(|tag| rest[tag.len()..].starts_with('$') && !tag.starts_with(|c: char| c.is_ascii_digit()))
        else {
            return Ok(false);
        };
        let mark = format!("${tag}$");
        let body = &rest[tag.len() + 1..];
        match body.find(&mark) {
            Some(end) => {
                self.at += mark.len() + end + mark.len();
                Ok(true)
            }
            None => Err(format!("has a `{mark}` that is never closed")),
        }
    }

    /// A placeholder of the database itself, whose number would clash with ours.
    fn foreign_parameter(&mut self, mark: &str) -> Result<(), String> {
        let follows = self.byte(1);
        let is_parameter = match mark {
            "?" => true,
            "$" if self.dialect == Dialect::Postgres => follows.is_some_and(|byte| byte.is_ascii_digit()),
            _ => follows.is_some_and(is_word),
        };
        if is_parameter && !self.before(1).is_some_and(is_word) {
            return Err(format!(
                "has the placeholder `{mark}` at byte {}; write `:name` and give it in params",
                self.at
            ));
        }
        self.at += 1;
        Ok(())
    }

    fn parameter(&mut self) {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            self.at += 1;
            return;
        }
        self.sql_until(self.at);
        self.pieces.push(Piece::Param(name));
        self.at += 1 + end;
        self.taken = self.at;
    }

    /// A semicolon: only white space may follow, and it is left out.
    fn end(&mut self) -> Result<(), String> {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        if !rest.trim().is_empty() {
            return Err(format!("goes on after the `;` at byte {}; give one statement", self.at));
        }
        self.sql_until(self.at);
        self.at = self.text.len();
        self.taken = self.at;
        Ok(())
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dialect::{Mysql, Postgres, Sqlite};

    fn params(text: &str, dialect: Dialect) -> Vec<&str> {
        let params = parse(text, dialect).unwrap();
        params
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Param(name) => Some(name),
                Piece::Sql(_) => None,
            })
            .collect()
    }

    #[test]
    fn parameters_are_found_and_nothing_else_is_one() {
        for dialect in [Postgres, Sqlite, Mysql] {
            assert_eq!(params("update a set b = :b, c=:c where d=:b", dialect), ["b", "c", "b"]);
            assert_eq!(
                params("select ':a', \"x:b\", 'it''s :c' -- :d\n /* :e */ , :f", dialect),
                ["f"]
            );
            assert_eq!(params("select a[1:2], 'x' : y, 12:30, :ok", dialect), ["ok"]);
        }
        assert_eq!(params("select :a::jsonb, b::text", Postgres), ["a"]);
        assert_eq!(params(r"select E'\':a', e'\\', '\', :b", Postgres), ["b"]);
        assert_eq!(params("select $$ :a $$, $x$ :b $$ $x$, a$b, :c", Postgres), ["c"]);
        assert_eq!(params("select /* /* :a */ :b */ :c", Postgres), ["c"]);
        assert_eq!(params("select data ? 'a', data ?| :keys", Postgres), ["keys"]);
        assert_eq!(params("select [a:b], `c:d`, :e", Sqlite), ["e"]);
        assert_eq!(params(r#"select 'a\':b', "c\":d", `e:f`, @g := :h # :i"#, Mysql), ["h"]);
        assert_eq!(params("select 1--:a\n, :b -- :c", Mysql), ["a", "b"]);
        assert_eq!(params("select 'ä:b', :c", Sqlite), ["c"]);
    }

    #[test]
    fn the_pieces_are_the_statement_without_its_last_semicolon() {
        let text = "insert into t values (:a, ';') ;\n ";
        let whole: String = parse(text, Sqlite)
            .unwrap()
            .into_iter()
            .map(|piece| match piece {
                Piece::Sql(sql) => sql.to_owned(),
                Piece::Param(name) => format!("<{name}>"),
            })
            .collect();
        assert_eq!(whole, "insert into t values (<a>, ';') ");
    }

    #[test]
    fn what_is_not_one_whole_statement_is_refused() {
        for (text, dialect, why) in [
            ("select 1; drop table t", Postgres, "one statement"),
            ("select 1;;", Postgres, "one statement"),
            ("select 'a", Postgres, "never closed"),
            ("select $$a", Postgres, "never closed"),
            ("select /* a", Mysql, "never closed"),
            ("select \"a", Sqlite, "never closed"),
            (" ", Sqlite, "empty"),
            (";", Sqlite, "empty"),
            ("select $1", Postgres, "placeholder `$`"),
            ("select ?", Mysql, "placeholder `?`"),
            ("select ?1", Sqlite, "placeholder `?`"),
            ("select @a", Sqlite, "placeholder `@`"),
            ("select $a", Sqlite, "placeholder `$`"),
            ("select \0", Postgres, "zero byte"),
        ] {
            let error = parse(text, dialect).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
