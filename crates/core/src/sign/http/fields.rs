//! Structured field values (RFC 9651, of which RFC 8941 is the earlier edition), as far as signatures need them: dictionaries
//! in, items and inner lists out.
//!
//! What is read is written back in the one canonical form, because that form is what was signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A value without parameters (section 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bare {
    Integer(i64),
    /// In thousandths.
    Decimal(i64),
    String(String),
    Token(String),
    Bytes(Vec<u8>),
    Boolean(bool),
    Date(i64),
    Display(String),
}

/// Parameters, in order; a name occurs once.
pub(super) type Params = Vec<(String, Bare)>;

/// A value and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub value: Bare,
    pub params: Params,
}

/// A member of a dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    Item(Item),
    Inner(Vec<Item>, Params),
}

impl Item {
    pub(super) fn of(value: Bare) -> Self {
        Self {
            value,
            params: Params::new(),
        }
    }
}

/// What is wrong with a field's text, and at which byte (from 1).
pub(super) type Syntax = (&'static str, usize);

/// Reads a dictionary (section 4.2.2). A name that occurs twice is refused, where the RFC takes the last one: two signatures by
/// one name are nothing that an honest sender makes.
pub(super) fn dictionary(text: &str) -> Result<Vec<(String, Member)>, Syntax> {
    let mut reader = Reader {
        bytes: text.as_bytes(),
        at: 0,
    };
    let mut members: Vec<(String, Member)> = Vec::new();
    reader.skip(b" ");
    while !reader.is_done() {
        let name = reader.key()?;
        if members.iter().any(|(known, _)| *known == name) {
            return Err(reader.wrong("a name occurs twice"));
        }
        let member = if reader.take(b'=') {
            reader.member()?
        } else {
            let params = reader.params()?;
            Member::Item(Item {
                value: Bare::Boolean(true),
                params,
            })
        };
        members.push((name, member));
        reader.skip(b" \t");
        if reader.is_done() {
            return Ok(members);
        }
        if !reader.take(b',') {
            return Err(reader.wrong("a comma is missing"));
        }
        reader.skip(b" \t");
        if reader.is_done() {
            return Err(reader.wrong("it ends with a comma"));
        }
    }
    Ok(members)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &'static str) -> Syntax {
        (what, self.at + 1)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip(&mut self, these: &[u8]) {
        while self.peek().is_some_and(|byte| these.contains(&byte)) {
            self.at += 1;
        }
    }

    fn text_while(&mut self, wanted: impl Fn(u8) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned()
    }

    fn key(&mut self) -> Result<String, Syntax> {
        match self.peek() {
            Some(b'a'..=b'z' | b'*') => {
                Ok(self.text_while(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*')))
            }
            _ => Err(self.wrong("a name begins with a lower-case letter or *")),
        }
    }

    fn member(&mut self) -> Result<Member, Syntax> {
        if !self.take(b'(') {
            return self.item().map(Member::Item);
        }
        let mut items = Vec::new();
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return Ok(Member::Inner(items, self.params()?));
            }
            items.push(self.item()?);
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(self.wrong("a list is not closed"));
            }
        }
    }

    fn item(&mut self) -> Result<Item, Syntax> {
        Ok(Item {
            value: self.bare()?,
            params: self.params()?,
        })
    }

    fn params(&mut self) -> Result<Params, Syntax> {
        let mut params = Params::new();
        while self.take(b';') {
            self.skip(b" ");
            let name = self.key()?;
            let value = if self.take(b'=') {
                self.bare()?
            } else {
                Bare::Boolean(true)
            };
            match params.iter_mut().find(|(known, _)| *known == name) {
                Some((_, earlier)) => *earlier = value,
                None => params.push((name, value)),
            }
        }
        Ok(params)
    }

    fn bare(&mut self) -> Result<Bare, Syntax> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'"') => self.string(),
            Some(b'*' | b'a'..=b'z' | b'A'..=b'Z') => {
                Ok(Bare::Token(self.text_while(|byte| {
                    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte)
                })))
            }
            Some(b':') => self.bytes(),
            Some(b'?') => {
                self.at += 1;
                match (self.take(b'1'), self.take(b'0')) {
                    (true, _) => Ok(Bare::Boolean(true)),
                    (_, true) => Ok(Bare::Boolean(false)),
                    _ => Err(self.wrong("a boolean is ?0 or ?1")),
                }
            }
            Some(b'@') => {
                self.at += 1;
                match self.number()? {
                    Bare::Integer(seconds) => Ok(Bare::Date(seconds)),
                    _ => Err(self.wrong("a date has whole seconds")),
                }
            }
            Some(b'%') => self.display(),
            _ => Err(self.wrong("a value is missing")),
        }
    }

    fn number(&mut self) -> Result<Bare, Syntax> {
        let sign = if self.take(b'-') { -1 } else { 1 };
        let whole = self.text_while(|byte| byte.is_ascii_digit());
        let wrong = self.wrong("a number is not well-formed");
        let value = |text: &str| text.parse::<i64>().map_err(|_| wrong);
        if !self.take(b'.') {
            return if whole.len() <= 15 {
                Ok(Bare::Integer(sign * value(&whole)?))
            } else {
                Err(wrong)
            };
        }
        let fraction = self.text_while(|byte| byte.is_ascii_digit());
        if whole.len() > 12 || !(1..=3).contains(&fraction.len()) {
            return Err(wrong);
        }
        Ok(Bare::Decimal(
            sign * (value(&whole)? * 1_000 + value(&format!("{fraction:0<3}"))?),
        ))
    }

    fn string(&mut self) -> Result<Bare, Syntax> {
        self.at += 1;
        let mut text = String::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return Ok(Bare::String(text)),
                b'\\' => match self.peek() {
                    Some(escaped @ (b'"' | b'\\')) => {
                        self.at += 1;
                        text.push(char::from(escaped));
                    }
                    _ => return Err(self.wrong("only \" and \\ are escaped in a string")),
                },
                b' '..=b'~' => text.push(char::from(byte)),
                _ => break,
            }
        }
        Err(self.wrong("a string is not closed, or not printable ASCII"))
    }

    fn bytes(&mut self) -> Result<Bare, Syntax> {
        self.at += 1;
        let text = self.text_while(|byte| byte != b':');
        let decoded = STANDARD.decode(&text).ok().filter(|_| self.take(b':'));
        decoded
            .map(Bare::Bytes)
            .ok_or_else(|| self.wrong("bytes are base64 between colons"))
    }

    /// Section 4.2.10.
    fn display(&mut self) -> Result<Bare, Syntax> {
        self.at += 1;
        let mut bytes = Vec::new();
        if !self.take(b'"') {
            return Err(self.wrong("a display string begins with %\""));
        }
        loop {
            let byte = self.peek();
            self.at += 1;
            match byte {
                Some(b'"') => break,
                Some(b'%') => {
                    let digits = self.bytes.get(self.at..self.at + 2).unwrap_or_default();
                    let lower = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
                    let text = std::str::from_utf8(digits).ok().filter(|text| text.len() == 2 && lower);
                    let value = text.and_then(|text| u8::from_str_radix(text, 16).ok());
                    bytes.push(value.ok_or_else(|| self.wrong("a display string has a broken escape"))?);
                    self.at += 2;
                }
                Some(byte @ b' '..=b'~') => bytes.push(byte),
                _ => return Err(self.wrong("a display string is not closed")),
            }
        }
        let text = String::from_utf8(bytes).map_err(|_| self.wrong("a display string is not UTF-8"))?;
        Ok(Bare::Display(text))
    }
}

/// Writes an item (section 4.1.3).
pub(super) fn write_item(item: &Item, out: &mut String) {
    write_bare(&item.value, out);
    write_params(&item.params, out);
}

/// Writes an inner list (section 4.1.1.1).
pub(super) fn write_inner<'a>(items: impl IntoIterator<Item = &'a Item>, params: &Params, out: &mut String) {
    out.push('(');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        write_item(item, out);
    }
    out.push(')');
    write_params(params, out);
}

fn write_params(params: &Params, out: &mut String) {
    for (name, value) in params {
        out.push(';');
        out.push_str(name);
        if *value != Bare::Boolean(true) {
            out.push('=');
            write_bare(value, out);
        }
    }
}

fn write_bare(value: &Bare, out: &mut String) {
    match value {
        Bare::Integer(number) => out.push_str(&number.to_string()),
        Bare::Decimal(thousandths) => {
            let (sign, size) = (if *thousandths < 0 { "-" } else { "" }, thousandths.unsigned_abs());
            let fraction = format!("{:03}", size % 1_000);
            let fraction = fraction.trim_end_matches('0');
            let fraction = if fraction.is_empty() { "0" } else { fraction };
            out.push_str(&format!("{sign}{}.{fraction}", size / 1_000));
        }
        Bare::String(text) => {
            out.push('"');
            for c in text.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        }
        Bare::Token(text) => out.push_str(text),
        Bare::Bytes(bytes) => {
            out.push(':');
            STANDARD.encode_string(bytes, out);
            out.push(':');
        }
        Bare::Boolean(value) => out.push_str(if *value { "?1" } else { "?0" }),
        Bare::Date(seconds) => out.push_str(&format!("@{seconds}")),
        Bare::Display(text) => {
            out.push_str("%\"");
            for byte in text.bytes() {
                if matches!(byte, b'%' | b'"') || !(b' '..=b'~').contains(&byte) {
                    out.push_str(&format!("%{byte:02x}"));
                } else {
                    out.push(char::from(byte));
                }
            }
            out.push('"');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> Result<String, Syntax> {
        let mut out = String::new();
        for (at, (name, member)) in dictionary(text)?.iter().enumerate() {
            if at > 0 {
                out.push_str(", ");
            }
            out.push_str(name);
            out.push('=');
            match member {
                Member::Item(item) => write_item(item, &mut out),
                Member::Inner(items, params) => write_inner(items, params, &mut out),
            }
        }
        Ok(out)
    }

    #[test]
    fn what_is_read_is_written_in_the_one_canonical_form() {
        for (text, expected) in [
            ("", ""),
            ("a", "a=?1"),
            ("  a=1 ,\tb=2  ", "a=1, b=2"),
            (
                "a=(  \"x\"   \"y\";bs );created=1;  keyid=\"k\"",
                "a=(\"x\" \"y\";bs);created=1;keyid=\"k\"",
            ),
            ("a=()", "a=()"),
            ("a=1.50, b=-0.5, c=12.0", "a=1.5, b=-0.5, c=12.0"),
            ("a=\"q\\\"\\\\\"", "a=\"q\\\"\\\\\""),
            ("a=:aGk=:, b=*tok/en:x, c=?0", "a=:aGk=:, b=*tok/en:x, c=?0"),
            ("a=@-5, b=%\"f%c3%bc\"", "a=@-5, b=%\"f%c3%bc\""),
            ("a=1;x=1;y;x=2", "a=1;x=2;y"),
            ("*a.b_c-d=1", "*a.b_c-d=1"),
            ("a=007", "a=7"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_the_grammar_does_not_have_is_refused() {
        for text in [
            "A=1",
            "a=",
            "a=1,",
            "a=1 b=2",
            "a=1,,b=2",
            "a=(\"x\"\"y\")",
            "a=(\"x\"",
            "a=\"x",
            "a=\"\\n\"",
            "a=\"é\"",
            "a=:aGk:x",
            "a=:aGk",
            "a=:aG k=:",
            "a=?2",
            "a=1.",
            "a=1.2345",
            "a=1234567890123456",
            "a=--1",
            "a=@1.5",
            "a=%\"%C3\"",
            "a=%\"%ff\"",
            "a=%\"x",
            "a=1;=2",
            "a=1, a=2",
            "a==1",
            "a=%x",
            "a=-",
        ] {
            assert!(dictionary(text).is_err(), "{text}: {:?}", dictionary(text));
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_reads_back_as_itself(text in "[a-c=\"\\\\(): ;,?@%.0-9:-]{0,40}") {
            if let Ok(first) = canonical(&text) {
                prop_assert_eq!(canonical(&first), Ok(first.clone()));
            }
        }

        #[test]
        fn any_text_is_read_or_refused_without_panic(text in "\\PC{0,60}") {
            drop(dictionary(&text));
        }
    }
}
