//! `application/x-www-form-urlencoded`, as the URL Standard reads it (section 5.1).

use super::{
    DecodeError,
    error::name,
    members::{Members, Value},
};

/// The most fields in one form.
const FIELDS_MAX: usize = 10_000;

/// The fields of a form: texts, and a list of texts where a name is repeated. JSON in a field stays a text.
pub(super) fn read(text: &str) -> Result<Value, DecodeError> {
    let mut members = Members::default();
    let fields = text.trim_end_matches(['\r', '\n']).split('&');
    for (number, field) in fields.filter(|field| !field.is_empty()).enumerate() {
        if number == FIELDS_MAX {
            return Err(DecodeError::TooMuch {
                what: "fields",
                max: FIELDS_MAX,
            });
        }
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        let decoded = |part| {
            unescape(part).ok_or_else(|| DecodeError::malformed("form", format!("field {} is not UTF-8", name(key))))
        };
        members.add(&decoded(key)?, Value::Text(decoded(value)?));
    }
    Ok(Value::Object(members))
}

/// The text that a name or a value stands for; `None` when its bytes are not UTF-8.
fn unescape(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) if let Some(byte) = byte_of(*high, *low) => {
                bytes.push(byte);
                rest = after;
            }
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

fn byte_of(high: u8, low: u8) -> Option<u8> {
    let digit = |letter: u8| char::from(letter).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> String {
        serde_json::to_string(&read(text).expect(text)).unwrap()
    }

    #[test]
    fn fields_are_texts_and_repeated_names_lists() {
        assert_eq!(
            form("From=%2B15550100&Body=on+my+way%21&tag=a&tag=b&empty=&alone&&=x\r\n"),
            r#"{"From":"+15550100","Body":"on my way!","tag":["a","b"],"empty":"","alone":"","":"x"}"#
        );
        assert_eq!(form("a=%c3%A4&b=%zz%4&c=1=2"), r#"{"a":"ä","b":"%zz%4","c":"1=2"}"#);
    }

    #[test]
    fn json_in_a_field_stays_a_text() {
        assert_eq!(form("payload=%7B%22a%22%3A1%7D"), r#"{"payload":"{\"a\":1}"}"#);
    }

    #[test]
    fn bytes_that_are_not_utf_8_and_too_many_fields_are_errors() {
        let error = read("ok=1&bad=%ff").unwrap_err();
        assert_eq!(error.to_string(), "the body is no form: field `bad` is not UTF-8");
        assert!(read(&"a&".repeat(FIELDS_MAX)).is_ok());
        let error = read(&"a&".repeat(FIELDS_MAX + 1)).unwrap_err();
        assert_eq!(error.to_string(), "the body has more than 10000 fields");
    }
}
