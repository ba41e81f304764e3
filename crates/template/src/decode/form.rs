//! `application/x-www-form-urlencoded`, as the URL Standard reads it (section 5.1).

use super::{
    DecodeError,
    charset::Charset,
    members::{Members, Value},
};

/// The most fields in one form.
const FIELDS_MAX: usize = 10_000;

/// The fields of a form: texts, and a list of texts where a name is repeated. JSON in a field stays a text.
pub(super) fn read(body: &[u8], charset: Charset) -> Result<Value, DecodeError> {
    let mut members = Members::default();
    let end = body.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
    let body = end.map_or(&[][..], |end| &body[..=end]);
    let fields = body.split(|byte| *byte == b'&');
    for (number, field) in fields.filter(|field| !field.is_empty()).enumerate() {
        if number == FIELDS_MAX {
            return Err(DecodeError::TooMuch {
                what: "fields",
                max: FIELDS_MAX,
            });
        }
        let mut halves = field.splitn(2, |byte| *byte == b'=');
        let mut half = || unescape(halves.next().unwrap_or_default());
        let (key, value) = (half(), half());
        members.add(&charset.text(&key), Value::Text(charset.text(&value).into_owned()));
    }
    Ok(Value::Object(members))
}

/// The bytes that a name or a value stands for.
fn unescape(part: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part;
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
    bytes
}

fn byte_of(high: u8, low: u8) -> Option<u8> {
    let digit = |letter: u8| char::from(letter).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> String {
        serde_json::to_string(&read(text.as_bytes(), Charset::Utf8).expect(text)).unwrap()
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
    fn bytes_that_are_no_letters_are_replaced_and_too_many_fields_are_an_error() {
        assert_eq!(form("ok=1&bad=%ff"), "{\"ok\":\"1\",\"bad\":\"\u{fffd}\"}");
        let fields = |count: usize| read("a&".repeat(count).as_bytes(), Charset::Utf8);
        assert!(fields(FIELDS_MAX).is_ok());
        let error = fields(FIELDS_MAX + 1).unwrap_err();
        assert_eq!(error.to_string(), "the body has more than 10000 fields");
    }
}
