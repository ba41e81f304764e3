//! The API's errors, decoded for people.
//!
//! Called by the client for every answer that is not 2xx. Two shapes exist: `{"code","detail","docs"}`, and for 422 a list
//! of `{"loc","msg","type"}`. Anything else (a proxy's page) is shown as far as it is text.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::cli::pretty;

/// An answer of the API that is not 2xx.
#[derive(Debug)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The API's code, such as `not_found`; none when the answer did not come from the API.
    pub code: Option<String>,
    /// What is wrong, one line each.
    pub details: Vec<String>,
    /// Where the error is explained.
    pub docs: Option<String>,
    /// The answer's body as it came.
    pub body: String,
    /// Whether the body has one of the API's shapes.
    pub is_from_api: bool,
    hint: Option<&'static str>,
}

#[derive(Deserialize)]
struct Wire {
    code: Option<String>,
    #[serde(default)]
    detail: Value,
    docs: Option<String>,
}

impl ApiError {
    /// Decodes an answer's body; never fails.
    pub fn decode(status: u16, body: &str) -> Self {
        let mut error = Self {
            status,
            code: None,
            details: Vec::new(),
            docs: None,
            body: body.to_owned(),
            is_from_api: false,
            hint: None,
        };
        match serde_json::from_str::<Wire>(body) {
            Ok(wire) => {
                error.is_from_api = wire.code.is_some() || !wire.detail.is_null();
                error.code = wire.code;
                error.docs = wire.docs;
                error.details = match wire.detail {
                    Value::Array(items) => items.iter().map(invalid).collect(),
                    Value::String(text) => vec![text],
                    Value::Null => Vec::new(),
                    other => vec![other.to_string()],
                };
            }
            Err(_) => {
                let text = pretty::line(body, 200);
                let text = if text.is_empty() {
                    "an empty answer".to_owned()
                } else {
                    text
                };
                error.details.push(format!("not an answer of the Bellwire API: {text}"));
            }
        }
        error
    }

    /// Names the server in a link that has none: people open it elsewhere.
    pub fn at_server(mut self, base: &str) -> Self {
        self.docs = self.docs.map(|docs| match docs.starts_with('/') {
            true => format!("{base}{docs}"),
            false => docs,
        });
        self
    }

    /// Adds what to do about it.
    pub fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

/// One item of a 422: `payload.amount: must be a number`.
fn invalid(item: &Value) -> String {
    let steps: Vec<String> = item
        .get("loc")
        .and_then(Value::as_array)
        .map(|loc| {
            loc.iter()
                .map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned))
                .collect()
        })
        .unwrap_or_default();
    // `body` says nothing that the command line's user does not know.
    let steps = if steps.len() > 1 && steps.first().is_some_and(|step| step == "body") {
        &steps[1..]
    } else {
        &steps[..]
    };
    let text = item
        .get("msg")
        .and_then(Value::as_str)
        .map_or_else(|| item.to_string(), str::to_owned);
    if steps.is_empty() {
        text
    } else {
        format!("{}: {text}", steps.join("."))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match (&self.code, self.status) {
            (Some(code), _) => code.as_str(),
            (None, 422) => "invalid",
            (None, _) => "error",
        };
        write!(f, "{} ({})", pretty::line(code, 80), self.status)?;
        match &self.details[..] {
            [] => {}
            [one] => write!(f, ": {}", pretty::printable(one))?,
            many => many
                .iter()
                .try_for_each(|detail| write!(f, "\n  {}", pretty::printable(detail)))?,
        }
        if let Some(docs) = &self.docs {
            write!(f, "\nsee {}", pretty::line(docs, 500))?;
        }
        if let Some(hint) = self.hint {
            write!(f, "\n{hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_invalid_fields_names_each() {
        let body = r#"{"detail":[{"loc":["body","url"],"msg":"is not a URL","type":"value_error"},
                                 {"loc":["query","limit"],"msg":"must be at most 250","type":"value_error"},
                                 {"loc":["body","channels",0],"msg":"is too long","type":"value_error"}]}"#;
        let text = ApiError::decode(422, body).to_string();
        assert_eq!(
            text,
            "invalid (422)\n  url: is not a URL\n  query.limit: must be at most 250\n  channels.0: is too long"
        );
    }

    #[test]
    fn a_single_invalid_field_is_one_line() {
        let body = r#"{"detail":[{"loc":["body"],"msg":"is not JSON","type":"json"}],"docs":"https://e/x"}"#;
        assert_eq!(
            ApiError::decode(422, body).to_string(),
            "invalid (422): body: is not JSON\nsee https://e/x"
        );
    }

    #[test]
    fn an_answer_from_something_else_is_said_to_be_that() {
        let text = ApiError::decode(502, "<html>\n<b>Bad\x1b[31m gateway</b>").to_string();
        assert!(
            text.starts_with("error (502): not an answer of the Bellwire API: <html> <b>Bad"),
            "{text}"
        );
        assert!(!text.contains('\x1b'));
        assert!(ApiError::decode(500, "").to_string().contains("an empty answer"));
    }
}
