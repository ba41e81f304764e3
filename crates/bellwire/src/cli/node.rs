//! `bellwire nodes`: the servers that share the store.

use super::{
    Session,
    client::{PageArgs, Query, path},
    exit::Failure,
    out::{Column, cell},
};

const COLUMNS: &[Column] = &[
    Column {
        title: "NODE",
        show: |item| cell(item, "number"),
    },
    Column {
        title: "HOST",
        show: |item| cell(item, "host"),
    },
    Column {
        title: "ROLE",
        show: |item| cell(item, "role"),
    },
    Column {
        title: "SHARDS",
        show: |item| cell(item, "shards"),
    },
    Column {
        title: "LEADS",
        show: |item| cell(item, "leads"),
    },
    Column {
        title: "VERSION",
        show: |item| cell(item, "version"),
    },
    Column {
        title: "EPOCH",
        show: |item| cell(item, "epoch"),
    },
    Column {
        title: "SINCE",
        show: |item| cell(item, "since"),
    },
    Column {
        title: "SEEN",
        show: |item| cell(item, "seenAt"),
    },
];

/// Lists them.
///
/// # Errors
/// Those of the request.
pub fn list(session: &mut Session) -> Result<(), Failure> {
    let Session { client, out } = session;
    // Not a list in pages: the API answers them all.
    client.list(out, &path(&["node"]), Query::default(), &PageArgs::default(), COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{Captured, Scripted};

    #[test]
    fn nodes_are_listed_with_what_they_serve() {
        let page = r#"{"data":[{"number":1,"epoch":3,"role":"all","host":"web-1:8071","shards":512,"leads":true,
            "version":9,"since":"2026-11-30T12:00:00Z","seenAt":"2026-11-30T12:00:01Z"}],"iterator":null,
            "prevIterator":null,"done":true}"#;
        let server = Scripted::answering(vec![(200, page)]);
        let captured = Captured::default();
        list(&mut server.session(&captured, false)).unwrap();
        let text = captured.text();
        assert!(text.contains("web-1:8071") && text.contains("512"), "{text}");
        assert!(server.seen()[0].line.starts_with("GET /api/v1/node"));
    }
}
