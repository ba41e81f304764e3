//! Names of an XML document: what may stand in one, and which prefixes are bound (Extensible Markup Language 1.0, section 2.3;
//! Namespaces in XML 1.0, sections 3 to 6).

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

const XML: &str = "xml";
const XMLNS: &str = "xmlns";

/// What may be bound to nothing but `xml` and `xmlns`.
const RESERVED: &[&str] = &["http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/"];

/// How many prefixes may be bound at once; a further one stands in no name.
const PREFIXES_MAX: usize = 64;

/// The prefixes that are bound where we are.
#[derive(Debug, Default)]
pub(super) struct Prefixes<'a>(Vec<&'a str>);

impl<'a> Prefixes<'a> {
    /// Binds the prefix that this attribute declares, if it does.
    pub fn bind(&mut self, attribute: &'a str, value: &str) {
        if self.0.len() < PREFIXES_MAX {
            self.0.extend(declared(attribute, value));
        }
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Leaves the element that began when so many were bound.
    pub fn leave(&mut self, count: usize) {
        self.0.truncate(count);
    }

    /// The name of an element. What may not stand in one is replaced by `_`, and so is a colon behind a prefix that is not bound.
    pub fn element<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let is_bound = split(name).is_some_and(|(prefix, _)| prefix == XML || self.0.contains(&prefix));
        match is_bound || is_name(name) {
            true => Cow::Borrowed(name),
            false => Cow::Owned(replaced(name)),
        }
    }

    fn attribute<'n>(&self, name: &'n str, value: &str) -> Cow<'n, str> {
        if declared(name, value).is_some() {
            return Cow::Borrowed(name);
        }
        if name == XMLNS && RESERVED.contains(&value) {
            return Cow::Owned(format!("_{XMLNS}"));
        }
        self.element(name)
    }
}

/// The attributes of one element: no two have the same name.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// Each name, and the last number that was given to another one of it.
    taken: HashMap<String, usize>,
}

impl Attributes {
    /// The name of the next attribute; one that is taken is numbered.
    pub fn name(&mut self, prefixes: &Prefixes<'_>, wanted: &str, value: &str) -> String {
        let mut name = prefixes.attribute(wanted, value).into_owned();
        // Two prefixes may be bound to one namespace, where the local part alone tells names apart.
        if let Some((prefix, local)) = split(&name)
            && prefix != XMLNS
            && !self.take(format!(":{local}"))
        {
            name = replaced(wanted);
        }
        let base = name.clone();
        while !self.take(name.clone()) {
            let number = self.taken.entry(base.clone()).or_insert(1);
            *number += 1;
            name = format!("{base}_{number}");
        }
        name
    }

    fn take(&mut self, name: String) -> bool {
        let entry = self.taken.entry(name);
        let is_free = matches!(entry, Entry::Vacant(_));
        entry.or_insert(1);
        is_free
    }
}

/// The prefix that an attribute binds.
fn declared<'a>(attribute: &'a str, value: &str) -> Option<&'a str> {
    let (_, prefix) = split(attribute).filter(|(before, _)| *before == XMLNS)?;
    let may_be_bound = prefix != XML && prefix != XMLNS && !value.is_empty() && !RESERVED.contains(&value);
    may_be_bound.then_some(prefix)
}

/// Prefix and local part.
fn split(name: &str) -> Option<(&str, &str)> {
    name.split_once(':')
        .filter(|(prefix, local)| is_name(prefix) && is_name(local))
}

/// Whether a text is a name without a colon.
fn is_name(text: &str) -> bool {
    text.starts_with(begins) && text.chars().all(goes_on)
}

fn replaced(name: &str) -> String {
    let begin = if name.starts_with(begins) { "" } else { "_" };
    let rest = name.chars().map(|letter| if goes_on(letter) { letter } else { '_' });
    begin.chars().chain(rest).collect()
}

/// `NameStartChar` but the colon.
fn begins(letter: char) -> bool {
    matches!(letter,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

/// `NameChar` but the colon.
fn goes_on(letter: char) -> bool {
    begins(letter)
        || matches!(letter, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}
