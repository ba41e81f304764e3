//! `bellwire endpoint headers`: what is added to an endpoint's requests.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::EndpointArg;
use crate::cli::{Session, client::Query, exit::Failure, input, pretty};

/// `endpoint headers`.
#[derive(Args)]
pub struct HeadersArgs {
    #[command(flatten)]
    endpoint: EndpointArg,
    /// Add or change a header; repeat for more
    #[arg(long, value_name = "NAME: VALUE", value_parser = input::header)]
    set: Vec<(String, String)>,
    /// Remove a header; repeat for more
    #[arg(long, value_name = "NAME", conflicts_with = "replace")]
    remove: Vec<String>,
    /// Make those of --set the only ones
    #[arg(long)]
    replace: bool,
}

impl HeadersArgs {
    /// Changes what is to be changed, then shows what there is.
    ///
    /// # Errors
    /// Those of the requests.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let at = self.endpoint.path(&["headers"]);
        if self.replace {
            session
                .client
                .write(Method::PUT, &at, &json!({ "headers": input::pairs_object(&self.set) }))?;
        } else if !self.set.is_empty() || !self.remove.is_empty() {
            let mut headers = input::pairs_object(&self.set);
            for name in &self.remove {
                headers[name.to_ascii_lowercase()] = Value::Null;
            }
            session
                .client
                .write(Method::PATCH, &at, &json!({ "headers": headers }))?;
        }
        show(session, &at)
    }
}

/// Shows the headers at this path: one a line, and the names of those that are not shown.
///
/// # Errors
/// Those of the request.
pub fn show(session: &mut Session, at: &str) -> Result<(), Failure> {
    let answer = session.client.get(at, &Query::default())?;
    if session.out.is_json() {
        return session.out.raw(&answer.text);
    }
    let found: Value = answer.json()?;
    for (name, value) in found.get("headers").and_then(Value::as_object).into_iter().flatten() {
        session.out.line(&format!(
            "{}: {}",
            pretty::line(name, 200),
            pretty::line(value.as_str().unwrap_or_default(), 2_000)
        ))?;
    }
    let sensitive = found.get("sensitive").and_then(Value::as_array);
    for name in sensitive.into_iter().flatten().filter_map(Value::as_str) {
        session.out.line(&format!("{}: (not shown)", pretty::line(name, 200)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::cli::endpoint::tests::run;

    #[test]
    fn headers_are_changed_then_shown_without_the_sensitive_ones() {
        let line = [
            "headers", "ep_1", "--app", "a", "--set", "X-One: 1", "--remove", "X-Two",
        ];
        let shown = r#"{"headers":{"x-one":"1"},"sensitive":["authorization"]}"#;
        let (captured, seen) = run(&line, vec![(204, ""), (200, shown)]);
        assert_eq!(captured.text(), "x-one: 1\nauthorization: (not shown)\n");
        assert_eq!(seen[0].line, "PATCH /api/v1/app/a/endpoint/ep_1/headers");
        assert_eq!(seen[0].body, r#"{"headers":{"x-one":"1","x-two":null}}"#);
    }
}
