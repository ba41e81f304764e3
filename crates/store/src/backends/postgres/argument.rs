//! Values of statements, with the types that the server is told.
//!
//! Statements have no names and are never prepared, so that a pooler between us and the server (PgBouncer in transaction mode)
//! may give each transaction another connection. So each value says its own type.

use std::{borrow::Cow, error::Error};

use bytes::{Bytes, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A value with a type in the server.
pub(super) trait Argument: ToSql + Sync {
    /// Its type.
    const TYPE: Type;
    /// That of a list of them.
    const LIST: Type;
}

macro_rules! arguments {
    ($($value:ty = $one:ident, $list:ident;)*) => {$(
        impl Argument for $value {
            const TYPE: Type = Type::$one;
            const LIST: Type = Type::$list;
        }
    )*};
}

arguments! {
    bool = BOOL, BOOL_ARRAY;
    i16 = INT2, INT2_ARRAY;
    i32 = INT4, INT4_ARRAY;
    i64 = INT8, INT8_ARRAY;
    &str = TEXT, TEXT_ARRAY;
    String = TEXT, TEXT_ARRAY;
    Cow<'_, str> = TEXT, TEXT_ARRAY;
    &[u8] = BYTEA, BYTEA_ARRAY;
    Vec<u8> = BYTEA, BYTEA_ARRAY;
    Raw = BYTEA, BYTEA_ARRAY;
}

impl<T: Argument> Argument for Option<T> {
    const TYPE: Type = T::TYPE;
    const LIST: Type = T::LIST;
}

impl<T: Argument> Argument for Vec<T> {
    const TYPE: Type = T::LIST;
    // There are no lists of lists here.
    const LIST: Type = T::LIST;
}

/// Bytes that are not copied before they are sent.
#[derive(Debug, Clone)]
pub(super) struct Raw(pub Bytes);

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::BYTEA
    }

    to_sql_checked!();
}

/// The type of a value.
pub(super) fn type_of<T: Argument>(_: &T) -> Type {
    T::TYPE
}

/// Values as a statement takes them.
macro_rules! args {
    ($($value:expr),* $(,)?) => {
        &[$((&$value as &(dyn tokio_postgres::types::ToSql + Sync), $crate::backends::postgres::argument::type_of(&$value))),*]
    };
}

/// Values that a statement keeps until it is sent.
macro_rules! kept {
    ($($value:expr),* $(,)?) => {
        vec![$({
            let value = $value;
            let its_type = $crate::backends::postgres::argument::type_of(&value);
            (Box::new(value) as Box<dyn tokio_postgres::types::ToSql + Sync + Send>, its_type)
        }),*]
    };
}

pub(super) use {args, kept};

/// A text as PostgreSQL can keep it: it cannot keep U+0000. Texts stay in the order of their bytes.
pub(super) fn text(value: &str) -> Cow<'_, str> {
    if !value.bytes().any(|byte| byte <= 1) {
        return Cow::Borrowed(value);
    }
    let mut kept = String::with_capacity(value.len() + 2);
    for c in value.chars() {
        match c {
            '\0' => kept.push_str("\u{1}0"),
            '\u{1}' => kept.push_str("\u{1}1"),
            c => kept.push(c),
        }
    }
    Cow::Owned(kept)
}

/// [`text`], to be kept.
pub(super) fn owned(value: &str) -> String {
    text(value).into_owned()
}

/// What a text was before [`text`].
pub(super) fn plain(kept: String) -> String {
    if kept.contains('\u{1}') {
        kept.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}")
    } else {
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_can_be_kept_and_stays_in_order() {
        let mut texts = [
            "", "\0", "\0\0", "\0a", "\u{1}", "\u{1}\0", "\u{1}0", "\u{2}", "a", "a\0b", "a\u{1}", "ab",
        ];
        texts.sort_unstable();
        let kept: Vec<String> = texts.iter().map(|text| owned(text)).collect();
        assert!(kept.is_sorted());
        assert!(kept.iter().all(|kept| !kept.contains('\0')));
        let again: Vec<String> = kept.into_iter().map(plain).collect();
        assert_eq!(again, texts);
    }
}
