//! `multipart/form-data`: RFC 7578, in the framing of RFC 2046, section 5.1.1.

use memchr::memmem::Finder;

use super::{
    DecodeError,
    error::name,
    media::essence_and_parameters,
    members::{Members, Value},
};

/// The most parts in one body.
const PARTS_MAX: usize = 1_000;

/// The longest head of a part, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1_024;

/// The longest file whose text goes along, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1_024;

const FORMAT: &str = "multipart/form-data";

/// The fields: texts, and lists where a name is repeated. A file is an object with `filename`, `contentType`, `size`, and
/// `text` when it is UTF-8 and short. So is a field that is not UTF-8, without a file's name.
pub(super) fn read(boundary: &str, body: &[u8]) -> Result<Value, DecodeError> {
    if boundary.is_empty() || boundary.len() > 70 {
        let what = "the content type says no `boundary` of 1 to 70 characters";
        return Err(DecodeError::malformed(FORMAT, what));
    }
    let delimiter = format!("\r\n--{boundary}");
    let finder = Finder::new(&delimiter);
    let mut members = Members::default();
    let mut delimiter = first(&finder, body).ok_or_else(|| {
        let what = format!("the boundary {} does not occur", name(boundary));
        DecodeError::malformed(FORMAT, what)
    })?;
    let mut parts = 0;
    while let Delimiter::Part { content } = delimiter {
        parts += 1;
        if parts > PARTS_MAX {
            return Err(DecodeError::TooMuch {
                what: "parts",
                max: PARTS_MAX,
            });
        }
        let truncated = || DecodeError::malformed(FORMAT, format!("it ends within part {parts}"));
        let (end, next) = following(&finder, body, content).ok_or_else(truncated)?;
        part(body.get(content..end).unwrap_or_default(), parts, &mut members)?;
        delimiter = next;
    }
    Ok(Value::Object(members))
}

/// A line that ends a part.
#[derive(Debug, Clone, Copy)]
enum Delimiter {
    /// Another part follows; where it begins.
    Part { content: usize },
    /// It was the last.
    Close,
}

/// The first delimiter: at the very beginning, or behind a preamble.
fn first(finder: &Finder<'_>, body: &[u8]) -> Option<Delimiter> {
    let without_break = finder.needle().get(2..).unwrap_or_default();
    if body.starts_with(without_break)
        && let Some(delimiter) = delimiter(body, without_break.len())
    {
        return Some(delimiter);
    }
    following(finder, body, 0).map(|(_, delimiter)| delimiter)
}

/// The next delimiter from a place on, and where it begins. A delimiter that follows a head at once shares its line break.
fn following(finder: &Finder<'_>, body: &[u8], from: usize) -> Option<(usize, Delimiter)> {
    let mut from = from.saturating_sub(2);
    loop {
        let begin = from + finder.find(body.get(from..)?)?;
        let end = begin + finder.needle().len();
        if let Some(delimiter) = delimiter(body, end) {
            return Some((begin, delimiter));
        }
        from = end;
    }
}

/// What the text behind the boundary makes of it: nothing, when the boundary was only the beginning of a longer word.
fn delimiter(body: &[u8], end: usize) -> Option<Delimiter> {
    let rest = body.get(end..)?;
    if rest.starts_with(b"--") {
        return Some(Delimiter::Close);
    }
    let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    rest.get(padding..)?.starts_with(b"\r\n").then_some(Delimiter::Part {
        content: end + padding + 2,
    })
}

fn part(part: &[u8], number: usize, members: &mut Members) -> Result<(), DecodeError> {
    let malformed = |what: &str| DecodeError::malformed(FORMAT, format!("part {number} {what}"));
    let window = part.get(..HEAD_BYTES_MAX).unwrap_or(part);
    let head_end =
        memchr::memmem::find(window, b"\r\n\r\n").ok_or_else(|| malformed("has no head, or a very long one"))?;
    let (head, content) = part.split_at(head_end);
    let content = content.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| malformed("has a head that is not UTF-8"))?;
    let header = |wanted: &str| {
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        lines
            .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim())
    };
    let (_, disposition) = essence_and_parameters(header("content-disposition").unwrap_or_default());
    let said = |wanted: &str| {
        disposition
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    let field = said("name").ok_or_else(|| malformed("has no name in its `content-disposition`"))?;
    let encoding = header("content-transfer-encoding").unwrap_or("binary");
    if !["7bit", "8bit", "binary"]
        .iter()
        .any(|plain| encoding.eq_ignore_ascii_case(plain))
    {
        let what = format!(
            "is encoded as {}, which forms must not be; send its bytes",
            name(encoding)
        );
        return Err(malformed(&what));
    }
    let text = std::str::from_utf8(content).ok();
    let filename = said("filename");
    let value = match (filename, text) {
        (None, Some(text)) => Value::Text(text.to_owned()),
        _ => file(filename, header("content-type"), content.len(), text),
    };
    members.add(field, value);
    Ok(())
}

fn file(filename: Option<&str>, content_type: Option<&str>, size: usize, text: Option<&str>) -> Value {
    let mut members = Members::default();
    let text = text.filter(|text| text.len() <= TEXT_BYTES_MAX);
    if let Some(filename) = filename {
        members.add("filename", Value::Text(filename.to_owned()));
    }
    if let Some(content_type) = content_type {
        members.add("contentType", Value::Text(content_type.to_owned()));
    }
    members.add("size", Value::Number(size));
    if let Some(text) = text {
        members.add("text", Value::Text(text.to_owned()));
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(body: &[u8]) -> Result<String, String> {
        let value = read("b", body).map_err(|error| error.to_string())?;
        Ok(serde_json::to_string(&value).unwrap())
    }

    fn field(name: &str, content: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    }

    #[test]
    fn fields_are_texts_and_files_say_what_they_are() {
        let mut body = b"a preamble\r\n".to_vec();
        body.extend(field("subject", "Hello\r\nthere").bytes());
        body.extend(field("tag", "a").bytes());
        body.extend(field("tag", "").bytes());
        body.extend(b"--b \t\r\ncontent-disposition: form-data; filename=\"a \\\"b\\\".csv\"; name=files\r\nCONTENT-TYPE: text/csv\r\n\r\n1,2\r\n");
        body.extend(b"--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"x.bin\"\r\n\r\n\xff\x00\r\n");
        body.extend(b"--b\r\nContent-Disposition: form-data; name=\"old\"\r\n\r\ncaf\xe9\r\n--b--\r\nan epilogue");
        let expected = concat!(
            r#"{"subject":"Hello\r\nthere","tag":["a",""],"files":["#,
            r#"{"filename":"a \"b\".csv","contentType":"text/csv","size":3,"text":"1,2"},"#,
            r#"{"filename":"x.bin","size":2}],"old":{"size":4}}"#
        );
        assert_eq!(decoded(&body).as_deref(), Ok(expected));
        assert_eq!(decoded(b"--b--").as_deref(), Ok("{}"));
    }

    #[test]
    fn a_longer_word_that_begins_like_the_boundary_is_content() {
        let body = format!("{}--b--", field("a", "x\r\n--bc\r\n--b x"));
        assert_eq!(
            decoded(body.as_bytes()).as_deref(),
            Ok("{\"a\":\"x\\r\\n--bc\\r\\n--b x\"}")
        );
    }

    #[test]
    fn a_long_file_is_only_described() {
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let body = format!("--b\r\nContent-Disposition: form-data; name=f; filename=\"\"\r\n\r\n{long}\r\n--b--");
        assert_eq!(
            decoded(body.as_bytes()).as_deref(),
            Ok(r#"{"f":{"filename":"","size":65537}}"#)
        );
    }

    #[test]
    fn what_is_cut_off_or_says_too_little_is_an_error() {
        let whole = format!("{}{}--b--", field("a", "1"), field("b", "2"));
        for end in 1..whole.len() {
            assert!(decoded(&whole.as_bytes()[..end]).is_err(), "{end}");
        }
        let refused = |body: &str, what: &str| {
            let error = decoded(body.as_bytes()).expect_err(what);
            assert!(error.contains(what), "{error}");
        };
        refused("--c\r\n\r\n--c--", "the boundary `b` does not occur");
        refused("--b\r\n\r\nx\r\n--b--", "part 1 has no head");
        refused("--b\r\nX: y\r\n\r\nx\r\n--b--", "part 1 has no name");
        let encoded =
            "--b\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--";
        refused(encoded, "part 1 is encoded as `base64`");
        let long = format!("--b\r\nX: {}\r\n\r\nx\r\n--b--", "y".repeat(HEAD_BYTES_MAX));
        refused(&long, "part 1 has no head, or a very long one");
        refused(
            &format!("{}--b--", field("a", "").repeat(PARTS_MAX + 1)),
            "more than 1000 parts",
        );
        assert!(read("", b"x").unwrap_err().to_string().contains("no `boundary`"));
    }
}
