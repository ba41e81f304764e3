//! Nodes: the servers that share the store, who serves what, and which one made this page. For the operator's administrators.

use std::time::Duration;

use askama::Template;

use crate::{
    answer::Answer,
    frame::{Frame, Section},
    read::{List, node::Node},
    visit::Visit,
};

/// Beyond this a node says nothing where it should: nodes speak every second.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Template)]
#[template(path = "nodes.html")]
struct Nodes {
    frame: Frame,
    nodes: Vec<Node>,
    /// The newest version of the configuration that any of them has.
    newest: u64,
}

impl Nodes {
    /// What is to be said of a node, when it is not as it should be.
    fn wrong(&self, node: &Node) -> Option<&'static str> {
        if self.frame.now > node.seen_at && self.frame.now.since(node.seen_at) > QUIET {
            return Some("not heard of");
        }
        (node.version < self.newest).then_some("behind the newest configuration")
    }
}

pub(crate) async fn list(visit: Visit) -> Answer {
    let nodes: List<Node> = visit.get("/api/v1/node").await?;
    visit.page(&Nodes {
        frame: visit.frame(Section::Nodes, "Nodes"),
        newest: nodes.data.iter().map(|node| node.version).max().unwrap_or(0),
        nodes: nodes.data,
    })
}
