//! JSON as `application/x-www-form-urlencoded`.

use std::fmt::Write as _;

use super::{EncodeError, bounded, value::Tree};

/// Writes a JSON text as a form: `a=1&tags=x&tags=y&customer[name]=Ada&lines[0][sku]=a`, with what has to be escaped escaped.
///
/// The text is known to be JSON. A list of plain values is its name repeated; what lies deeper is named by its path in
/// brackets. `true` and `false` are written so, `null` as nothing; empty lists and objects are left out.
///
/// # Errors
/// `NoObject`, `TooDeep`, `TooLong`.
pub fn form(json: &str) -> Result<String, EncodeError> {
    let Tree::Object(members) = Tree::read(json)? else {
        return Err(EncodeError::NoObject);
    };
    let mut out = String::new();
    for (name, value) in &members {
        let mut path = String::new();
        escape(&mut path, name);
        write(&mut out, &mut path, value)?;
    }
    Ok(out)
}

/// Writes what lies at a path, which is escaped already.
fn write(out: &mut String, path: &mut String, value: &Tree<'_>) -> Result<(), EncodeError> {
    let length = path.len();
    match value {
        Tree::Plain(text) => field(out, path, text)?,
        Tree::List(items) => {
            let is_plain = items.iter().all(Tree::is_plain);
            for (at, item) in items.iter().enumerate() {
                if !is_plain {
                    step(path, &at.to_string());
                }
                write(out, path, item)?;
                path.truncate(length);
            }
        }
        Tree::Object(members) => {
            for (name, member) in members {
                step(path, name);
                write(out, path, member)?;
                path.truncate(length);
            }
        }
    }
    Ok(())
}

fn field(out: &mut String, path: &str, text: &str) -> Result<(), EncodeError> {
    if !out.is_empty() {
        out.push('&');
    }
    out.push_str(path);
    out.push('=');
    escape(out, text);
    bounded(out)
}

fn step(path: &mut String, name: &str) {
    path.push_str("%5B");
    escape(path, name);
    path.push_str("%5D");
}

/// The URL Standard, section 5.2.
fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            // A `String` takes everything.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    #[test]
    fn names_are_paths_and_values_keep_their_digits() {
        let json = r#"{"id": "in 7&", "amount": 1.50, "paid": true, "none": null, "tags": ["x", "y"], "gone": [], "void": {},
            "customer": {"name": "Ädä", "odd=name": 1}, "lines": [{"sku": "a"}, {"sku": "b", "n": [1, 2]}], "mixed": [1, [2]]}"#;
        assert_eq!(
            form(json).unwrap(),
            "id=in+7%26&amount=1.50&paid=true&none=&tags=x&tags=y&customer%5Bname%5D=%C3%84d%C3%A4&customer%5Bodd%3Dname%5D=1\
             &lines%5B0%5D%5Bsku%5D=a&lines%5B1%5D%5Bsku%5D=b&lines%5B1%5D%5Bn%5D=1&lines%5B1%5D%5Bn%5D=2&mixed%5B0%5D=1&mixed%5B1%5D=2"
        );
        assert_eq!(form("{}").unwrap(), "");
    }

    #[test]
    fn a_flat_form_is_read_as_it_was_written() {
        let json = r#"{"a":"1 & 2","b":["x","y"],"ä":"+%"}"#;
        let decoded = decode("application/x-www-form-urlencoded", form(json).unwrap().as_bytes())
            .unwrap()
            .into_owned();
        assert_eq!(String::from_utf8(decoded).unwrap(), json);
    }

    #[test]
    fn what_is_no_object_and_what_grows_too_long_is_refused() {
        assert_eq!(form("[1]"), Err(EncodeError::NoObject));
        assert_eq!(form("5"), Err(EncodeError::NoObject));
        let name = "n".repeat(10_000);
        let many = format!("{{\"{name}\": [{}0]}}", "0,".repeat(10_000));
        assert_eq!(form(&many), Err(EncodeError::TooLong));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
        assert_eq!(form(&deep), Err(EncodeError::TooDeep));
    }
}
