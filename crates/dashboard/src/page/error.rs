//! The page that says why something was not done.

use askama::Template;

use crate::{ask::Failure, frame::Frame};

/// What was refused, in the API's words.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage<'a> {
    pub frame: Frame,
    pub failure: &'a Failure,
}

impl ErrorPage<'_> {
    fn title(&self) -> &'static str {
        match self.failure.status.as_u16() {
            404 => "There is no such thing here",
            403 => "Not allowed",
            409 | 422 => "That cannot be done as it is",
            429 => "Too much at once",
            500.. => "Something went wrong here",
            _ => "Not possible",
        }
    }

    /// Whether the code has a page of its own.
    fn has_docs(&self) -> bool {
        !self.failure.code.is_empty() && self.failure.code != "foreign_form"
    }
}
