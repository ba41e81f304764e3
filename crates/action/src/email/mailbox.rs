//! One address, with or without a name: `Ada Lovelace <ada@example.com>`.

use lettre::{Address, message::Mailbox};

/// The longest address (RFC 5321 section 4.5.3.1.3, without its angle brackets).
const ADDRESS_CHARS_MAX: usize = 254;

/// Reads exactly one mailbox, or nothing where the text is empty.
///
/// The address is what stands in the last angle brackets, or all of the text. So whatever a message writes into the name, it can
/// neither change the address nor add another.
///
/// # Errors
/// What is wrong and what to do.
pub(super) fn parse(text: &str) -> Result<Option<Mailbox>, String> {
    if let Some(bad) = text.chars().find(|c| c.is_control()) {
        return Err(format!(
            "`{}` holds the control character U+{:04X}; an address is one line",
            text.escape_debug(),
            u32::from(bad)
        ));
    }
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let (name, address) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, address)) => (unquoted(name.trim()), address.trim()),
        None => (String::new(), text),
    };
    let bad = || format!("`{address}` is not one mail address, such as ada@example.com or Ada <ada@example.com>");
    if address.len() > ADDRESS_CHARS_MAX || address.contains(char::is_whitespace) {
        return Err(bad());
    }
    let address: Address = address.parse().map_err(|_| bad())?;
    Ok(Some(Mailbox::new(Some(name).filter(|name| !name.is_empty()), address)))
}

/// A name without the quotation marks around it.
fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, String) {
        let mailbox = parse(text).unwrap().unwrap();
        (mailbox.name, mailbox.email.to_string())
    }

    #[test]
    fn a_name_is_optional_and_may_hold_anything() {
        assert_eq!(read(" ada@example.com "), (None, "ada@example.com".to_owned()));
        for (text, name) in [
            ("Ada <ada@example.com>", "Ada"),
            ("\"Lovelace, Ada\" <ada@example.com>", "Lovelace, Ada"),
            ("O'Brien, Pat (x) <ada@example.com>", "O'Brien, Pat (x)"),
            ("evil@example.org> <ada@example.com>", "evil@example.org>"),
            ("Żaneta <ada@example.com>", "Żaneta"),
        ] {
            assert_eq!(read(text), (Some(name.to_owned()), "ada@example.com".to_owned()));
        }
        assert_eq!(parse("  "), Ok(None));
    }

    #[test]
    fn what_is_not_exactly_one_address_is_refused() {
        for text in [
            "ada",
            "@example.com",
            "ada@",
            "a@example.com, b@example.com",
            "a@example.com;b@example.com",
            "Ada <a@example.com> SIZE=1",
            "<a@example.com>, <>",
            "a@example.com\r\nBcc: b@example.com",
            "Ada\n <a@example.com>",
            "a@example.com\0",
            "a b@example.com",
            "Ada <a@example.com\t>",
            &format!("{}@example.com", "a".repeat(250)),
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
