//! The path of a request: text of the author's, with values of the message that stay in their segments.

use bellwire_template::MessageScope;

use crate::{PlanError, Problem, text::Text};

/// A template for what follows the URL's own path. Values in it are percent-encoded.
#[derive(Debug)]
pub(super) struct Path(Text);

impl Path {
    pub fn new(text: Text) -> Result<Self, Problem> {
        let refused = |c: char| c == '#' || c == '\\' || c.is_control();
        if text.is_constant() && text.source().contains(refused) {
            return Err(Problem::at(
                ["path"],
                "a path has no `#`, no backslash and no line break",
            ));
        }
        Ok(Self(text))
    }

    pub fn source(&self) -> &str {
        self.0.source()
    }

    /// Adds the path for a message to the URL, in front of the URL's own query.
    pub fn append(&self, url: &mut String, scope: &MessageScope<'_>) -> Result<(), PlanError> {
        let rendered = self.0.render("path", scope)?;
        let (path, query) = match rendered.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*rendered, None),
        };
        let refused = |why: &str| Err(PlanError::new("path", format!("`{rendered}` {why}; nothing was sent")));
        if rendered.contains(['#', '\\']) || rendered.contains(char::is_control) {
            return refused("has a `#`, a backslash or a line break");
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.split('/').any(is_dots) {
            return refused("has a segment `.` or `..`, which would lead elsewhere");
        }
        // An empty value leaves a path that means something else: `/orders/` is not `/orders/7`.
        let own = self.source().split('?').next().unwrap_or_default();
        if path.contains("//") && !own.contains("//") || path.ends_with('/') && !own.ends_with('/') {
            return refused("has an empty segment where a value should stand");
        }
        let own_query = url.find('?').map(|at| url.split_off(at));
        if url.ends_with('/') {
            url.pop();
        }
        url.push('/');
        url.push_str(path);
        match (own_query, query) {
            (Some(own), Some(query)) => url.extend([own.as_str(), "&", query]),
            (Some(own), None) => url.push_str(&own),
            (None, Some(query)) => url.extend(["?", query]),
            (None, None) => {}
        }
        Ok(())
    }
}

/// Whether the parser of URLs would take the segment for a step up or for nothing (WHATWG URL, section 4.1).
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}
