//! Reading one value of each type from text, and writing it back in the same form.
//!
//! Errors say what to write; the caller adds which setting it was and what was given.

use std::{fmt::Display, net::SocketAddr, str::FromStr, time::Duration};

use bellwire_core::time::{format_span, parse_span};

/// What is wrong with a value, and what to write.
pub(super) type Wrong = String;

/// A value of a type that reads from text and says itself what is wrong.
pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, Wrong> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// An address and a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, Wrong> {
    // A name would have to be looked up, and may mean two addresses; this one everybody writes.
    let spelled = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let spelled = spelled.as_deref().unwrap_or(text);
    spelled
        .parse()
        .map_err(|_| "write an address and a port, such as 127.0.0.1:8071 or [::]:8071".to_owned())
}

/// A DNS server: an address, with port 53 unless it says otherwise.
pub(super) fn name_server(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse()
        .or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, 53)))
        .map_err(|_| "write the address of a DNS server, such as 1.1.1.1 or 10.0.0.2:5353".to_owned())
}

/// A DNS server in its shortest form.
pub(super) fn write_name_server(server: &SocketAddr) -> String {
    if server.port() == 53 {
        server.ip().to_string()
    } else {
        server.to_string()
    }
}

/// Yes or no.
pub(super) fn truth(text: &str) -> Result<bool, Wrong> {
    match text {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

/// A whole number in a range.
pub(super) fn number<T>(text: &str, least: T, most: T) -> Result<T, Wrong>
where
    T: FromStr + PartialOrd + Display + Copy,
{
    let wrong = || format!("write a whole number from {least} to {most}");
    let value: T = text.parse().map_err(|_| wrong())?;
    if value < least || value > most {
        Err(wrong())
    } else {
        Ok(value)
    }
}

/// A span of time in a range.
pub(super) fn span(text: &str, least: Duration, most: Duration) -> Result<Duration, Wrong> {
    let value =
        parse_span(text).map_err(|_| "write a duration: 500ms, 5s, 30m, 2h, 5d, or a number of seconds".to_owned())?;
    if value < least || value > most {
        return Err(format!(
            "write a duration from {} to {}",
            format_span(least),
            format_span(most)
        ));
    }
    Ok(value)
}

/// A span of time of a day's magnitude or more, or the word for none.
pub(super) fn span_or(text: &str, word: &str) -> Result<Option<Duration>, Wrong> {
    if text == word {
        return Ok(None);
    }
    let longest = Duration::from_secs(36_500 * 86_400);
    span(text, Duration::from_secs(1), longest)
        .map(Some)
        .map_err(|wrong| format!("{wrong}; or {word}"))
}

/// The text of a span, or the word for none.
pub(super) fn write_span_or(span: Option<Duration>, word: &str) -> String {
    span.map_or_else(|| word.to_owned(), format_span)
}

const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A number of bytes in a range.
pub(super) fn size(text: &str, least: usize, most: usize) -> Result<usize, Wrong> {
    let wrong = || {
        format!(
            "write a size from {} to {}: bytes, or with KiB, MiB, GiB",
            write_size(least),
            write_size(most)
        )
    };
    let lower = text.to_ascii_lowercase();
    let unit = UNITS
        .iter()
        .find(|(unit, _)| lower.ends_with(&unit.to_ascii_lowercase()));
    let (digits, factor) = match unit {
        Some((unit, factor)) => (&text[..text.len() - unit.len()], *factor),
        None => (text, 1),
    };
    let bytes = digits
        .trim()
        .parse::<usize>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(wrong)?;
    if (least..=most).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(wrong())
    }
}

/// A number of bytes in its shortest exact form.
pub(super) fn write_size(bytes: usize) -> String {
    let unit = UNITS
        .iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    unit.map_or_else(
        || bytes.to_string(),
        |(unit, factor)| format!("{}{unit}", bytes / factor),
    )
}

/// An http or https URL without a trailing slash, user-info, query or fragment.
pub(super) fn web_url(text: &str) -> Result<url::Url, Wrong> {
    let wrong = || "write a URL such as https://hooks.example.com".to_owned();
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(url) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_units_and_written_shortest() {
        for (text, bytes, shortest) in [
            ("1048576", 1 << 20, "1MiB"),
            ("1 mib", 1 << 20, "1MiB"),
            ("1500", 1_500, "1500"),
            ("2KiB", 2_048, "2KiB"),
        ] {
            assert_eq!(size(text, 1, 1 << 30), Ok(bytes), "{text}");
            assert_eq!(write_size(bytes), shortest);
        }
        for text in [
            "",
            "-1",
            "1 MB",
            "1.5MiB",
            "2GiB",
            "99999999999999999999",
            "18446744073709551615KiB",
            "Ω",
        ] {
            assert!(size(text, 1, 1 << 30).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_need_a_port_and_name_servers_do_not() {
        assert!(address("127.0.0.1:0").is_ok() && address("[::]:80").is_ok());
        assert_eq!(address("localhost:80"), address("127.0.0.1:80"));
        assert!(address("127.0.0.1").is_err() && address("example.com:80").is_err() && address("").is_err());
        for text in ["1.1.1.1", "10.0.0.2:5353", "::1"] {
            assert_eq!(write_name_server(&name_server(text).unwrap()), text);
        }
    }

    #[test]
    fn durations_outside_their_range_say_which_range() {
        let range = |text| span(text, Duration::from_millis(100), Duration::from_secs(30));
        assert_eq!(range("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(range("31s").unwrap_err(), "write a duration from 100ms to 30s");
        assert_eq!(span_or("never", "never"), Ok(None));
        assert!(span_or("later", "never").unwrap_err().ends_with("or never"));
    }

    #[test]
    fn a_public_url_has_nothing_behind_its_path() {
        assert!(web_url("https://hooks.example.com/bw").is_ok());
        for text in [
            "hooks.example.com",
            "ftp://h",
            "https://u:p@h",
            "https://h?x",
            "https://h#x",
            "https://",
        ] {
            assert!(web_url(text).is_err(), "{text}");
        }
    }
}
