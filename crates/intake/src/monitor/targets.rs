//! What a monitor watches, as its settings say: each value of `monitor` is one thing, as a JSON object.
//!
//! `{"name": "api", "http": "https://…", "every": "30s", "fails": 3, "status": [200], "contains": "ok"}`,
//! `{"name": "db", "tcp": "db.example.com:5432"}`, `{"name": "site", "certificate": "example.com", "days": 14}`

use std::{collections::BTreeMap, time::Duration};

use bellwire_core::time::span::Span;
use serde::Deserialize;

use super::probe::Check;
use crate::cron::SettingError;

const MONITOR: &str = "monitor";
/// Targets of one source.
const TARGETS_MAX: usize = 200;
/// Bounds and defaults.
const EVERY: Duration = Duration::from_secs(30);
const EVERY_MIN: Duration = Duration::from_secs(1);
const EVERY_MAX: Duration = Duration::from_secs(7 * 86_400);
const FAILS: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const DAYS: u32 = 14;
const DAYS_MAX: u32 = 366;

/// Something that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// What is looked at.
    pub check: Check,
    /// How often.
    pub every: Duration,
    /// So many failures in a row mean that it is down.
    pub fails: u32,
    /// For one look.
    pub timeout: Duration,
    /// How long before a certificate's end it is said.
    pub warn: Duration,
    /// Status codes that mean it is up; empty is 200 to 299.
    pub status: Vec<u16>,
    /// What must stand in the answer.
    pub contains: Option<String>,
}

impl Target {
    /// What is watched, for people.
    pub fn shown(&self) -> &str {
        match &self.check {
            Check::Http { url, .. } => url.split(['?', '#']).next().unwrap_or(url),
            Check::Tcp { address } | Check::Certificate { address } => address,
        }
    }
}

/// A target as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    name: String,
    http: Option<String>,
    tcp: Option<String>,
    certificate: Option<String>,
    every: Option<Span>,
    fails: Option<u32>,
    timeout: Option<Span>,
    days: Option<u32>,
    #[serde(default)]
    status: Vec<u16>,
    contains: Option<String>,
}

/// Reads settings.
///
/// # Errors
/// [`SettingError`], naming the target.
pub fn read(settings: &BTreeMap<String, Vec<String>>) -> Result<Vec<Target>, SettingError> {
    if let Some(name) = settings.keys().find(|name| *name != MONITOR) {
        return Err(SettingError::new(name, "there is no such setting; there is `monitor`"));
    }
    let written = settings.get(MONITOR).map_or(&[][..], Vec::as_slice);
    if written.is_empty() || written.len() > TARGETS_MAX {
        let why = format!("{} things are named; 1 to {TARGETS_MAX} can be watched", written.len());
        return Err(SettingError::new(MONITOR, why));
    }
    let mut targets: Vec<Target> = Vec::with_capacity(written.len());
    for text in written {
        let target = target(serde_json::from_str(text).map_err(|error| SettingError::new(MONITOR, error))?)?;
        if targets.iter().any(|other| other.name == target.name) {
            let why = format!("`{}` is named twice", target.name);
            return Err(SettingError::new(MONITOR, why));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn target(written: Written) -> Result<Target, SettingError> {
    let name = written.name;
    let wrong = |why: String| SettingError::new(&format!("{MONITOR} {name}"), why);
    if name.is_empty() || name.len() > 128 || name.contains('/') || name.chars().any(char::is_control) {
        return Err(wrong("a name has 1 to 128 characters and no slash".to_owned()));
    }
    let check = match (written.http, written.tcp, written.certificate) {
        (Some(url), None, None) => {
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(wrong(format!("`{url}` is no http or https URL")));
            }
            Check::Http {
                url,
                body: written.contains.is_some(),
            }
        }
        (None, Some(address), None) => Check::Tcp {
            address: with_port(&address, None).ok_or_else(|| wrong(format!("`{address}` is no host:port")))?,
        },
        (None, None, Some(address)) => Check::Certificate {
            address: with_port(&address, Some(443)).ok_or_else(|| wrong(format!("`{address}` is no host:port")))?,
        },
        _ => return Err(wrong("give one of `http`, `tcp` and `certificate`".to_owned())),
    };
    if !matches!(check, Check::Http { .. }) && (written.contains.is_some() || !written.status.is_empty()) {
        return Err(wrong("`status` and `contains` are for `http`".to_owned()));
    }
    let within = |what: &str, span: Option<Span>, default: Duration, min: Duration, max: Duration| {
        let span = span.map_or(default, |span| span.0);
        (min..=max).contains(&span).then_some(span).ok_or_else(|| {
            let text = bellwire_core::time::format_span;
            wrong(format!(
                "`{what}` is {}; it may be {} to {}",
                text(span),
                text(min),
                text(max)
            ))
        })
    };
    let least = Duration::from_millis(100);
    Ok(Target {
        every: within("every", written.every, EVERY, EVERY_MIN, EVERY_MAX)?,
        timeout: within("timeout", written.timeout, TIMEOUT, least, TIMEOUT_MAX)?,
        warn: DAY * written.days.unwrap_or(DAYS).min(DAYS_MAX),
        fails: written.fails.unwrap_or(FAILS).clamp(1, 1_000),
        status: written.status,
        contains: written.contains,
        check,
        name,
    })
}

/// `host:port`, also of an IPv6 address in brackets.
fn with_port(text: &str, default: Option<u16>) -> Option<String> {
    let text = text.trim();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port: u16 = match port {
        Some(port) => port.parse().ok()?,
        None => default?,
    };
    let fits = !host.is_empty() && port > 0 && !host.contains(['/', '@', ' ', '?', '#']);
    fits.then(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &[&str]) -> Result<Vec<Target>, SettingError> {
        let values = json.iter().map(|text| (*text).to_owned()).collect();
        read(&[(MONITOR.to_owned(), values)].into())
    }

    #[test]
    fn targets_are_read_with_their_defaults() {
        let targets = of(&[
            r#"{"name": "api", "http": "https://example.com/health?key=canary", "every": "1m", "contains": "ok"}"#,
            r#"{"name": "cert", "certificate": "example.com", "days": 30}"#,
            r#"{"name": "db", "tcp": "[::1]:5432", "fails": 1}"#,
        ])
        .unwrap();
        assert_eq!(targets[0].every, Duration::from_secs(60));
        assert_eq!((targets[0].fails, targets[0].timeout), (FAILS, TIMEOUT));
        assert_eq!((targets[0].warn, targets[1].warn), (14 * DAY, 30 * DAY));
        assert_eq!(targets[0].shown(), "https://example.com/health");
        assert_eq!(targets[1].shown(), "example.com:443");
        assert_eq!(targets[2].shown(), "[::1]:5432");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let db = r#"{"name": "db", "tcp": "host:1"}"#;
        for (json, name, words) in [
            (&[][..], "monitor", "0 things"),
            (&["{}"], "monitor", "missing field `name`"),
            (&[r#"{"name": "a"}"#], "monitor a", "one of"),
            (&[r#"{"name": "a", "http": "ftp://x"}"#], "monitor a", "no http"),
            (&[r#"{"name": "a", "tcp": "host"}"#], "monitor a", "host:port"),
            (
                &[r#"{"name": "a", "tcp": "host:1", "status": [200]}"#],
                "monitor a",
                "are for `http`",
            ),
            (
                &[r#"{"name": "a", "tcp": "host:1", "every": "1ms"}"#],
                "monitor a",
                "`every` is 1ms",
            ),
            (&[r#"{"name": "a", "tcp": "host:1", "evry": "1m"}"#], "monitor", "evry"),
            (&[db, db], "monitor", "twice"),
        ] {
            let error = of(json).unwrap_err();
            assert!(error.setting == name && error.why.contains(words), "{json:?}: {error}");
        }
    }
}
