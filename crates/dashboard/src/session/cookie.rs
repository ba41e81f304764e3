//! Cookies (RFC 6265bis): read from a request, written to an answer.

use http::{HeaderMap, HeaderValue, header};

use crate::shell::{Kind, Shell};

/// The cookie that remembers light or dark.
pub(crate) const THEME: &str = "bellwire-theme";

/// The name of a side's session cookie. `__Host-` has browsers insist that it came over https, from this very host.
pub(crate) fn name(shell: &Shell, kind: Kind) -> String {
    match shell.is_secure() {
        true => format!("__Host-{}", kind.cookie()),
        false => kind.cookie().to_owned(),
    }
}

/// The value of a cookie, when there is exactly one of the name.
pub(crate) fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut values = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(found, value)| (found == name).then_some(value));
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// The line that keeps a session until the browser is closed, or, with an empty value, forgets it.
///
/// A portal in a frame of another site gets its cookie only as `SameSite=None`, which browsers take over https alone; partitioned, it
/// is another one in each site that shows the portal. Everywhere else it is `Lax`.
pub(crate) fn session(shell: &Shell, kind: Kind, value: &str) -> Option<HeaderValue> {
    let name = name(shell, kind);
    let framed = kind == Kind::Portal && !shell.frame_origins.is_empty() && shell.is_secure();
    let site = match (framed, shell.is_secure()) {
        (true, _) => "SameSite=None; Secure; Partitioned",
        (false, true) => "SameSite=Lax; Secure",
        (false, false) => "SameSite=Lax",
    };
    let end = if value.is_empty() { "; Max-Age=0" } else { "" };
    HeaderValue::try_from(format!("{name}={value}; Path=/; HttpOnly; {site}{end}")).ok()
}

/// The line that remembers light or dark for a year; it says nothing about anybody.
pub(crate) fn theme(shell: &Shell, value: &str) -> Option<HeaderValue> {
    let secure = if shell.is_secure() { "; Secure" } else { "" };
    HeaderValue::try_from(format!(
        "{THEME}={value}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}"
    ))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_is_there_twice_is_not_believed() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; bellwire=x"));
        assert_eq!(value(&headers, "bellwire"), Some("x"));
        assert_eq!(value(&headers, "wire"), None);
        headers.append(header::COOKIE, HeaderValue::from_static("bellwire=y"));
        assert_eq!(value(&headers, "bellwire"), None);
    }
}
