//! JSON as an XML document.

use super::{
    EncodeError, bounded,
    names::{Attributes, Prefixes},
    value::Tree,
};

/// The root of a payload that does not name one itself.
const ROOT: &str = "message";

/// The element of an item whose list has no name of its own.
const ITEM: &str = "item";

const TEXT: &str = "#text";

/// Writes a JSON text as an XML document.
///
/// The text is known to be JSON. An object with one member that is no list is an element of that name; any other value is the
/// content of `<message>`. Members are elements, lists are repeated elements, plain values text; `@name` is an attribute and
/// `#text` the element's own text. What may not stand in a name is replaced by `_`, and so is a colon unless an `@xmlns:…` around
/// it binds the prefix; an attribute whose name is taken is numbered, and members whose names become one are repeated elements. Characters that XML cannot say are replaced by U+FFFD.
///
/// # Errors
/// `TooDeep`, `TooLong`.
pub fn xml(json: &str) -> Result<String, EncodeError> {
    let tree = Tree::read(json)?;
    let mut writer = Writer {
        out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(),
        prefixes: Prefixes::default(),
    };
    match &tree {
        Tree::Object(members) => match members.as_slice() {
            [(name, value)] if names_an_element(name) && !matches!(value, Tree::List(_)) => {
                writer.element(name, value)?;
            }
            _ => writer.element(ROOT, &tree)?,
        },
        _ => writer.element(ROOT, &tree)?,
    }
    Ok(writer.out)
}

fn names_an_element(name: &str) -> bool {
    !name.starts_with('@') && name != TEXT
}

struct Writer<'a> {
    out: String,
    prefixes: Prefixes<'a>,
}

impl<'a> Writer<'a> {
    fn element(&mut self, name: &str, value: &'a Tree<'_>) -> Result<(), EncodeError> {
        let outside = self.prefixes.count();
        let attributes = attributes(value);
        for (name, value) in &attributes {
            self.prefixes.bind(name, value);
        }
        let tag = self.prefixes.element(name).into_owned();
        self.out.push('<');
        self.out.push_str(&tag);
        let mut names = Attributes::default();
        for (name, value) in &attributes {
            let name = names.name(&self.prefixes, name, value);
            self.out.push(' ');
            self.out.push_str(&name);
            self.out.push_str("=\"");
            push_text(&mut self.out, value, true);
            self.out.push('"');
        }
        match value {
            Tree::Plain(text) if text.is_empty() => self.out.push_str("/>"),
            _ => {
                self.out.push('>');
                self.content(value)?;
                self.out.push_str("</");
                self.out.push_str(&tag);
                self.out.push('>');
            }
        }
        self.prefixes.leave(outside);
        bounded(&self.out)
    }

    fn content(&mut self, value: &'a Tree<'_>) -> Result<(), EncodeError> {
        match value {
            Tree::Plain(text) => push_text(&mut self.out, text, false),
            Tree::List(items) => items.iter().try_for_each(|item| self.element(ITEM, item))?,
            Tree::Object(members) => {
                for (name, value) in members.iter().filter(|(name, value)| !is_attribute(name, value)) {
                    match value {
                        Tree::Plain(text) if *name == TEXT => push_text(&mut self.out, text, false),
                        // A list in a list has no name to repeat.
                        Tree::List(items) => items.iter().try_for_each(|item| self.element(name, item))?,
                        other => self.element(name, other)?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// The attributes of an element with this content, and their values.
fn attributes<'a>(value: &'a Tree<'_>) -> Vec<(&'a str, &'a str)> {
    let Tree::Object(members) = value else {
        return Vec::new();
    };
    let members = members.iter().filter(|(name, value)| is_attribute(name, value));
    let named = members.filter_map(|(name, value)| match value {
        Tree::Plain(text) => Some((name.strip_prefix('@')?, text.as_ref())),
        _ => None,
    });
    named.collect()
}

fn is_attribute(name: &str, value: &Tree<'_>) -> bool {
    name.starts_with('@') && value.is_plain()
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
    fn names_are_those_of_xml() {
        for (json, written) in [
            // What becomes one name is repeated, as the items of a list are.
            (
                r#"{"a b": 1, "c": 2, "a_b": [3, 4]}"#,
                "<message><a_b>1</a_b><c>2</c><a_b>3</a_b><a_b>4</a_b></message>",
            ),
            (r#"{"x²": 1, "½": 2}"#, "<message><x_>1</x_><__>2</__></message>"),
            (
                r#"{"é·-.9": 1, "日本": 2}"#,
                "<message><é·-.9>1</é·-.9><日本>2</日本></message>",
            ),
            (
                r#"{"e": {"@a b": 1, "@a_b": 2, "@a.b": 3, "@a+b": 4}}"#,
                "<e a_b=\"1\" a_b_2=\"2\" a.b=\"3\" a_b_3=\"4\"></e>",
            ),
            (
                r#"{"e": {"@a_b_2": 1, "@a b": 2, "@a_b": 3}}"#,
                "<e a_b_2=\"1\" a_b=\"2\" a_b_3=\"3\"></e>",
            ),
            (r#"{"a:b": {"@c:d": 1, "::": 2}}"#, "<a_b c_d=\"1\"><___>2</___></a_b>"),
            (
                r#"{"s:e": {"@xmlns:s": "urn:s", "s:a": {"@s:b": 1, "@xml:lang": "de"}, "t:a": 1}}"#,
                "<s:e xmlns:s=\"urn:s\"><s:a s:b=\"1\" xml:lang=\"de\"></s:a><t_a>1</t_a></s:e>",
            ),
            (
                r#"{"x": {"a": {"@xmlns:s": "u"}, "s:b": 1}}"#,
                "<x><a xmlns:s=\"u\"></a><s_b>1</s_b></x>",
            ),
            (
                r#"{"x": {"@xmlns:s": "", "@xmlns:xml": "u"}}"#,
                "<x xmlns_s=\"\" xmlns_xml=\"u\"></x>",
            ),
            (
                r#"{"x": {"@xmlns:s": "u", "@xmlns:t": "u", "@s:a": 1, "@t:a": 2}}"#,
                "<x xmlns:s=\"u\" xmlns:t=\"u\" s:a=\"1\" t_a=\"2\"></x>",
            ),
        ] {
            assert_eq!(body(json), written, "{json}");
        }
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
