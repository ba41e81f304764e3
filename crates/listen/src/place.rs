//! Where something stands in a request.

use std::borrow::Cow;
use std::fmt;

use crate::refused::Refused;
use crate::request::Seen;

/// A place that holds one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// A header.
    Header(&'a str),
    /// Headers `name1`, `name2` and so on.
    Numbered(&'a str),
    /// One entry of a header: in `t=1,v1=a`, the entry `t=` of the header split at `,`.
    Entry(&'a str, char, &'a str),
    /// A parameter of the query.
    Query(&'a str),
    /// A pointer into the JSON body (RFC 6901).
    Json(&'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Numbered(name) => write!(f, "header {name}1"),
            Self::Entry(name, _, entry) => write!(f, "`{entry}` in header {name}"),
            Self::Query(name) => write!(f, "query parameter {name}"),
            Self::Json(pointer) => write!(f, "{pointer} in the JSON body"),
        }
    }
}

impl<'a> Place<'a> {
    /// Reads `header:x-ts`, `query:sig`, `json:/a/b` or `entry:x-signature,t=`, as settings write it.
    ///
    /// # Errors
    /// Says which forms there are.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let place = match text.split_once(':') {
            Some(("header", name)) => Some(Self::Header(name)),
            Some(("query", name)) => Some(Self::Query(name)),
            Some(("json", pointer)) if pointer.starts_with('/') => Some(Self::Json(pointer)),
            Some(("entry", rest)) => rest
                .find([',', ';', ' '])
                .and_then(|at| Some((&rest[..at], rest[at..].chars().next()?, &rest[at + 1..])))
                .filter(|(name, _, entry)| !name.is_empty() && !entry.is_empty())
                .map(|(name, separator, entry)| Self::Entry(name, separator, entry)),
            _ => None,
        };
        place
            .filter(|place| !matches!(place, Self::Header("") | Self::Query("")))
            .ok_or_else(|| {
                format!("`{text}` is no place; write header:NAME, query:NAME, json:/POINTER or entry:HEADER,t=")
            })
    }

    /// The texts that stand there; several only for [`Self::Numbered`].
    pub(crate) fn all<'r>(&self, seen: &Seen<'r>) -> Result<Vec<Cow<'r, str>>, Refused> {
        match *self {
            Self::Numbered(name) => {
                let mut found = Vec::new();
                for number in 1..=16 {
                    match seen.header(&format!("{name}{number}"))? {
                        Some(value) => found.push(Cow::Borrowed(value)),
                        None => break,
                    }
                }
                Ok(found)
            }
            _ => Ok(self.one(seen)?.into_iter().collect()),
        }
    }

    /// The one text that stands there.
    pub(crate) fn one<'r>(&self, seen: &Seen<'r>) -> Result<Option<Cow<'r, str>>, Refused> {
        Ok(match *self {
            Self::Header(name) => seen.header(name)?.map(Cow::Borrowed),
            Self::Numbered(name) => seen.header(&format!("{name}1"))?.map(Cow::Borrowed),
            Self::Entry(name, separator, entry) => seen.header(name)?.and_then(|value| {
                let mut entries = value.split(separator).map(str::trim);
                entries.find_map(|text| text.strip_prefix(entry)).map(Cow::Borrowed)
            }),
            Self::Query(name) => seen.query(name).map(Cow::Owned),
            Self::Json(pointer) => seen.json_text(pointer).map(Cow::Owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_settings_write_them() {
        assert_eq!(Place::parse("header:x-ts"), Ok(Place::Header("x-ts")));
        assert_eq!(Place::parse("entry:x-sig,t="), Ok(Place::Entry("x-sig", ',', "t=")));
        assert_eq!(Place::parse("json:/a/b"), Ok(Place::Json("/a/b")));
        for wrong in ["x-ts", "header:", "json:a", "entry:x-sig", "entry:,t="] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
