//! `secret` and `rotate` of `bellwire endpoint` and `bellwire operational-webhook`: an endpoint's signing secret. `endpoint` is its
//! path.

use std::time::Duration;

use http::Method;
use serde_json::{Map, Value, json};

use crate::cli::{Session, client::Query, exit::Failure};

/// Prints the signing secret alone, so that it can be handed on: `bellwire receive --secret "$(…)"`.
///
/// # Errors
/// Those of the request.
pub fn show(session: &mut Session, endpoint: &str) -> Result<(), Failure> {
    let answer = session.client.get(&format!("{endpoint}/secret"), &Query::default())?;
    if session.out.is_json() {
        return session.out.raw(&answer.text);
    }
    let secret: Value = answer.json()?;
    session.out.line(&text(&secret, "key"))
}

fn text(item: &Value, member: &str) -> String {
    item.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Gives the endpoint a new secret and prints it alone. The old one signs for `grace` longer; the server decides when
/// it is not given.
///
/// # Errors
/// Those of the requests.
pub fn rotate(
    session: &mut Session,
    endpoint: &str,
    key: Option<String>,
    grace: Option<Duration>,
) -> Result<(), Failure> {
    let mut body = Map::new();
    if let Some(key) = key {
        body.insert("key".into(), Value::String(key));
    }
    if let Some(grace) = grace {
        body.insert("gracePeriodSeconds".into(), json!(grace.as_secs()));
    }
    let answer = session
        .client
        .write(Method::POST, &format!("{endpoint}/secret/rotate"), &body)?;
    // A server that answers 204 has the new key to show as well.
    if answer.text.is_empty() {
        return show(session, endpoint);
    }
    if session.out.is_json() {
        return session.out.raw(&answer.text);
    }
    let secret: Value = answer.json()?;
    session.out.line(&text(&secret, "key"))
}

#[cfg(test)]
mod tests {
    use crate::cli::endpoint::tests::run;

    #[test]
    fn the_secret_is_printed_alone() {
        let (captured, _) = run(&["secret", "ep_1", "--app", "a"], vec![(200, r#"{"key":"whsec_abc"}"#)]);
        assert_eq!(captured.text(), "whsec_abc\n");
    }

    #[test]
    fn rotating_shows_the_new_key_from_either_kind_of_answer() {
        let line = ["rotate", "ep_1", "--app", "a", "--grace", "2h"];
        let (captured, seen) = run(&line, vec![(204, ""), (200, r#"{"key":"whsec_new"}"#)]);
        assert_eq!(captured.text(), "whsec_new\n");
        assert_eq!(seen[0].body, r#"{"gracePeriodSeconds":7200}"#);
        let (captured, seen) = run(&line, vec![(200, r#"{"key":"whsec_new"}"#)]);
        assert_eq!((captured.text().as_str(), seen.len()), ("whsec_new\n", 1));
    }
}
