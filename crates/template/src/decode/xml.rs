//! XML as JSON: an object of its one root element.
//!
//! An element without attributes and children is its text. Any other is an object: attributes as `@name`, children by their
//! names, and its text, if it has any, as `#text`. Children of the same name become a list. Names are as they are written,
//! with their prefixes; all values are texts; white space around them, comments and processing instructions are left out.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{
    DEPTH_MAX, DecodeError,
    error::{self, DecodeError::TooDeep},
    members::{Members, Value},
};

/// How deep elements may lie in each other: each can be an object in a list.
const ELEMENTS_DEEP_MAX: usize = DEPTH_MAX / 2;

/// The most elements and attributes in one document.
const NODES_MAX: usize = 65_536;

const FORMAT: &str = "XML";
const TEXT: &str = "#text";

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Value, DecodeError> {
    let mut reader = Reader::from_str(text);
    let mut document = Document::default();
    loop {
        let event = reader.read_event().map_err(|error| {
            let what = format!("{error} (byte {})", reader.error_position());
            DecodeError::malformed(FORMAT, what)
        })?;
        match event {
            Event::Start(start) => document.open(&start)?,
            Event::End(_) => document.close(),
            Event::Empty(start) => {
                document.open(&start)?;
                document.close();
            }
            Event::Text(text) => document.text(&text.xml10_content())?,
            Event::CData(text) => document.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref() {
                    Ok(Some(character)) => character,
                    Ok(None) => entity(&reference)?,
                    Err(error) => return Err(DecodeError::malformed(FORMAT, error.to_string())),
                };
                document.text(character.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err(refused("a document type (`<!DOCTYPE …>`) is never read; leave it out")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => return document.end(),
        }
    }
}

fn refused(what: impl Into<String>) -> DecodeError {
    DecodeError::Refused { what: what.into() }
}

/// The five that every document has; there are no others without a document type.
fn entity(name: &str) -> Result<char, DecodeError> {
    match name {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        other => Err(refused(format!(
            "the entity {} is not one of `&amp;`, `&lt;`, `&gt;`, `&quot;`, `&apos;`; write the letter itself",
            error::name(&format!("&{other};"))
        ))),
    }
}

#[derive(Debug, Default)]
struct Element {
    name: String,
    members: Members,
    text: String,
}

#[derive(Debug, Default)]
struct Document {
    root: Members,
    /// The elements around, outermost first.
    around: Vec<Element>,
    nodes: usize,
}

impl Document {
    fn count(&mut self) -> Result<(), DecodeError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(DecodeError::TooMuch {
                what: "elements and attributes",
                max: NODES_MAX,
            });
        }
        Ok(())
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), DecodeError> {
        let malformed = |what: String| DecodeError::malformed(FORMAT, what);
        if self.around.is_empty() && !self.root.is_empty() {
            return Err(malformed("a second element follows the root".to_owned()));
        }
        if self.around.len() == ELEMENTS_DEEP_MAX {
            return Err(TooDeep { max: ELEMENTS_DEEP_MAX });
        }
        self.count()?;
        let name: &str = start.name().into_inner();
        if name.is_empty() {
            return Err(malformed("an element has no name".to_owned()));
        }
        let mut members = Members::default();
        // Our own look-up finds a repeated name; the library's own check compares each with each.
        for attribute in start.attributes().with_checks(false) {
            let in_element = |error: &dyn std::fmt::Display| malformed(format!("in {}: {error}", error::name(name)));
            let attribute = attribute.map_err(|error| in_element(&error))?;
            self.count()?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| in_element(&error))?;
            let key = format!("@{}", attribute.key.into_inner());
            if members.contains(&key) {
                return Err(in_element(&format!(
                    "the attribute {} occurs twice",
                    error::name(&key[1..])
                )));
            }
            members.add(&key, Value::Text(value.into_owned()));
        }
        self.around.push(Element {
            name: name.to_owned(),
            members,
            text: String::new(),
        });
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), DecodeError> {
        match self.around.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => {
                return Err(DecodeError::malformed(
                    FORMAT,
                    "text stands outside of the root element",
                ));
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        let Some(element) = self.around.pop() else { return };
        let Element {
            name,
            mut members,
            text,
        } = element;
        let text = text.trim();
        let value = if members.is_empty() {
            Value::Text(text.to_owned())
        } else {
            if !text.is_empty() {
                members.add(TEXT, Value::Text(text.to_owned()));
            }
            Value::Object(members)
        };
        let parent = self
            .around
            .last_mut()
            .map_or(&mut self.root, |parent| &mut parent.members);
        parent.add(&name, value);
    }

    fn end(self) -> Result<Value, DecodeError> {
        match self.around.last() {
            Some(open) => {
                let what = format!("it ends within {}", error::name(&open.name));
                Err(DecodeError::malformed(FORMAT, what))
            }
            None if self.root.is_empty() => Err(DecodeError::malformed(FORMAT, "it has no element")),
            None => Ok(Value::Object(self.root)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xml(text: &str) -> String {
        serde_json::to_string(&read(text).expect(text)).unwrap()
    }

    fn error(text: &str) -> String {
        read(text).expect_err(text).to_string()
    }

    #[test]
    fn a_document_is_an_object_of_its_root() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <!-- an order --><?style x?>
            <order id="7" xmlns:s="urn:s">
                <s:customer vip="yes">Ada &amp; Söhne</s:customer>
                <line><sku>a</sku></line>
                <line><sku>b</sku></line>
                <note><![CDATA[<b>now</b>]]></note>
                <empty/><blank>  </blank><void x=''/>
            </order>"#;
        let expected = concat!(
            r##"{"order":{"@id":"7","@xmlns:s":"urn:s","s:customer":{"@vip":"yes","#text":"Ada & Söhne"},"##,
            r#""line":[{"sku":"a"},{"sku":"b"}],"note":"<b>now</b>","empty":"","blank":"","void":{"@x":""}}}"#
        );
        assert_eq!(xml(text), expected);
        assert_eq!(xml("<a>1<b/>2</a>"), r##"{"a":{"b":"","#text":"12"}}"##);
        assert_eq!(xml("<a>&#65;&#x1F600;&lt;&quot;</a>"), "{\"a\":\"A😀<\\\"\"}");
        assert_eq!(xml("<a b='&apos;&#10;x'/>"), "{\"a\":{\"@b\":\"'\\nx\"}}");
    }

    #[test]
    fn entities_and_document_types_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY x \"xxxxxxxx\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>";
        assert_eq!(
            error(bomb),
            "the body is refused: a document type (`<!DOCTYPE …>`) is never read; leave it out"
        );
        assert!(error("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>").contains("document type"));
        assert!(error("<a>&nbsp;</a>").contains("the entity `&nbsp;` is not one of"));
        assert!(error("<a b='&file;'/>").contains("file"));
        assert!(read("<a>&#0;</a>").is_err() && read("<a>&#x110000;</a>").is_err());
    }

    #[test]
    fn what_is_not_well_formed_says_what_is_wrong() {
        for (text, what) in [
            ("<a><b></a>", "byte"),
            ("<a>", "it ends within `a`"),
            ("<a", "byte"),
            ("", "it has no element"),
            ("  <!-- x -->", "it has no element"),
            ("<a/><b/>", "a second element"),
            ("<a/>x", "outside of the root"),
            ("x<a/>", "outside of the root"),
            ("&amp;<a/>", "outside of the root"),
            ("<a b='1' b='2'/>", "`b` occurs twice"),
            ("<a b/>", "in `a`: "),
            ("<a b=1/>", "in `a`: "),
            ("</a>", "byte"),
            ("<a>&amp</a>", "byte"),
        ] {
            let said = error(text);
            assert!(
                said.starts_with("the body is no XML: ") && said.contains(what),
                "{text}: {said}"
            );
        }
        let whole = "<order id='7'><line>a</line><!-- x --><![CDATA[y]]>&amp;</order>";
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let nested = |levels: usize| format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels));
        let deepest = xml(&nested(ELEMENTS_DEEP_MAX));
        assert!(super::super::json::check(&deepest).is_ok());
        assert_eq!(
            read(&nested(ELEMENTS_DEEP_MAX + 1)).unwrap_err(),
            TooDeep { max: ELEMENTS_DEEP_MAX }
        );
        let pairs = |levels: usize| format!("{}{}", "<a/><a>".repeat(levels), "</a>".repeat(levels));
        let lists = xml(&format!("<a>{}</a>", pairs(ELEMENTS_DEEP_MAX - 1)));
        assert!(
            super::super::json::check(&lists).is_ok(),
            "each level is an object in a list"
        );
        let many = format!("<a>{}</a>", "<b/>".repeat(NODES_MAX));
        assert!(error(&many).contains("more than 65536 elements"));
        let wide: String = (0..NODES_MAX).map(|number| format!(" a{number}='1'")).collect();
        assert!(error(&format!("<a{wide}/>")).contains("more than 65536 elements"));
    }
}
