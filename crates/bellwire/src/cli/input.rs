//! What commands read from options, files and standard input: payloads, JSON bodies, `key=value` pairs, headers.
//!
//! Called by the commands. It never sends anything and keeps JSON as the text it was written in, so that a payload's
//! number text and key order survive.

use std::{collections::BTreeMap, fs, io::Read};

use serde_json::{Map, Value, value::RawValue};

use super::exit::Failure;

/// An option's value: the text itself, `@file` for a file's content, or `-` for standard input.
///
/// # Errors
/// A usage failure when the file or standard input cannot be read.
pub fn bytes(argument: &str) -> Result<Vec<u8>, Failure> {
    if argument == "-" {
        let mut all = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut all)
            .map_err(|error| Failure::Usage(format!("cannot read standard input: {error}")))?;
        return Ok(all);
    }
    match argument.strip_prefix('@') {
        Some(path) => fs::read(path).map_err(|error| Failure::Usage(format!("cannot read `{path}`: {error}"))),
        None => Ok(argument.as_bytes().to_vec()),
    }
}

/// Like [`bytes`], for text.
///
/// # Errors
/// A usage failure when it cannot be read or is not UTF-8.
pub fn text(argument: &str) -> Result<String, Failure> {
    String::from_utf8(bytes(argument)?).map_err(|_| Failure::Usage(format!("`{}` is not UTF-8 text", name(argument))))
}

/// Like [`text`], for one JSON value, kept byte for byte.
///
/// # Errors
/// A usage failure that names line and column when it is not JSON.
pub fn json(argument: &str) -> Result<Box<RawValue>, Failure> {
    let text = text(argument)?;
    serde_json::from_str(&text).map_err(|error| Failure::Usage(format!("{} is not JSON: {error}", name(argument))))
}

/// A JSON object to lay options over: that of `--body`, or an empty one.
///
/// # Errors
/// A usage failure when it is not a JSON object.
pub fn object(argument: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let Some(argument) = argument else {
        return Ok(Map::new());
    };
    let text = text(argument)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Usage(format!("{} is not a JSON object: {error}", name(argument))))
}

/// What to call an argument in an error.
fn name(argument: &str) -> String {
    match argument {
        "-" => "standard input".to_owned(),
        file if file.starts_with('@') => format!("the file {}", &file[1..]),
        _ => "the value".to_owned(),
    }
}

/// For clap: `key=value`.
///
/// # Errors
/// Says how a pair is written.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not `key=value`")),
    }
}

/// For clap: `name: value`, as headers are written; the name in lower case, spaces around the value dropped.
///
/// # Errors
/// Says how a header is written.
pub fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(format!("`{text}` is not `name: value`")),
    }
}

/// Headers as a file or a recorded request holds them: one `name: value` a line; empty lines and a request or status
/// line (`POST / HTTP/1.1`) are skipped.
///
/// # Errors
/// A usage failure that names the line.
pub fn headers(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r').trim_start_matches("> ");
        if line.trim().is_empty() || line.starts_with("HTTP/") || line.contains(" HTTP/") && !line.contains(": ") {
            continue;
        }
        found.push(header(line).map_err(|error| Failure::Usage(format!("line {}: {error}", index + 1)))?);
    }
    Ok(found)
}

/// Pairs as a JSON object; a later one wins.
pub fn pairs_object(pairs: &[(String, String)]) -> Value {
    let map: BTreeMap<&String, &String> = pairs.iter().map(|(key, value)| (key, value)).collect();
    serde_json::json!(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_its_number_text_and_key_order() {
        let raw = json(r#"{"b": 1.10, "a": 12345678901234567890}"#).unwrap();
        assert_eq!(raw.get(), r#"{"b": 1.10, "a": 12345678901234567890}"#);
    }

    #[test]
    fn a_file_is_read_and_a_missing_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("payload.json");
        fs::write(&path, "{\"a\":1}\n").unwrap();
        assert_eq!(json(&format!("@{}", path.display())).unwrap().get(), "{\"a\":1}");
        let error = bytes("@/nowhere/at/all.json").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("/nowhere/at/all.json"));
    }

    #[test]
    fn broken_json_says_where() {
        let error = json("{\"a\":}").unwrap_err().to_string();
        assert!(error.contains("line 1 column 6"), "{error}");
        assert!(object(Some("[1]")).is_err());
        assert!(object(None).unwrap().is_empty());
    }

    #[test]
    fn pairs_and_headers_are_split_once() {
        assert_eq!(pair("a=b=c").unwrap(), ("a".into(), "b=c".into()));
        assert!(pair("=x").is_err());
        assert_eq!(
            header("Webhook-Id:  msg_1 ").unwrap(),
            ("webhook-id".into(), "msg_1".into())
        );
        assert!(header("no colon").is_err());
    }

    #[test]
    fn a_recorded_request_head_reads_as_headers() {
        let found = headers("POST /hook HTTP/1.1\r\nwebhook-id: m\r\n\r\nsvix-signature: v1,aGk=\n").unwrap();
        assert_eq!(
            found,
            [
                ("webhook-id".into(), "m".into()),
                ("svix-signature".into(), "v1,aGk=".into())
            ]
        );
        let error = headers("webhook-id: m\nnonsense").unwrap_err().to_string();
        assert!(error.starts_with("line 2"), "{error}");
    }
}
