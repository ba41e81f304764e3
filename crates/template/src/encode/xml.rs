//! JSON as an XML document.

use super::{EncodeError, bounded, value::Tree};

/// The root of a payload that does not name one itself.
const ROOT: &str = "message";

/// The element of an item whose list has no name of its own.
const ITEM: &str = "item";

const TEXT: &str = "#text";

/// Writes a JSON text as an XML document.
///
/// The text is known to be JSON. An object with one member that is no list is an element of that name; any other value is the
/// content of `<message>`. Members are elements, lists are repeated elements, plain values text; `@name` is an attribute and
/// `#text` the element's own text. What may not stand in a name is replaced by `_`, and characters that XML cannot say by
/// U+FFFD.
///
/// # Errors
/// `TooDeep`, `TooLong`.
pub fn xml(json: &str) -> Result<String, EncodeError> {
    let tree = Tree::read(json)?;
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    match &tree {
        Tree::Object(members) => match members.as_slice() {
            [(name, value)] if names_an_element(name) && !matches!(value, Tree::List(_)) => {
                element(&mut out, name, value)?;
            }
            _ => element(&mut out, ROOT, &tree)?,
        },
        _ => element(&mut out, ROOT, &tree)?,
    }
    Ok(out)
}

fn names_an_element(name: &str) -> bool {
    !name.starts_with('@') && name != TEXT
}

fn element(out: &mut String, name: &str, value: &Tree<'_>) -> Result<(), EncodeError> {
    let start = out.len() + 1;
    out.push('<');
    push_name(out, name);
    let tag = out.get(start..).unwrap_or_default().to_owned();
    match value {
        Tree::Plain(text) if text.is_empty() => {
            out.push_str("/>");
            return bounded(out);
        }
        Tree::Plain(text) => {
            out.push('>');
            push_text(out, text, false);
        }
        Tree::List(items) => {
            out.push('>');
            items.iter().try_for_each(|item| element(out, ITEM, item))?;
        }
        Tree::Object(members) => {
            let is_attribute = |(name, value): &&(_, Tree<'_>)| {
                let name: &std::borrow::Cow<'_, str> = name;
                name.starts_with('@') && value.is_plain()
            };
            for (name, value) in members.iter().filter(is_attribute) {
                if let Tree::Plain(text) = value {
                    out.push(' ');
                    push_name(out, &name[1..]);
                    out.push_str("=\"");
                    push_text(out, text, true);
                    out.push('"');
                }
            }
            out.push('>');
            for (name, value) in members.iter().filter(|member| !is_attribute(member)) {
                match value {
                    Tree::Plain(text) if *name == TEXT => push_text(out, text, false),
                    // A list in a list has no name to repeat.
                    Tree::List(items) => items.iter().try_for_each(|item| element(out, name, item))?,
                    other => element(out, name, other)?,
                }
            }
        }
    }
    out.push_str("</");
    out.push_str(&tag);
    out.push('>');
    bounded(out)
}

/// Extensible Markup Language 1.0, section 2.3, without its rarer letters.
fn push_name(out: &mut String, name: &str) {
    let begins = |letter: char| letter.is_alphabetic() || letter == '_';
    if !name.starts_with(begins) {
        out.push('_');
    }
    out.extend(name.chars().map(|letter| match letter {
        '-' | '.' | ':' | '_' => letter,
        other if other.is_alphanumeric() => other,
        _ => '_',
    }));
}

/// For text, and for attributes between double quotes.
fn push_text(out: &mut String, text: &str, in_attribute: bool) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Readers would make a line feed or a space of them.
            '\r' => out.push_str("&#13;"),
            '\n' => out.push_str(if in_attribute { "&#10;" } else { "\n" }),
            '\t' => out.push_str(if in_attribute { "&#9;" } else { "\t" }),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    fn body(json: &str) -> String {
        let text = xml(json).unwrap();
        text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn members_are_elements_in_their_order() {
        assert_eq!(
            body(
                r##"{"order": {"@id": 7, "#text": "<now>", "z": 1.50, "a": null, "line": [{"sku": "a"}, {"sku": "b"}], "paid": true}}"##
            ),
            "<order id=\"7\">&lt;now&gt;<z>1.50</z><a/><line><sku>a</sku></line><line><sku>b</sku></line><paid>true</paid></order>"
        );
    }

    #[test]
    fn a_payload_that_names_no_root_is_a_message() {
        assert_eq!(
            body(r#"{"a": 1, "b": [[1, 2], []]}"#),
            "<message><a>1</a><b><item>1</item><item>2</item></b><b></b></message>"
        );
        assert_eq!(body("[1, \"x\"]"), "<message><item>1</item><item>x</item></message>");
        assert_eq!(body("5"), "<message>5</message>");
        assert_eq!(body(r#"{"a": [1, 2]}"#), "<message><a>1</a><a>2</a></message>");
        assert_eq!(body(r#"{"@a": 1}"#), "<message a=\"1\"></message>");
        assert_eq!(body("{}"), "<message></message>");
    }

    #[test]
    fn what_xml_cannot_say_is_replaced() {
        assert_eq!(
            body(r#"{"odd name": {"1st": "a\u0001\r", "": "b", "<x>": {"@a b": "\""}}}"#),
            "<odd_name><_1st>a\u{fffd}&#13;</_1st><_>b</_><__x_ a_b=\"&quot;\"></__x_></odd_name>"
        );
    }

    #[test]
    fn a_document_is_read_as_it_was_written() {
        let json = r##"{"order":{"@id":"7","customer":{"@vip":"a\"<&","#text":"Ä"},"line":[{"sku":"a"},{"sku":"b"}],"none":""}}"##;
        let decoded = decode("text/xml", xml(json).unwrap().as_bytes()).unwrap().into_owned();
        assert_eq!(String::from_utf8(decoded).unwrap(), json);
    }

    #[test]
    fn what_grows_too_long_or_too_deep_is_refused() {
        let many = format!("{{\"{}\": [{}0]}}", "n".repeat(10_000), "0,".repeat(10_000));
        assert_eq!(xml(&many), Err(EncodeError::TooLong));
        assert_eq!(xml(&"[".repeat(500)), Err(EncodeError::TooDeep));
    }
}
