//! What a content type says: RFC 9110, section 8.3.1.

/// How a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Xml,
    Form,
    Multipart,
    Text,
    /// Nobody said.
    Unknown,
}

/// A content type, taken apart.
#[derive(Debug)]
pub(super) struct Media {
    pub kind: Kind,
    parameters: Vec<(String, String)>,
}

impl Media {
    /// Reads a header's value. One that says nothing useful is unknown.
    pub fn read(content_type: &str) -> Self {
        let (essence, parameters) = essence_and_parameters(content_type);
        let kind = match essence.as_str() {
            "" | "application/octet-stream" => Kind::Unknown,
            "application/json" | "text/json" => Kind::Json,
            "application/xml" | "text/xml" => Kind::Xml,
            "application/x-www-form-urlencoded" => Kind::Form,
            "multipart/form-data" => Kind::Multipart,
            other if other.ends_with("+json") => Kind::Json,
            other if other.ends_with("+xml") => Kind::Xml,
            _ => Kind::Text,
        };
        Self { kind, parameters }
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// `form-data; name="a"` as `form-data` and its parameters. Names in lower case; the first of a name comes first.
pub(super) fn essence_and_parameters(value: &str) -> (String, Vec<(String, String)>) {
    let (essence, mut rest) = value.split_once(';').unwrap_or((value, ""));
    let mut parameters = Vec::new();
    while let Some((name, after)) = rest.split_once('=') {
        // What stands between semicolons without a value is passed over.
        let name = name.rsplit(';').next().unwrap_or_default();
        let after = after.trim_start();
        let (text, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (text, after) = after.split_once(';').unwrap_or((after, ""));
                (text.trim().to_owned(), after)
            }
        };
        parameters.push((name.trim().to_ascii_lowercase(), text));
        rest = after;
    }
    (essence.trim().to_ascii_lowercase(), parameters)
}

/// The text up to the closing quote, and what follows. Only `\"` and `\\` are escapes: a path of Windows is kept.
fn unquote(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut letters = quoted.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (text, &quoted[at + 1..]),
            '\\' => match letters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => text.push(escaped),
                None => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_quoted_or_not_in_any_case() {
        let media = Media::read("Multipart/Form-Data ; charset; Boundary=\"a;b\\\"c\" ; x = y;z=");
        assert_eq!(media.kind, Kind::Multipart);
        assert_eq!(media.parameter("boundary"), Some("a;b\"c"));
        assert_eq!((media.parameter("x"), media.parameter("z")), (Some("y"), Some("")));
        assert_eq!(media.parameter("charset"), None);
        let path = essence_and_parameters("form-data; filename=\"C:\\new\\a.txt\"").1;
        assert_eq!(path, [("filename".to_owned(), "C:\\new\\a.txt".to_owned())]);
    }

    #[test]
    fn a_suffix_says_what_it_is_and_anything_else_is_a_text() {
        for (content_type, kind) in [
            ("application/soap+xml", Kind::Xml),
            ("application/problem+json;charset=utf-8", Kind::Json),
            ("image/png", Kind::Text),
            (";;;===\"", Kind::Unknown),
        ] {
            assert_eq!(Media::read(content_type).kind, kind, "{content_type}");
        }
    }
}
