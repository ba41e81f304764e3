//! Server-sent events, read line by line (WHATWG HTML, "Server-sent events").
//!
//! Pure: lines go in, events come out. Comments and `retry` are ignored.

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its kind; `message` when the server names none.
    pub kind: String,
    /// Its data, lines joined by a line feed.
    pub data: String,
    /// Its id, which says where to go on from; empty when it has none.
    pub id: String,
}

/// Puts events together from lines.
#[derive(Debug, Default)]
pub struct Reader {
    kind: String,
    data: Option<String>,
    id: String,
}

impl Reader {
    /// Takes one line without its line break; an event when the line ends one.
    pub fn line(&mut self, line: &str) -> Option<Event> {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            let kind = std::mem::take(&mut self.kind);
            let id = std::mem::take(&mut self.id);
            let data = self.data.take()?;
            return Some(Event {
                kind: if kind.is_empty() { "message".into() } else { kind },
                data,
                id,
            });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.kind = value.to_owned(),
            "id" => self.id = value.to_owned(),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {}
        }
        None
    }

    /// Forgets what was begun when the connection broke: the rest of it will not come.
    pub fn broken(&mut self) {
        self.kind.clear();
        self.id.clear();
        self.data = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Event> {
        let mut reader = Reader::default();
        text.lines().filter_map(|line| reader.line(line)).collect()
    }

    #[test]
    fn events_are_put_together_from_their_lines() {
        let events = read(": hello\nevent: attempt\nid: 7\ndata: {\"a\":\ndata:1}\n\nretry: 5\n\ndata: x\r\n\r\n");
        let expected = [("attempt", "{\"a\":\n1}", "7"), ("message", "x", "")];
        let expected = expected.map(|(kind, data, id)| Event {
            kind: kind.into(),
            data: data.into(),
            id: id.into(),
        });
        assert_eq!(events, expected);
    }

    #[test]
    fn half_an_event_is_dropped_with_its_connection() {
        let mut reader = Reader::default();
        reader.line("event: attempt");
        reader.line("data: half");
        reader.broken();
        assert_eq!(reader.line(""), None);
        reader.line("data: whole");
        assert_eq!(
            reader.line(""),
            Some(Event {
                kind: "message".into(),
                data: "whole".into(),
                id: String::new(),
            })
        );
    }
}
