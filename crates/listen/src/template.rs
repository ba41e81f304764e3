//! What is signed, as a text with places: `{ts}.{body}`, `v0:{ts}:{body}`, `{method}{url:decoded}{body}{ts}`.
//!
//! The rows of the table and the generic forms use the same language. It has no conditions and no escapes: a brace that opens
//! no known place is an error of the settings.

use std::borrow::Cow;

use crate::refused::Refused;
use crate::request::Seen;

/// The values of the places that the recipe knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values<'a> {
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) ts: Option<Cow<'a, str>>,
}

/// The pieces of the content, so that a hash can be fed without copying the body.
pub(crate) type Pieces<'a> = Vec<Cow<'a, [u8]>>;

enum Part<'a> {
    Literal(&'a str),
    Place(&'a str),
}

fn parts(template: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((name, after)) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            rest = after;
            return Some(Part::Place(name));
        }
        let skip = usize::from(rest.starts_with('{'));
        let end = rest[skip..].find('{').map_or(rest.len(), |at| at + skip);
        let (literal, after) = rest.split_at(end);
        rest = after;
        Some(Part::Literal(literal))
    })
}

/// Whether every place is known, and the body is among them.
pub(crate) fn check(template: &str) -> Result<(), String> {
    let mut body = false;
    for part in parts(template) {
        match part {
            Part::Literal(text) if text.starts_with('{') => return Err("a `{` is never closed".into()),
            Part::Literal(_) => {}
            Part::Place(name) => {
                let known = matches!(name, "id" | "ts" | "body" | "url" | "url:decoded" | "method")
                    || ["header:", "json:", "query:"]
                        .iter()
                        .any(|kind| name.strip_prefix(kind).is_some_and(|rest| !rest.is_empty()));
                if !known {
                    return Err(format!(
                        "{{{name}}} is no place; there are {{id}}, {{ts}}, {{body}}, {{url}}, {{url:decoded}}, {{method}}, \
                         {{header:NAME}}, {{query:NAME}} and {{json:/POINTER}}"
                    ));
                }
                body |= name == "body";
            }
        }
    }
    if body {
        Ok(())
    } else {
        Err("{body} is not part of it, so anybody could change the body".into())
    }
}

/// Whether a place of that name is used.
pub(crate) fn uses(template: &str, place: &str) -> bool {
    parts(template).any(|part| matches!(part, Part::Place(name) if name == place))
}

/// Fills the places in.
///
/// # Errors
/// [`crate::Reason::Missing`] names the place that has no value in this request.
pub(crate) fn fill<'a>(template: &'a str, seen: &Seen<'a>, values: &Values<'a>) -> Result<Pieces<'a>, Refused> {
    let request = seen.request;
    let text = |value: Option<Cow<'a, str>>, what: String| match value {
        Some(Cow::Borrowed(text)) => Ok(Cow::Borrowed(text.as_bytes())),
        Some(Cow::Owned(text)) => Ok(Cow::Owned(text.into_bytes())),
        None => Err(Refused::missing(what)),
    };
    parts(template)
        .map(|part| match part {
            Part::Literal(literal) => Ok(Cow::Borrowed(literal.as_bytes())),
            Part::Place("body") => Ok(Cow::Borrowed(request.body)),
            Part::Place("url") => Ok(Cow::Borrowed(request.url.as_bytes())),
            Part::Place("url:decoded") => Ok(Cow::Owned(decode_url(request.url).into_bytes())),
            Part::Place("method") => Ok(Cow::Borrowed(request.method.as_bytes())),
            Part::Place("id") => text(values.id.clone(), "the message's id".into()),
            Part::Place("ts") => text(values.ts.clone(), "the time of signing".into()),
            Part::Place(name) => {
                if let Some(header) = name.strip_prefix("header:") {
                    text(seen.header(header)?.map(Cow::Borrowed), format!("header {header}"))
                } else if let Some(pointer) = name.strip_prefix("json:") {
                    let value = seen.json_text(pointer).map(Cow::Owned);
                    text(value, format!("{pointer} in the JSON body"))
                } else if let Some(parameter) = name.strip_prefix("query:") {
                    text(
                        seen.query(parameter).map(Cow::Owned),
                        format!("query parameter {parameter}"),
                    )
                } else {
                    text(None, format!("{{{name}}}"))
                }
            }
        })
        .collect()
}

/// The escapes that HubSpot turns back before it signs a URL (HubSpot, "Validate requests", v3).
fn decode_url(url: &str) -> String {
    const ESCAPES: &[(&str, &str)] = &[
        ("%3A", ":"),
        ("%2F", "/"),
        ("%3F", "?"),
        ("%40", "@"),
        ("%21", "!"),
        ("%24", "$"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%3B", ";"),
    ];
    let mut out = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let escape = from
            .get(..3)
            .and_then(|escape| ESCAPES.iter().find(|(code, _)| code.eq_ignore_ascii_case(escape)));
        match escape {
            Some((_, plain)) => {
                out.push_str(plain);
                rest = &from[3..];
            }
            None => {
                out.push('%');
                rest = &from[1..];
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_known_places_and_the_body() {
        assert_eq!(check("{ts}.{body}"), Ok(()));
        assert_eq!(check("v0:{ts}:{body}{header:x-a}{json:/a/b}"), Ok(()));
        for wrong in ["{ts}", "{ts}.{bodi}{body}", "{body}{header:}", "{body} {ts"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_listed_escapes_of_a_url_are_decoded() {
        assert_eq!(
            decode_url("https://h/a%2Fb?c=%40d%20e%3b%zz%"),
            "https://h/a/b?c=@d%20e;%zz%"
        );
    }
}
