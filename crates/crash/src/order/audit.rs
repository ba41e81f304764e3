//! What the server says at the end, asked by its API: which deliveries it gave up, whether any is still open, and how its
//! lines stand.

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use serde_json::Value;

use super::ledger::{Said, SaidLine};
use super::plan::{ENDPOINTS, Endpoint, Order};
use crate::client::{APP, Server};

/// The states of a delivery, as the API numbers them.
const FAILED: u8 = 2;
/// Pending, sending, cancelled.
const OPEN: [u8; 3] = [1, 3, 4];

/// Asks about every endpoint, in the plan's order.
///
/// # Errors
/// When it does not answer as it should.
pub(crate) async fn ask(server: &Server) -> anyhow::Result<Vec<Said>> {
    let mut said = Vec::new();
    for endpoint in &ENDPOINTS {
        said.push(ask_about(server, endpoint).await?);
    }
    Ok(said)
}

async fn ask_about(server: &Server, endpoint: &Endpoint) -> anyhow::Result<Said> {
    let path = format!("/api/v1/app/{APP}/endpoint/{}", endpoint.name);
    let messages = |status: u8| format!("{path}/msg?with_content=false&expanded_statuses=true&status={status}");
    let mut said = Said::default();
    for row in rows(server, &messages(FAILED)).await?.unwrap_or_default() {
        let id = row["id"].as_str().context("a message without an id")?;
        said.given_up.push((id.to_owned(), number(&row["sequence"])));
    }
    for status in OPEN {
        let open = rows(server, &messages(status)).await?.unwrap_or_default();
        said.open += open.len() as u64;
    }
    if endpoint.order == Order::None {
        return Ok(said);
    }
    let rows = rows(server, &format!("{path}/sequence?")).await?;
    said.lines = rows.map(|rows| rows.iter().map(line).collect()).transpose()?;
    Ok(said)
}

fn line(row: &Value) -> anyhow::Result<SaidLine> {
    let number = |name: &str| number(&row[name]).with_context(|| format!("a line without {name}: {row}"));
    Ok(SaidLine {
        key: row["key"].as_str().context("a line without a key")?.to_owned(),
        last: number("last")?,
        succeeded: number("succeeded")?,
        waiting: row["waiting"].as_u64().context("a line without waiting")?,
    })
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// All rows of a list, page by page; `None` when there is no such list. `path` ends within its query.
async fn rows(server: &Server, path: &str) -> anyhow::Result<Option<Vec<Value>>> {
    let (mut rows, mut behind) = (Vec::new(), String::new());
    loop {
        let page = format!("{path}&limit=250{behind}");
        let answer = server.call(Method::GET, &page, &Value::Null).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        ensure!(answer.status.is_success(), "GET {page} answered {}", answer.text());
        let mut json = answer.json();
        let done = json["done"]
            .as_bool()
            .with_context(|| format!("GET {page} is no list"))?;
        if let Some(Value::Array(data)) = json.get_mut("data").map(Value::take) {
            rows.extend(data);
        }
        match json["iterator"].as_str() {
            Some(iterator) if !done => behind = format!("&iterator={}", encoded(iterator)),
            _ => return Ok(Some(rows)),
        }
    }
}

/// As a value of a query (RFC 3986, section 2.1).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_read_as_the_api_tells_it() {
        let row = json!({"key": "a b", "last": 7, "succeeded": 6, "waiting": 1, "head": null});
        let expected = SaidLine {
            key: "a b".to_owned(),
            last: 7,
            succeeded: 6,
            waiting: 1,
        };
        assert_eq!(line(&row).unwrap(), expected);
        assert!(line(&json!({"key": "a", "last": 7, "succeeded": 6})).is_err());
    }

    #[test]
    fn iterators_are_encoded() {
        assert_eq!(encoded("Kunde 2/ä%_"), "Kunde%202%2F%C3%A4%25_");
    }
}
