//! The signature base: what is signed, line by line (RFC 9421 section 2.5).

use super::HttpMismatch;
use super::fields::{Bare, Item, Params, write_inner, write_item};

/// A request as it is sent or came.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method, in its case.
    pub method: &'a str,
    /// The whole URL: scheme, authority, path and query, without a fragment. Behind a proxy, the URL that the sender called.
    pub target_uri: &'a str,
    /// The headers, names in any case; a name may occur several times.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Request<'_> {
    /// A header's value: those of all lines with this name, trimmed and joined (section 2.1).
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let lines = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let values: Vec<&str> = lines.map(|(_, value)| value.trim_matches([' ', '\t'])).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Scheme, authority, path and query of the target.
    pub(super) fn target(&self) -> (&str, &str, &str, &str) {
        let (scheme, rest) = self.target_uri.split_once("://").unwrap_or(("", self.target_uri));
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        (scheme, authority, path, query)
    }

    /// The value of a derived component (section 2.2).
    fn derived(&self, name: &str) -> Option<String> {
        let (scheme, authority, path, query) = self.target();
        let path = if path.is_empty() { "/" } else { path };
        Some(match name {
            "@method" => self.method.to_owned(),
            "@target-uri" => self.target_uri.to_owned(),
            "@scheme" => scheme.to_ascii_lowercase(),
            "@authority" => {
                let default = if scheme.eq_ignore_ascii_case("http") {
                    ":80"
                } else {
                    ":443"
                };
                authority
                    .strip_suffix(default)
                    .unwrap_or(authority)
                    .to_ascii_lowercase()
            }
            "@path" => path.to_owned(),
            "@query" if query.is_empty() => "?".to_owned(),
            "@query" => query.to_owned(),
            "@request-target" => format!("{path}{query}"),
            _ => return None,
        })
    }
}

/// A component that is covered, with its value in this request.
#[derive(Debug)]
pub(super) struct Component {
    pub item: Item,
    value: String,
}

impl Component {
    /// Looks the value up.
    pub(super) fn of(request: &Request<'_>, item: Item) -> Result<Self, HttpMismatch> {
        let unsupported = |item: &Item| {
            let mut component = String::new();
            write_item(item, &mut component);
            HttpMismatch::Unsupported { component }
        };
        let Bare::String(name) = &item.value else {
            return Err(unsupported(&item));
        };
        if !item.params.is_empty() || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(unsupported(&item));
        }
        let value = if name.starts_with('@') {
            request.derived(name).ok_or_else(|| unsupported(&item))?
        } else {
            let missing = || HttpMismatch::MissingComponent {
                name: super::super::signatures::shorten(name),
            };
            request.header(name).ok_or_else(missing)?
        };
        // A line break would let one component pass for two.
        if value.contains(['\r', '\n']) {
            return Err(unsupported(&item));
        }
        Ok(Self { item, value })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        match &self.item.value {
            Bare::String(name) => name,
            _ => "",
        }
    }
}

/// The base, and the inner list that ends it and stands in `signature-input`.
pub(super) fn signature_base(covered: &[Component], params: &Params) -> (String, String) {
    let mut base = String::with_capacity(512);
    for component in covered {
        write_item(&component.item, &mut base);
        base.push_str(": ");
        base.push_str(&component.value);
        base.push('\n');
    }
    let mut input = String::with_capacity(256);
    write_inner(covered.iter().map(|component| &component.item), params, &mut input);
    base.push_str("\"@signature-params\": ");
    base.push_str(&input);
    (base, input)
}
