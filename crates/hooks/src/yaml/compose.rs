//! From the parser's events to the tree.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{Entry, Node, Value, scalar};
use crate::finding::Mark;

/// The longest file, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// How deep values may lie in each other.
const DEPTH_MAX: usize = 48;
/// How many values there may be, those of aliases counted each time.
const NODES_MAX: usize = 100_000;
/// How much text there may be, that of aliases counted each time.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// Something that is no YAML, or not of the kind that is taken here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub at: Mark,
    pub what: String,
    pub advice: String,
}

/// Composes the one document of a text; `None` when there is nothing in it.
///
/// # Errors
/// [`Broken`]: the first thing that is wrong.
pub(crate) fn compose(text: &str) -> Result<Option<Node>, Broken> {
    if text.len() > BYTES_MAX {
        let what = format!("the file has {} bytes; at most {BYTES_MAX} are read", text.len());
        return Err(broken(Mark::START, what, ""));
    }
    Composer {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
        text_bytes: 0,
    }
    .document()
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// What anchors name; `None` while it is being composed.
    anchors: HashMap<usize, Option<Node>>,
    nodes: usize,
    text_bytes: usize,
}

type Next<'a> = (Event<'a>, Span);

impl<'a> Composer<'a> {
    fn document(mut self) -> Result<Option<Node>, Broken> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => return Ok(root),
                _ if root.is_some() => {
                    return Err(broken(
                        mark(span.start),
                        "there is a second document",
                        "one file is one document: remove the line `---` before it",
                    ));
                }
                event => root = Some(self.node((event, span), 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<Next<'a>, Broken> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(scan_error(&error)),
            None => Err(broken(Mark::START, "the file ends too early", "")),
        }
    }

    fn node(&mut self, (event, span): Next<'a>, depth: usize) -> Result<Node, Broken> {
        let at = mark(span.start);
        if depth > DEPTH_MAX {
            let what = format!("values lie in each other more than {DEPTH_MAX} deep");
            return Err(broken(at, what, ""));
        }
        self.count(1, 0, at)?;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(0, text.len(), at)?;
                let tag = core_tag(tag.as_deref(), at)?;
                let text = text.into_owned();
                let is_text = style != ScalarStyle::Plain || matches!(tag, Some("str" | "!"));
                let value = match is_text {
                    true => scalar::text(text),
                    false => scalar::plain(text).map_err(|what| broken(at, what, ""))?,
                };
                let last_line = span.end.line();
                Ok(self.anchored(anchor, Node { at, last_line, value }))
            }
            Event::SequenceStart(anchor, tag) => {
                core_tag(tag.as_deref(), at)?;
                self.begin(anchor);
                let mut items = Vec::new();
                loop {
                    let next = self.next()?;
                    if matches!(next.0, Event::SequenceEnd) {
                        break;
                    }
                    items.push(self.node(next, depth + 1)?);
                }
                Ok(self.anchored(anchor, container(at, Value::List(items))))
            }
            Event::MappingStart(anchor, tag) => {
                core_tag(tag.as_deref(), at)?;
                self.begin(anchor);
                let entries = self.entries(depth)?;
                Ok(self.anchored(anchor, container(at, Value::Map(entries))))
            }
            Event::Alias(anchor) => self.alias(anchor, at),
            _ => Err(broken(at, "a value is missing here", "")),
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, Broken> {
        let mut members = Members::default();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let at = mark(span.start);
            let is_plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..));
            let Event::Scalar(key, ..) = event else {
                let advice = match event {
                    Event::MappingStart(..) => "a text with `{{ … }}` is put in quotes as a whole",
                    _ => "",
                };
                return Err(broken(at, "a key must be a text", advice));
            };
            let next = self.next()?;
            let value = self.node(next, depth + 1)?;
            if is_plain && key == "<<" {
                merged.push((at, value));
                continue;
            }
            self.count(0, key.len(), at)?;
            let key = key.into_owned();
            if let Some((again, first)) = members.add(Entry { key, at, value }) {
                let what = format!("`{}` is there twice, first on line {}", again.key, first.line);
                return Err(broken(at, what, "remove one of them"));
            }
        }
        for (at, value) in merged {
            merge(&mut members, value, at)?;
        }
        Ok(members.entries)
    }

    fn alias(&mut self, anchor: usize, at: Mark) -> Result<Node, Broken> {
        let Some(Some(node)) = self.anchors.get(&anchor) else {
            return Err(broken(at, "the alias stands inside what it names", ""));
        };
        let node = node.clone();
        let (nodes, bytes) = size(&node);
        self.count(nodes, bytes, at)?;
        Ok(node)
    }

    fn begin(&mut self, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
    }

    fn anchored(&mut self, anchor: usize, node: Node) -> Node {
        if anchor > 0 {
            self.anchors.insert(anchor, Some(node.clone()));
        }
        node
    }

    fn count(&mut self, nodes: usize, text_bytes: usize, at: Mark) -> Result<(), Broken> {
        self.nodes += nodes;
        self.text_bytes += text_bytes;
        if self.nodes <= NODES_MAX && self.text_bytes <= TEXT_BYTES_MAX {
            return Ok(());
        }
        Err(broken(
            at,
            "the file holds too much once its aliases are filled in",
            "use fewer aliases",
        ))
    }
}

/// The members of a map in their order, each found by its name at once: a file may have a hundred thousand of them.
#[derive(Default)]
struct Members {
    entries: Vec<Entry>,
    first: HashMap<String, Mark>,
}

impl Members {
    /// Adds one; gives it back, with the place of the first, when there is one of that name.
    fn add(&mut self, entry: Entry) -> Option<(Entry, Mark)> {
        if let Some(first) = self.first.get(&entry.key) {
            return Some((entry, *first));
        }
        self.first.insert(entry.key.clone(), entry.at);
        self.entries.push(entry);
        None
    }
}

/// The merge key (`<<: *base`, or a list of them): what is written out wins, then the earlier one.
fn merge(members: &mut Members, value: Node, at: Mark) -> Result<(), Broken> {
    let sources = match value.value {
        Value::List(items) => items,
        value => vec![container(at, value)],
    };
    for source in sources {
        let Value::Map(entries) = source.value else {
            return Err(broken(at, "`<<` takes a map, or a list of maps", ""));
        };
        for entry in entries {
            members.add(entry);
        }
    }
    Ok(())
}

/// How many values, and how much text.
fn size(node: &Node) -> (usize, usize) {
    match &node.value {
        Value::Unknown | Value::Null => (1, 0),
        Value::Bool(_, text) | Value::Number(_, text) => (1, text.len()),
        Value::Text(text) => (1, text.text.len()),
        Value::List(items) => add(items.iter().map(size)),
        Value::Map(entries) => add(entries.iter().map(|entry| {
            let (nodes, bytes) = size(&entry.value);
            (nodes, bytes + entry.key.len())
        })),
    }
}

fn add(sizes: impl Iterator<Item = (usize, usize)>) -> (usize, usize) {
    sizes.fold((1, 0), |(nodes, bytes), (more, longer)| (nodes + more, bytes + longer))
}

/// The tag, where it is one of YAML's own.
fn core_tag(tag: Option<&Tag>, at: Mark) -> Result<Option<&str>, Broken> {
    const KNOWN: [&str; 7] = ["str", "int", "float", "bool", "null", "seq", "map"];
    let Some(tag) = tag else { return Ok(None) };
    if tag.is_yaml_core_schema() && KNOWN.contains(&tag.suffix.as_str()) {
        return Ok(Some(&tag.suffix));
    }
    if tag.handle.is_empty() && tag.suffix == "!" {
        return Ok(Some("!"));
    }
    let advice = "leave it out; values from outside are written `${NAME}` or `${file:/path}`";
    Err(broken(at, "tags mean nothing here", advice))
}

fn container(at: Mark, value: Value) -> Node {
    Node {
        at,
        last_line: at.line,
        value,
    }
}

fn mark(marker: Marker) -> Mark {
    Mark {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

fn broken(at: Mark, what: impl Into<String>, advice: &str) -> Broken {
    Broken {
        at,
        what: what.into(),
        advice: advice.to_owned(),
    }
}

/// The parser's own words, and what is most often behind them.
fn scan_error(error: &ScanError) -> Broken {
    let info = error.info();
    let advice = if info.split(' ').any(|word| matches!(word, "tab" | "tabs")) {
        "indent with spaces"
    } else {
        "mind the indentation; put texts with `: `, ` #`, quotes or braces at their start in quotes as a whole"
    };
    broken(mark(*error.marker()), format!("this is no YAML: {info}"), advice)
}

#[cfg(test)]
mod tests;
